"""The key manager: secrets for enclaves, by policy."""
