"""Edits of an EVM's state, signed by whoever a test likes."""

from services.gateway import rlp
from services.gateway.dev_transactions import EditKind
from shared.crypto.signing import Signer
from shared.encoding.quantity import encode_quantity
from shared.rules.dev_transactions import DEV_TRANSACTION, DEV_TYPE, dev_address


def make_edit(
    signer: Signer, chain_id: int, nonce: int, kind: EditKind, account: bytes, value: bytes
) -> bytes:
    """Give the raw bytes of an edit, signed by a key as if it were the network's."""
    change: list[rlp.Item] = [encode_quantity(kind), account, b"", value]
    owner = dev_address(signer.public_key)
    head = [encode_quantity(chain_id), encode_quantity(nonce), b"", b"", owner, b"", b"", b"edit"]
    body = rlp.encode([*head, change])
    return DEV_TYPE + signer.sign(DEV_TRANSACTION.anywhere(), body) + body
