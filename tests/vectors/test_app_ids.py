"""App ids against oasis-sdk's own vectors (`runtime-sdk/src/modules/rofl/app_id.rs`)."""

import pytest

from shared.crypto.address import MalformedAddress, staking_address
from shared.crypto.hashes import sha512_256
from shared.crypto.signing import Signer
from shared.rules.app_ids import (
    app_id_by_name,
    app_id_by_nonce,
    app_id_by_place,
    decode_app_id,
    encode_app_id,
)

ALICE = staking_address(Signer(sha512_256(b"oasis-runtime-sdk/test-keys: alice")).public_key)
VECTORS = (
    (app_id_by_nonce(ALICE, 0), "rofl1qqxxv77j6qy3rh50ah9kxehsh26e2hf7p5r6kwsq"),
    (app_id_by_place(ALICE, 42, 0), "rofl1qr98wz5t6q4x8ng6a5l5v7rqlx90j3kcnun5dwht"),
    (app_id_by_name("test global app"), "rofl1qrev5wq76npkmcv5wxkdxxcu4dhmu704yyl30h43"),
)


@pytest.mark.parametrize(("app_id", "text"), VECTORS, ids=["nonce", "place", "name"])
def test_schemes_equal_oasis_sdk(app_id, text):
    assert encode_app_id(app_id) == text
    assert decode_app_id(text) == app_id


def test_an_address_of_the_ledger_is_no_app():
    with pytest.raises(MalformedAddress):
        decode_app_id("oasis1qrec770vrek0a9a5lcrv0zvt22504k68svq7kzve")
    with pytest.raises(MalformedAddress):
        decode_app_id("rofl1qqxxv77j6qy3rh50ah9kxehsh26e2hf7p5r6kwsp")
