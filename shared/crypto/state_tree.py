"""
The authenticated map that holds consensus state, and proofs about its entries.

A binary Merkle tree with compressed paths. An entry's path is SHA-512/256 of its key, so the tree
is balanced whoever chooses the keys. A branch names the bit at which its two sides part:

| node | digest |
|---|---|
| empty tree | H("") |
| leaf | H(0x00 ‖ path ‖ H(value)) |
| branch | H(0x01 ‖ bit, 1 byte ‖ digest of side 0 ‖ digest of side 1) |

Following a path through the branches' bits ends at the only leaf that may hold it, so one leaf
proves both presence and absence. Trees are immutable and share structure: a change of k entries
costs O(k · depth), and keeping many versions costs only their differences.

Native (`crates/consensus-core`): each block changes and proves it, and every enclave verifies that.
"""

from collections.abc import Sequence

from evm_native import ProofError, StateTree
from evm_native import verify_state_proof as verify_natively

from shared.errors import Rejected

__all__ = ["BadStateProof", "StateTree", "verify_state_proof"]


class BadStateProof(Rejected, module="state_proof", code=1):
    """The proof does not show these items under this root."""


def verify_state_proof(
    root: bytes, untrusted: bytes, items: Sequence[tuple[bytes, bytes | None]]
) -> None:
    """
    Verify that a map with this root has these entries.

    Parameters
    ----------
    root : `bytes`
        Trusted digest of the map, 32 bytes.
    untrusted : `bytes`
        Made by `StateTree.prove` for exactly these keys.
    items : sequence of (key, value)
        A value of None claims that the key is absent.

    Raises
    ------
    BadStateProof
        The proof has another root, is malformed, or shows another value for an item.
    """
    try:
        verify_natively(root, untrusted, items)
    except ProofError as error:
        raise BadStateProof(str(error)) from None
