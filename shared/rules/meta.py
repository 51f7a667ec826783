"""
The transaction that ends each block and carries the state root (ADR 0003).

The proposer makes it, every validator compares it, and the light client reads it. It is unsigned: a
transaction from the pool that looks like it is refused.
"""

from shared.encoding.cbor import MalformedCbor
from shared.encoding.record import MalformedRecord, decode_record, encode_record
from shared.errors import Rejected
from shared.types.methods import BlockMeta


class NotMeta(Rejected, module="meta", code=1):
    """The transaction is not one that carries a state root."""


def encode_meta(state_root: bytes) -> bytes:
    """Make the transaction for a root, 32 bytes."""
    return encode_record(BlockMeta(state_root))


def decode_meta(untrusted: bytes) -> bytes:
    """Root that a transaction carries, 32 bytes, or `NotMeta`."""
    try:
        return decode_record(BlockMeta, untrusted).state_root
    except (MalformedCbor, MalformedRecord) as error:
        raise NotMeta(error.message) from None
