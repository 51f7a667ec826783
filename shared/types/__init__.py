"""Records that the services exchange, hash and sign."""
