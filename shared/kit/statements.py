"""
SQL that runs for every round or block: SQLAlchemy writes it once, and the driver runs it.

SQLAlchemy takes 140 us for an insert of which SQLite takes 45. What runs a few times in each round,
on each node, goes past it; tables and statements are still written down in one place.
"""

import sqlite3

from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.dml import UpdateBase

_DIALECT = sqlite.dialect(paramstyle="named")


def prepare(statement: UpdateBase) -> str:
    """
    Write out a statement for the driver, with `:name` for each parameter.

    Parameters
    ----------
    statement : SQLAlchemy's insert, update or delete
        Its values are all given when it runs: one that stands in it already would be lost.

    Raises
    ------
    ValueError
        A value stands in the statement.
    """
    compiled = statement.compile(dialect=_DIALECT)
    held = [name for name, value in compiled.params.items() if value is not None]
    if held:
        raise ValueError(f"values that stand in the statement: {', '.join(held)}")
    return str(compiled)


def driver_of(connection: Connection) -> sqlite3.Connection:
    """
    Give SQLite's own connection under one of SQLAlchemy, which stays its owner.

    Both see the same transaction. `with` commits it, or takes it back where an error passes.
    """
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError(f"a connection of SQLite, not {type(driver).__name__}")
    return driver
