"""Key pair ids against values computed independently from the specification of SP 800-185."""

import json
from pathlib import Path

import pytest

from shared.rules import key_ids

VECTORS = json.loads((Path(__file__).parent / "keymanager-key-ids.json").read_text())["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_key_pair_id_is_the_tuple_hash_of_its_items(vector):
    items = [bytes.fromhex(item) for item in vector["items"]]
    assert key_ids.key_pair_id(*items).hex() == vector["id"]


def test_named_ids_are_those_of_their_items():
    by_name = {vector["name"]: vector["id"] for vector in VECTORS}
    runtime_id = bytes.fromhex("8000000000000000000000000000000000000000000000000000000000000000")
    context = "ab" * 32
    assert key_ids.transaction_key_id(runtime_id, context, 7).hex() == by_name["transaction"]
    assert key_ids.state_key_id(bytes(range(20))).hex() == by_name["state"]
    assert key_ids.random_key_id(0, b"\x11" * 32).hex() == by_name["random"]
    assert key_ids.epoch_random_key_id().hex() == by_name["epoch random"]


def test_items_are_not_just_concatenated():
    assert key_ids.key_pair_id(b"ab", b"c") != key_ids.key_pair_id(b"a", b"bc")
