"""The pure protocol of a compute node: its pool, its part in a round, what it signs."""
