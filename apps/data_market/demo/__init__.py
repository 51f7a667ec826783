"""The market's story in one run, on public data."""
