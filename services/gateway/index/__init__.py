"""The block index: what the chain has finalized, found by number, hash, or log filter."""
