"""The connection to the index's database: SQLite in WAL by default, PostgreSQL by URL."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.pool import QueuePool

from services.gateway.schema import HEAD, metadata
from shared.errors import Rejected

BUSY_TIMEOUT_S = 10
"""How long a connection waits for another's write [s]."""
CACHE_KIB = 1024
"""Pages that each connection keeps [KiB]; those of the system are as good, for reads and writes."""


class DatabaseUnusable(Rejected, module="gateway", code=1):
    """The database cannot be opened or is not one of this gateway."""


def open_database(url: str) -> Engine:
    """
    Open the database and bring its tables up to date.

    Raises
    ------
    DatabaseUnusable
        No server answers, the file is no database, or a newer gateway made it.
    """
    try:
        engine = _create_engine(url)
    except ArgumentError as error:
        raise DatabaseUnusable(f"not a database URL: {error}") from error
    try:
        with engine.begin() as connection:
            revision = _current_revision(connection)
            if revision is None and not connection.dialect.get_table_names(connection):
                _create_tables(connection)
            elif revision != HEAD:
                _migrate(connection)
    except DatabaseError as error:
        engine.dispose()
        raise DatabaseUnusable(f"{_shown(url)}: {error.orig}") from error
    except DatabaseUnusable:
        engine.dispose()
        raise
    return engine


def _create_engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=4, pool_pre_ping=True)
    engine = create_engine(
        url, poolclass=QueuePool, pool_size=4, connect_args={"timeout": BUSY_TIMEOUT_S}
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        # Rounds that a power cut takes are fetched again from the compute nodes: no fsync.
        for pragma in ("journal_mode=WAL", "synchronous=OFF", f"cache_size=-{CACHE_KIB}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


def _current_revision(connection: Connection) -> str | None:
    tables = connection.dialect.get_table_names(connection)
    if "alembic_version" not in tables:
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _create_tables(connection: Connection) -> None:
    """Make an empty database what the migrations make of it; a test holds the two together."""
    metadata.create_all(connection)
    # As Alembic makes it.
    columns = "version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY"
    connection.execute(text(f"CREATE TABLE alembic_version ({columns} (version_num))"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def _migrate(connection: Connection) -> None:
    # Alembic takes 0.3 s and 10 MiB to import, and only an older database needs it.
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise DatabaseUnusable(f"the index was made by another version: {error}") from error


def _shown(url: str) -> str:
    """URL without its password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
