"""Hashes of typed data are those of eth-account."""

import pytest
from eth_account._utils.encode_typed_data.encoding_and_hashing import hash_type
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from services.gateway.rpc.parameters import BadParameter
from services.gateway.typed_data import hash_typed_data

DOMAIN = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
MAIL = {
    "types": {
        "EIP712Domain": DOMAIN,
        "Person": [{"name": "name", "type": "string"}, {"name": "wallets", "type": "address[]"}],
        "Mail": [
            {"name": "from", "type": "Person"},
            {"name": "to", "type": "Person[2]"},
            {"name": "contents", "type": "bytes"},
            {"name": "tag", "type": "bytes4"},
            {"name": "amount", "type": "int64"},
            {"name": "fee", "type": "uint8"},
            {"name": "urgent", "type": "bool"},
            {"name": "grid", "type": "uint16[2][]"},
        ],
    },
    "primaryType": "Mail",
    "domain": {
        "name": "Ether Mail",
        "version": "1",
        "chainId": 0x5AFD,
        "verifyingContract": "0x" + "cc" * 20,
    },
    "message": {
        "from": {"name": "Cow", "wallets": ["0x" + "11" * 20]},
        "to": [{"name": "Bob", "wallets": []}, {"name": "Zoë", "wallets": ["0x" + "22" * 20] * 3}],
        "contents": "0x0102",
        "tag": "0xdeadbeef",
        "amount": -7,
        "fee": 255,
        "urgent": True,
        "grid": [[1, 2], [3, 4]],
    },
}


def test_it_hashes_as_eth_account():
    signable = encode_typed_data(full_message=MAIL)
    expected = keccak(b"\x19\x01" + signable.header + signable.body)
    assert hash_typed_data(MAIL) == expected
    assert hash_type("Mail", MAIL["types"])  # the peer knows arrays of arrays


def test_the_example_of_the_eip():
    person = [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}]
    mail = [
        {"name": "from", "type": "Person"},
        {"name": "to", "type": "Person"},
        {"name": "contents", "type": "string"},
    ]
    data = {
        "types": {"EIP712Domain": DOMAIN, "Person": person, "Mail": mail},
        "primaryType": "Mail",
        "domain": {
            "name": "Ether Mail",
            "version": "1",
            "chainId": 1,
            "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
        },
        "message": {
            "from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
            "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
            "contents": "Hello, Bob!",
        },
    }
    # Source: EIP-712, assets/eip-712/Example.js.
    digest = "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"
    assert hash_typed_data(data).hex() == digest


def changed(**changes):
    return MAIL | {"message": MAIL["message"] | changes}


@pytest.mark.parametrize(
    "data",
    [
        *(None, {}, {"types": {}}, MAIL | {"types": []}, MAIL | {"primaryType": "Nobody"}),
        MAIL | {"types": MAIL["types"] | {"Mail": [{"name": "x"}]}},
        MAIL | {"types": MAIL["types"] | {"Mail": [{"name": "fee", "type": "uint7"}]}},
        MAIL | {"types": MAIL["types"] | {"Mail": [{"name": "fee", "type": "float"}]}},
        MAIL | {"types": MAIL["types"] | {"Mail": [{"name": "tag", "type": "bytes33"}]}},
        *(changed(fee=256), changed(fee=-1), changed(fee="x"), changed(fee=True), changed(fee=1.5)),
        *(changed(amount=2**63), changed(urgent=1), changed(tag="0x00"), changed(contents="zz")),
        *(changed(to=[]), changed(to={}), changed(grid=[[1]]), changed(fee="9" * 81)),
        {**changed(), "message": []},
    ],
)
def test_what_is_none_is_refused(data):
    with pytest.raises(BadParameter):
        hash_typed_data(data)


def test_what_nests_too_deep_is_refused():
    types = {"Node": [{"name": "next", "type": "Node"}]}
    message = {}
    for _ in range(100):
        message = {"next": message}
    with pytest.raises(BadParameter, match="too deep"):
        hash_typed_data({"types": types, "primaryType": "Node", "message": message})


def test_what_is_left_out_of_a_structure_is_zero():
    types = {"Node": [{"name": "next", "type": "Node"}]}
    hash_typed_data({"types": types, "primaryType": "Node", "message": {}})
