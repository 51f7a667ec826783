"""Migrations of the block index, run by Alembic at start."""
