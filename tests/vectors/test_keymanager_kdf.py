"""Key derivation against oasis-core's own vectors."""

import json
from pathlib import Path

import pytest

from services.keymanager.enclave.derivation import derive_ephemeral_keys, derive_long_term_keys
from shared.crypto.secret import SecretBytes

VECTORS = json.loads((Path(__file__).parent / "keymanager-kdf.json").read_text())["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_long_term_pair_equals_oasis_core(vector):
    pair = derive_long_term_keys(
        SecretBytes(bytes.fromhex(vector["master_secret"])),
        bytes.fromhex(vector["runtime_id"]),
        bytes.fromhex(vector["key_pair_id"]),
    )
    assert pair.secret_key.hex() == vector["long_term_sk"]
    assert pair.public_key.hex() == vector["long_term_pk"]


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_ephemeral_pair_equals_oasis_core(vector):
    pair = derive_ephemeral_keys(
        SecretBytes(bytes.fromhex(vector["ephemeral_secret"])),
        bytes.fromhex(vector["runtime_id"]),
        bytes.fromhex(vector["key_pair_id"]),
        int(vector["epoch"]),
    )
    assert pair.secret_key.hex() == vector["ephemeral_sk"]
    assert pair.public_key.hex() == vector["ephemeral_pk"]
