"""Transactions and results of a round as one column: CBOR `[transactions, results]`."""

from shared.encoding import cbor


def encode_outputs(transactions: tuple[bytes, ...], results: tuple[bytes, ...]) -> bytes:
    """Write them."""
    return cbor.encode_loosely([transactions, results])


def decode_outputs(raw: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Read what this node wrote."""
    transactions, results = cbor.decode_loosely(raw)  # type: ignore[misc]
    return tuple(transactions), tuple(results)  # type: ignore[arg-type]
