"""Note up to which round rows are valid: a rewind leaves the others for later rounds to replace."""

from alembic import op
from sqlalchemy import BigInteger, Column

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the number; without one, no row is void."""
    op.add_column("runtimes", Column("newest_valid", BigInteger))


def downgrade() -> None:
    """Drop void rows, and the number."""
    for name in ("logs", "transactions", "rounds"):
        op.execute(
            f"DELETE FROM {name} WHERE round > (SELECT newest_valid FROM runtimes "  # noqa: S608
            "WHERE id = runtime)"
        )
    op.drop_column("runtimes", "newest_valid")
