"""
The transaction that ends each block and carries state root and incarnation (ADR 0003, 0014).

The proposer makes it, every validator compares it, and the light client reads it. It is unsigned: a
transaction from the pool that looks like it is refused.
"""

from shared.encoding.cbor import MalformedCbor
from shared.encoding.record import MalformedRecord, decode_record, encode_record
from shared.errors import Rejected
from shared.types.identity import Incarnation
from shared.types.methods import BlockMeta


class NotMeta(Rejected, module="meta", code=1):
    """The transaction is not one that carries a state root."""


MAX_INCARNATION = 2**32 - 1
"""A rewind a second takes 136 years to get there; bounds the transaction's length."""
MAX_META_BYTES = len(encode_record(BlockMeta(bytes(32), Incarnation(MAX_INCARNATION))))


def encode_meta(state_root: bytes, incarnation: int = 0) -> bytes:
    """Make the transaction for a root, 32 bytes, in a life of the chain."""
    return encode_record(BlockMeta(state_root, Incarnation(incarnation)))


def decode_meta(untrusted: bytes) -> BlockMeta:
    """Root and incarnation that a transaction carries, or `NotMeta`."""
    try:
        meta = decode_record(BlockMeta, untrusted)
    except (MalformedCbor, MalformedRecord) as error:
        raise NotMeta(error.message) from None
    if not 0 <= meta.incarnation <= MAX_INCARNATION:
        raise NotMeta(f"incarnation {meta.incarnation}: must be 0 to {MAX_INCARNATION}")
    return meta
