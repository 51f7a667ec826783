"""A market where contributors are paid by what their rows are worth, and nobody sees the rows."""
