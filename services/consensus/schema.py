"""Tables of the consensus database: what was decided, and what it made, by height."""

from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, Table

SCHEMA_VERSION = 2
"""Kept in SQLite's `user_version`; a database of another version is refused."""

tables = MetaData()

blocks = Table(
    "blocks",
    tables,
    Column("height", Integer, primary_key=True),
    Column("light_block", LargeBinary, nullable=False),
    Column("transactions", LargeBinary, nullable=False),
    Column("misbehavior", LargeBinary, nullable=False),
)
"""Decided blocks: written by the engine before the application executes them."""

outcomes = Table(
    "outcomes",
    tables,
    Column("height", Integer, primary_key=True),
    Column("app_hash", LargeBinary, nullable=False),
    Column("result", LargeBinary, nullable=False),
    Column("events", LargeBinary, nullable=False),
    Column("proof", LargeBinary),
)
"""What an executed block made; `proof` is a `KeptProof`, null where no round was finalized."""

entries = Table(
    "entries",
    tables,
    Column("key", LargeBinary, primary_key=True),
    Column("height", Integer, primary_key=True),
    Column("value", LargeBinary),
    Index("entries_by_height", "height"),
    sqlite_with_rowid=False,
)
"""Every version of every state entry; a null value removes the key at that height."""

round_headers = Table(
    "round_headers",
    tables,
    Column("runtime_id", LargeBinary, primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("height", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("incarnation", Integer, nullable=False),
    Column("header", LargeBinary, nullable=False),
    Index("round_headers_by_height", "height"),
    sqlite_with_rowid=False,
)
"""Blocks of the ParaTimes, with where consensus finalized them: height, epoch and incarnation."""

snapshots = Table(
    "snapshots",
    tables,
    Column("id", Integer, primary_key=True),
    Column("height", Integer, nullable=False),
    Column("incarnation", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("time_ns", Integer, nullable=False),
    sqlite_autoincrement=True,  # an id is never given again, whatever was removed
)
"""Heights that the network can go back to, and that pruning spares."""

life = Table(
    "life",
    tables,
    Column("incarnation", Integer, primary_key=True),
    sqlite_with_rowid=False,
)
"""One row: how often the chain was rewound. Changes only together with what a rewind removes."""
