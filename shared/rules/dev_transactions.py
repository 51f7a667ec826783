"""
Transactions of an EVM that only the owner of a network with dev controls may make (ADR 0045).

Raw, one is `0x7d ‖ signature ‖ rlp(body)`. The enclave verifies the signature by the key in its
measured configuration; see `crates/evm-core/src/dev_transaction.rs`, where the body is read.
"""

from shared.crypto.hashes import keccak256
from shared.crypto.signing import register_context

DEV_TYPE = b"\x7d"
DEV_TRANSACTION = register_context("qanat/evm: dev transaction")


def dev_address(public_key: bytes) -> bytes:
    """Account whose nonces put the edits of a dev-control key in order, 20 bytes."""
    return keccak256(public_key)[12:]
