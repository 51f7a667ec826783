"""A compute node: pools transactions, executes rounds in its enclave, votes, answers queries."""
