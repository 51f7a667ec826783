"""The state tree: one root for one content, and proofs that hold for nothing else."""

import pytest

from shared.crypto.hashes import EMPTY_HASH, sha512_256
from shared.crypto.state_tree import BadStateProof, StateTree, verify_state_proof


def tree_of(**entries: bytes) -> StateTree:
    return StateTree.empty().with_changes({k.encode(): v for k, v in entries.items()})


def test_the_empty_tree_has_the_hash_of_nothing_as_its_root():
    assert StateTree.empty().root == EMPTY_HASH
    assert len(StateTree.empty()) == 0


def test_a_single_entry_is_hashed_as_documented():
    path = sha512_256(b"key")
    assert tree_of(key=b"value").root == sha512_256(b"\x00" + path + sha512_256(b"value"))


def test_an_empty_value_is_an_entry():
    tree = tree_of(key=b"")
    assert tree.get(b"key") == b""
    verify_state_proof(tree.root, tree.prove([b"key"]), [(b"key", b"")])


def test_a_change_leaves_the_older_version_as_it_was():
    older = tree_of(a=b"1", b=b"2")
    root = older.root
    newer = older.with_changes({b"a": None, b"c": b"3"})
    assert (older.root, older.get(b"a"), older.get(b"c")) == (root, b"1", None)
    assert (newer.get(b"a"), newer.get(b"c")) == (None, b"3")


def test_removing_what_is_not_there_changes_nothing():
    tree = tree_of(a=b"1")
    assert tree.with_changes({b"z": None}).root == tree.root


def test_items_come_in_key_order_under_a_prefix():
    tree = tree_of(b2=b"2", a=b"0", b1=b"1", c=b"3")
    assert list(tree.items(b"b")) == [(b"b1", b"1"), (b"b2", b"2")]
    assert [key for key, _ in tree.items()] == [b"a", b"b1", b"b2", b"c"]


def test_a_proof_of_absence_holds_in_an_empty_tree():
    tree = StateTree.empty()
    verify_state_proof(tree.root, tree.prove([b"a"]), [(b"a", None)])
    with pytest.raises(BadStateProof, match="not there"):
        verify_state_proof(tree.root, tree.prove([b"a"]), [(b"a", b"1")])


def test_a_proof_does_not_hold_for_another_value():
    tree = tree_of(a=b"1", b=b"2")
    with pytest.raises(BadStateProof, match="another root"):
        verify_state_proof(tree.root, tree.prove([b"a"]), [(b"a", b"9")])


def test_a_present_key_cannot_be_shown_as_absent():
    tree = tree_of(a=b"1", b=b"2")
    with pytest.raises(BadStateProof, match="none is claimed"):
        verify_state_proof(tree.root, tree.prove([b"a"]), [(b"a", None)])


def test_a_proof_of_a_present_key_as_a_stranger_is_refused():
    tree = tree_of(a=b"1")
    as_other = b"\x04" + sha512_256(b"a") + sha512_256(b"1")
    with pytest.raises(BadStateProof, match="another one"):
        verify_state_proof(tree.root, as_other, [(b"a", None)])


def test_a_digest_cannot_stand_where_a_value_is_asked():
    tree = tree_of(a=b"1", b=b"2")
    with pytest.raises(BadStateProof, match="cannot stand"):
        verify_state_proof(tree.root, b"\x01" + tree.root, [(b"a", b"1")])


def test_a_proof_for_fewer_keys_than_are_claimed_is_refused():
    tree = tree_of(a=b"1", b=b"2", c=b"3", d=b"4")
    with pytest.raises(BadStateProof):
        verify_state_proof(tree.root, tree.prove([b"a"]), [(b"a", b"1"), (b"b", b"2")])


@pytest.mark.parametrize("garbage", [b"", b"\x02", b"\x02\x00\x01", b"\x07", b"\x00\x00"])
def test_garbage_is_no_proof(garbage):
    with pytest.raises(BadStateProof):
        verify_state_proof(tree_of(a=b"1").root, garbage, [(b"a", b"1")])


def test_bits_that_do_not_rise_are_refused():
    with pytest.raises(BadStateProof, match="stands below"):
        verify_state_proof(bytes(32), b"\x02\x05" * 2, [])


def test_contradicting_claims_are_refused():
    tree = tree_of(a=b"1")
    with pytest.raises(BadStateProof, match="two values"):
        verify_state_proof(tree.root, tree.prove([b"a"]), [(b"a", b"1"), (b"a", None)])
