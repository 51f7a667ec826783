"""Make the tables of the block index."""

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make everything."""
    op.create_table(
        "runtimes",
        Column("id", Integer, primary_key=True),
        Column("runtime_id", LargeBinary(32), nullable=False, unique=True),
    )
    op.create_table(
        "rounds",
        Column("runtime", Integer, ForeignKey("runtimes.id"), primary_key=True),
        Column("round", BigInteger, primary_key=True, autoincrement=False),
        Column("hash", LargeBinary(32), nullable=False),
        Column("header", LargeBinary, nullable=False),
        Column("size_bytes", BigInteger, nullable=False),
    )
    op.create_index("rounds_by_hash", "rounds", ["runtime", "hash"])
    op.create_table(
        "transactions",
        Column("runtime", Integer, ForeignKey("runtimes.id"), primary_key=True),
        Column("round", BigInteger, primary_key=True, autoincrement=False),
        Column("position", Integer, primary_key=True, autoincrement=False),
        Column("hash", LargeBinary(32), nullable=False),
        Column("first_log", Integer, nullable=False),
        Column("record", LargeBinary, nullable=False),
    )
    op.create_index("transactions_by_hash", "transactions", ["runtime", "hash"])
    op.create_table(
        "logs",
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
    )
    op.create_index("logs_by_address", "logs", ["runtime", "address", "round"])
    op.create_index("logs_by_topic", "logs", ["runtime", "topic0", "round"])


def downgrade() -> None:
    """Drop everything; the index is rebuilt from the compute nodes."""
    for name in ("logs", "transactions", "rounds", "runtimes"):
        op.drop_table(name)
