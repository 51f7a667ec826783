"""The gateway of a ParaTime in Python: HTTP to submit transactions, ask, and follow events."""
