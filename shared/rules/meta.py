"""
The transaction that ends each block and carries the state root (ADR 0003).

The proposer makes it, every validator compares it, and the light client reads it. It is unsigned: a
transaction from the pool that looks like it is refused.
"""

from dataclasses import dataclass

from shared.encoding.cbor import MalformedCbor
from shared.encoding.record import MalformedRecord, decode_record, encode_record
from shared.errors import Rejected
from shared.types.identity import Hash

META_METHOD = "consensus.Meta"


class NotMeta(Rejected, module="meta", code=1):
    """The transaction is not one that carries a state root."""


@dataclass(frozen=True, slots=True)
class MetaTransaction:
    """Root of the state after the block that this transaction ends."""

    method: str
    """`META_METHOD`, in the place where other transactions name theirs."""
    state_root: Hash


def encode_meta(state_root: bytes) -> bytes:
    """Make the transaction for a root."""
    return encode_record(MetaTransaction(META_METHOD, state_root))


def decode_meta(untrusted: bytes) -> bytes:
    """Root that a transaction carries, or `NotMeta`."""
    try:
        meta = decode_record(MetaTransaction, untrusted)
    except (MalformedCbor, MalformedRecord) as error:
        raise NotMeta(error.message) from None
    if meta.method != META_METHOD:
        raise NotMeta(f"method {meta.method!r}")
    return meta.state_root
