"""Bytes: canonical CBOR, records, frames and the method tables of contracts. No I/O."""
