"""
Forget rounds that were indexed before their results were verified; note the life of the chain.

The index keeps no raw transactions, so old rows cannot be verified now; all is fetched again from
the compute nodes.
"""

from alembic import op
from sqlalchemy import BigInteger, Column

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Drop every row, and add the count of rewinds."""
    for name in ("logs", "transactions", "rounds"):
        op.execute(f"DELETE FROM {name}")  # noqa: S608 - names of this module
    op.add_column("runtimes", Column("incarnation", BigInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    """Drop the count; the rounds are fetched again anyway."""
    op.drop_column("runtimes", "incarnation")
