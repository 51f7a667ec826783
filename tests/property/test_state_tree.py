"""The state tree against a dictionary, and its proofs against everything near them."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from shared.crypto.state_tree import BadStateProof, StateTree, verify_state_proof

KEYS = st.binary(max_size=3)
ENTRIES = st.dictionaries(KEYS, st.binary(max_size=4), max_size=40)
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=4), max_size=40)


@given(st.lists(CHANGES, max_size=6))
def test_a_tree_behaves_as_a_dictionary(batches):
    tree, model = StateTree.empty(), {}
    for batch in batches:
        tree = tree.with_changes(batch)
        model |= batch
    model = {key: value for key, value in model.items() if value is not None}
    assert dict(tree.items()) == model
    assert list(tree.items()) == sorted(model.items())
    assert len(tree) == len(model)
    assert all(tree.get(key) == value for key, value in model.items())


@given(st.lists(CHANGES, max_size=6))
def test_the_root_depends_on_the_entries_alone(batches):
    tree, model = StateTree.empty(), {}
    for batch in batches:
        tree = tree.with_changes(batch)
        model |= batch
    at_once = StateTree.empty().with_changes(dict(reversed(model.items())))
    assert tree.root == at_once.root


@given(ENTRIES, ENTRIES)
def test_different_entries_have_different_roots(one, other):
    roots = StateTree.empty().with_changes(one).root, StateTree.empty().with_changes(other).root
    assert (roots[0] == roots[1]) == (one == other)


@given(ENTRIES, st.lists(KEYS, max_size=10))
def test_every_proof_of_true_items_holds(entries, keys):
    tree = StateTree.empty().with_changes(entries)
    verify_state_proof(tree.root, tree.prove(keys), [(key, entries.get(key)) for key in keys])


@given(ENTRIES, st.lists(KEYS, min_size=1, max_size=10), st.data())
def test_no_proof_holds_for_a_false_item(entries, keys, data):
    tree = StateTree.empty().with_changes(entries)
    items = [(key, entries.get(key)) for key in keys]
    index = data.draw(st.integers(0, len(items) - 1))
    key, truth = items[index]
    lie = data.draw((st.none() | st.binary(max_size=4)).filter(lambda value: value != truth))
    items[index] = (key, lie)
    with pytest.raises(BadStateProof):
        verify_state_proof(tree.root, tree.prove(keys), items)


@given(ENTRIES, st.lists(KEYS, max_size=5), st.data())
def test_a_changed_proof_shows_nothing_false(entries, keys, data):
    tree = StateTree.empty().with_changes(entries)
    proof = bytearray(tree.prove(keys))
    at = data.draw(st.integers(0, len(proof) - 1))
    proof[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadStateProof):
        verify_state_proof(tree.root, bytes(proof), [(key, entries.get(key)) for key in keys])


@given(st.binary(max_size=200), st.lists(KEYS, max_size=3))
def test_any_bytes_are_refused_with_a_typed_error(untrusted, keys):
    with pytest.raises(BadStateProof):
        verify_state_proof(b"\x01" * 32, untrusted, [(key, b"v") for key in keys])
