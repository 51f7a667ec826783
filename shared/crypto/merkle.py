"""
Merkle trees over lists, as CometBFT builds them.

SHA-256: the root of no items is H(""), of one H(0x00 ‖ item), of more H(0x01 ‖ left ‖ right), split
at the largest power of two below their number. Source: RFC 6962 section 2.1; cometbft
crypto/merkle @ v0.40.0.
"""

from collections.abc import Sequence

import evm_native

from shared.crypto.hashes import HASH_BYTES, sha256
from shared.errors import Rejected

MAX_AUNTS = 100
"""Longest proof that is looked at [hashes]. Source: cometbft crypto/merkle/proof.go, MaxAunts."""


class BadMerkleProof(Rejected, module="merkle", code=1):
    """The proof does not show the item at this place under this root."""


def merkle_root(items: Sequence[bytes]) -> bytes:
    """Root over a list, 32 bytes. Native: headers are lists of 14 fields."""
    return evm_native.merkle_root(items)


def merkle_proof(items: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Siblings of an item, from its leaf up to the root."""
    if not 0 <= index < len(items):
        raise IndexError(f"no item {index} among {len(items)}")
    aunts = []
    level = [_leaf(item) for item in items]
    while len(level) > 1:
        if (sibling := index ^ 1) < len(level):
            aunts.append(level[sibling])
        above = [_inner(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            above.append(level[-1])
        level, index = above, index // 2
    return tuple(aunts)


def verify_merkle_proof(
    root: bytes, item: bytes, *, index: int, total: int, aunts: Sequence[bytes]
) -> None:
    """
    Verify that an item stands at a place in a list of `total` items with this root.

    Raises
    ------
    BadMerkleProof
        Impossible place, wrong number of siblings, or another root.
    """
    if not 0 <= index < total or len(aunts) > MAX_AUNTS:
        raise BadMerkleProof(f"no item {index} among {total} by {len(aunts)} siblings")
    if any(len(aunt) != HASH_BYTES for aunt in aunts):
        raise BadMerkleProof(f"a sibling has not {HASH_BYTES} bytes")
    digest = _leaf(item)
    rest = list(reversed(aunts))
    while total > 1:
        sibling = index ^ 1
        if sibling < total:
            if not rest:
                raise BadMerkleProof("too few siblings")
            aunt = rest.pop()
            digest = _inner(aunt, digest) if sibling < index else _inner(digest, aunt)
        index, total = index // 2, (total + 1) // 2
    if rest:
        raise BadMerkleProof("too many siblings")
    if digest != root:
        raise BadMerkleProof("the siblings lead to another root")


def _leaf(item: bytes) -> bytes:
    return sha256(b"\x00" + item)


def _inner(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)
