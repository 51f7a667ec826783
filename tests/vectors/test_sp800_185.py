"""NIST's examples of cSHAKE, KMAC and TupleHash."""

import json
from pathlib import Path

import pytest

from shared.crypto.hashes import cshake256, kmac256, sha3_256, tuple_hash256

VECTORS = json.loads(Path(__file__).with_name("sp800-185.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["cshake256"])
def test_cshake256_gives_nists_output(vector):
    output = bytes.fromhex(vector["output"])
    message, custom = bytes.fromhex(vector["message"]), vector["custom"].encode()
    assert cshake256(message, custom, len(output)) == output


@pytest.mark.parametrize("vector", VECTORS["kmac256"])
def test_kmac256_gives_nists_output(vector):
    output = bytes.fromhex(vector["output"])
    key, message = bytes.fromhex(vector["key"]), bytes.fromhex(vector["message"])
    assert kmac256(key, message, vector["custom"].encode(), len(output)) == output


@pytest.mark.parametrize("vector", VECTORS["tuple_hash256"])
def test_tuple_hash256_gives_nists_output(vector):
    output = bytes.fromhex(vector["output"])
    items = map(bytes.fromhex, vector["items"])
    assert tuple_hash256(vector["custom"].encode(), *items, length=len(output)) == output


def test_a_short_key_is_refused():
    with pytest.raises(ValueError, match="at least 32"):
        kmac256(bytes(31), b"", b"")


def test_a_tuple_is_not_its_joined_items():
    hashes = {tuple_hash256(b"", *items) for items in ((b"ab",), (b"a", b"b"), (b"ab", b""))}
    assert len(hashes) == 3


def test_sha3_is_not_keccak():
    # FIPS 202, the empty message.
    assert sha3_256(b"").hex().startswith("a7ffc6f8bf1ed76651c14756a061d662")
