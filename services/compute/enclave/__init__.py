"""Trusted code of a compute node: executes on encrypted state, and believes only proofs."""
