"""The hash that a RAK signs is oasis-core's."""

import json
from pathlib import Path

import pytest

from shared.tee.attestation import attestation_hash

VECTORS = json.loads((Path(__file__).parent / "attestation-hash.json").read_text())["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["hash"][:8])
def test_hash_is_that_of_oasis_core(vector):
    rek = None if vector["rek"] is None else bytes.fromhex(vector["rek"])
    computed = attestation_hash(
        bytes.fromhex(vector["report_data"]),
        bytes.fromhex(vector["node_id"]),
        vector["height"],
        rek,
    )
    assert computed.hex() == vector["hash"]
