"""Keep the Ethereum state root of each round of a public ParaTime; older rounds have none."""

from alembic import op
from sqlalchemy import Column, LargeBinary

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the root."""
    op.add_column("rounds", Column("ethereum_root", LargeBinary(32)))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("rounds", "ethereum_root")
