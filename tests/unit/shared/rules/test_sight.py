"""What is signed of a view request is what any wallet signs of the same typed data."""

import pytest
from eth_account import Account
from evm_native import recover_signer

from qanat.view.sight import ask, sign_as_sender
from shared.rules.sight import answer_binding, view_digest

CHAIN_ID = 0x5AFD
KEY = b"\x01" * 32
TYPE = [
    {"name": "transaction", "type": "bytes32"},
    {"name": "asker", "type": "bytes32"},
    {"name": "expires", "type": "uint64"},
]


def test_a_wallet_signs_the_same_digest() -> None:
    request = ask(b"\x02" * 32, 77).request
    signed = Account.sign_typed_data(
        KEY,
        {"name": "qanat: view request", "version": "1", "chainId": CHAIN_ID},
        {"ViewRequest": TYPE},
        {"transaction": request.transaction, "asker": request.asker, "expires": 77},
    )
    digest = view_digest(request, CHAIN_ID)
    address = bytes.fromhex(Account.from_key(KEY).address[2:])
    assert recover_signer(digest, bytes(signed.signature)) == address
    assert recover_signer(digest, sign_as_sender(request, KEY, CHAIN_ID)) == address


@pytest.mark.parametrize("expires_s", [78, 2**64 - 1])
def test_each_request_has_a_digest_and_a_binding_of_its_own(expires_s: int) -> None:
    first = ask(b"\x02" * 32, 77, secret=b"\x03" * 32).request
    other = ask(b"\x02" * 32, expires_s, secret=b"\x03" * 32).request
    assert view_digest(first, CHAIN_ID) != view_digest(other, CHAIN_ID)
    assert view_digest(first, CHAIN_ID) != view_digest(first, CHAIN_ID + 1)
    assert answer_binding(first) != answer_binding(other)
