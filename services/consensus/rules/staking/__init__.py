"""The staking module: the ledger, and stake in escrow."""
