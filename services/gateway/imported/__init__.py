"""A chain of Ethereum, imported from a genesis and a file of blocks, as a gateway serves it."""
