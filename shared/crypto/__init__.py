"""Hashes, signatures with contexts, derivation of keys, addresses, and the one source of chance."""
