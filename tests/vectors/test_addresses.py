"""Addresses that oasis-core and its SDK publish. Source: oasis-core go/staking/api @ f9f1fdc."""

import pytest

from shared.crypto.address import (
    MalformedAddress,
    decode_address,
    encode_address,
    ethereum_address,
    staking_address,
)
from shared.crypto.hashes import sha512_256
from shared.crypto.signing import Signer

RESERVED = {
    "common pool": ("1abe11edc001", "oasis1qrmufhkkyyf79s5za2r8yga9gnk4t446dcy3a5zm"),
    "fee accumulator": ("1abe11edfeeacc", "oasis1qqnv3peudzvekhulf8v3ht29z4cthkhy7gkxmph5"),
    "governance": ("1abe11eddeaccf", "oasis1qp65laz8zsa9a305wxeslpnkh9x4dv2h2qhjz0ec"),
}


@pytest.mark.parametrize(("prefix", "text"), RESERVED.values(), ids=RESERVED.keys())
def test_reserved_accounts_have_their_addresses(prefix: str, text: str) -> None:
    address = staking_address(bytes.fromhex(prefix.ljust(64, "f")))
    assert encode_address(address) == text
    assert decode_address(text) == address


def test_alice_has_her_address() -> None:
    alice = Signer(sha512_256(b"oasis-runtime-sdk/test-keys: alice"))
    expected = "oasis1qrec770vrek0a9a5lcrv0zvt22504k68svq7kzve"
    assert encode_address(staking_address(alice.public_key)) == expected


def test_ethereum_account_has_its_address() -> None:
    account = bytes.fromhex("dce075e1c39b1ae0b75d554558b6451a226ffe00")
    expected = "oasis1qrk58a6j2qn065m6p06jgjyt032f7qucy5wqeqpt"
    assert encode_address(ethereum_address(account)) == expected


@pytest.mark.parametrize(
    "text", ["", "oasis1", "oasis1qrmufhkkyyf79s5za2r8yga9gnk4t446dcy3a5zn", "rofl1qqn9xndja7e"]
)
def test_other_text_is_no_address(text: str) -> None:
    with pytest.raises(MalformedAddress):
        decode_address(text)
