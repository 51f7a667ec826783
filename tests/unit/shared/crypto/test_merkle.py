"""CometBFT's Merkle trees over lists."""

import pytest

from shared.crypto.hashes import sha256
from shared.crypto.merkle import (
    BadMerkleProof,
    merkle_proof,
    merkle_root,
    verify_merkle_proof,
)


def leaf(item: bytes) -> bytes:
    return sha256(b"\x00" + item)


def inner(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)


def test_no_items_have_the_hash_of_nothing():
    # Source: RFC 6962 section 2.1; cometbft crypto/merkle/tree_test.go, "empty".
    expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle_root([]).hex() == expected


def test_one_item_is_hashed_as_a_leaf():
    # Source: cometbft crypto/merkle/tree_test.go, "single".
    expected = "054edec1d0211f624fed0cbca9d4f9400b0e491c43742af2c5b0abebf0c990d8"
    assert merkle_root([bytes([1, 2, 3])]).hex() == expected


def test_two_items_as_cometbft_has_them():
    # Source: cometbft crypto/merkle/tree_test.go, "two".
    expected = "82e6cfce00453804379b53962939eaa7906b39904be0813fcadd31b100773c4b"
    assert merkle_root([bytes([1, 2, 3]), bytes([4, 5, 6])]).hex() == expected


def test_five_items_are_split_at_four():
    items = [bytes([number]) for number in range(5)]
    first, second, third, fourth, fifth = map(leaf, items)
    four = inner(inner(first, second), inner(third, fourth))
    assert merkle_root(items) == inner(four, fifth)


@pytest.mark.parametrize("total", range(1, 18))
def test_every_item_has_a_proof_that_holds_for_its_place_alone(total):
    items = [bytes([number]) for number in range(total)]
    root = merkle_root(items)
    for index, item in enumerate(items):
        aunts = merkle_proof(items, index)
        verify_merkle_proof(root, item, index=index, total=total, aunts=aunts)
        for other in range(total):
            if other != index:
                with pytest.raises(BadMerkleProof):
                    verify_merkle_proof(root, item, index=other, total=total, aunts=aunts)


def test_a_proof_holds_for_no_other_item_total_or_siblings():
    items = [b"a", b"b", b"c"]
    root, aunts = merkle_root(items), merkle_proof(items, 2)
    for item, index, total, given in [
        (b"d", 2, 3, aunts),
        (b"c", 2, 4, aunts),
        (b"c", 3, 3, aunts),
        (b"c", -1, 3, aunts),
        (b"c", 2, 3, ()),
        (b"c", 2, 3, (*aunts, aunts[0])),
        (b"c", 2, 3, (b"short",)),
        (b"c", 2, 3, aunts * 101),
    ]:
        with pytest.raises(BadMerkleProof):
            verify_merkle_proof(root, item, index=index, total=total, aunts=given)


def test_an_inner_node_does_not_pass_for_an_item():
    items = [b"a", b"b", b"c", b"d"]
    as_item = leaf(b"a") + leaf(b"b")
    aunt = inner(leaf(b"c"), leaf(b"d"))
    with pytest.raises(BadMerkleProof):
        verify_merkle_proof(merkle_root(items), as_item, index=0, total=2, aunts=(aunt,))
