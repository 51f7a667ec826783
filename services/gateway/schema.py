"""
Tables of the block index.

Everything belongs to a ParaTime: `runtime` is a small number that stands for the 32-byte id. Where
a ParaTime has a `newest_valid`, rows of later rounds are void. The tables change by migrations
only; a test compares these definitions with what those make.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
)

HEAD = "0004"
"""Newest migration; a database that is there needs no look at the others."""

metadata = MetaData()

runtimes = Table(
    "runtimes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("runtime_id", LargeBinary(32), nullable=False, unique=True),
    Column("incarnation", BigInteger, nullable=False, server_default="0"),
    Column("newest_valid", BigInteger),
)

rounds = Table(
    "rounds",
    metadata,
    Column("runtime", Integer, ForeignKey("runtimes.id"), primary_key=True),
    Column("round", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("header", LargeBinary, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("ethereum_root", LargeBinary(32)),
    Index("rounds_by_hash", "runtime", "hash"),
)

transactions = Table(
    "transactions",
    metadata,
    Column("runtime", Integer, ForeignKey("runtimes.id"), primary_key=True),
    Column("round", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("first_log", Integer, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Index("transactions_by_hash", "runtime", "hash"),
)

logs = Table(
    "logs",
    metadata,
    Column("runtime", Integer, ForeignKey("runtimes.id"), primary_key=True),
    Column("round", BigInteger, primary_key=True, autoincrement=False),
    Column("log_index", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, nullable=False),
    Column("transaction_hash", LargeBinary(32), nullable=False),
    Column("address", LargeBinary(20), nullable=False),
    Column("topic0", LargeBinary(32)),
    Column("topic1", LargeBinary(32)),
    Column("topic2", LargeBinary(32)),
    Column("topic3", LargeBinary(32)),
    Column("data", LargeBinary, nullable=False),
    Index("logs_by_address", "runtime", "address", "round"),
    Index("logs_by_topic", "runtime", "topic0", "round"),
)
TOPIC_COLUMNS = (logs.c.topic0, logs.c.topic1, logs.c.topic2, logs.c.topic3)
