"""Transactions signed here are those that eth-account signs."""

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.pooled import read_transaction
from services.gateway.rpc.parameters import BadParameter
from services.gateway.transactions import (
    Unsigned,
    encode,
    read_wanted,
    sign,
    unsigned_of,
    with_input,
)

KEY = bytes(range(1, 33))
U64, U128 = st.integers(0, 2**64 - 1), st.integers(0, 2**128 - 1)
ACCESSES = st.lists(
    st.tuples(
        st.binary(min_size=20, max_size=20),
        st.lists(st.binary(min_size=32, max_size=32), max_size=2).map(tuple),
    ),
    max_size=2,
).map(tuple)


@st.composite
def transactions(draw):
    kind = draw(st.sampled_from([0, 1, 2]))
    fee = draw(U128)
    return Unsigned(
        type=kind,
        nonce=draw(U64),
        gas=draw(U64),
        max_fee=fee,
        max_tip=draw(st.integers(0, fee)) if kind == 2 else fee,
        to=draw(st.none() | st.binary(min_size=20, max_size=20)),
        value=draw(U128),
        input=draw(st.binary(max_size=100)),
        chain_id=draw(st.integers(1, 2**32)),
        access_list=draw(ACCESSES) if kind else None,
    )


def by_eth_account(unsigned):
    fields = {
        "nonce": unsigned.nonce,
        "gas": unsigned.gas,
        "value": unsigned.value,
        "data": unsigned.input,
        "chainId": unsigned.chain_id,
        "to": b"" if unsigned.to is None else unsigned.to,
    }
    if unsigned.type != 2:
        fields["gasPrice"] = unsigned.max_fee
    else:
        fields |= {"maxFeePerGas": unsigned.max_fee, "maxPriorityFeePerGas": unsigned.max_tip}
    if unsigned.type:
        fields["type"] = unsigned.type
        fields["accessList"] = [
            {"address": account, "storageKeys": [f"0x{one.hex()}" for one in slots]}
            for account, slots in unsigned.access_list
        ]
    return bytes(Account.sign_transaction(fields, KEY).raw_transaction)


@given(transactions())
def test_raw_bytes_are_eth_accounts_and_are_read_back(unsigned):
    raw = sign(unsigned, KEY)
    assert raw == by_eth_account(unsigned)
    signed = read_transaction(raw)
    assert signed.sender.hex() == Account.from_key(KEY).address[2:].lower()
    assert unsigned_of(signed) == unsigned
    assert encode(signed) == raw


def test_legacy_transactions_of_any_chain_stay_so():
    unsigned = Unsigned(0, 1, 2, 3, 3, bytes(20), 4, b"five", None, None)
    signed = read_transaction(sign(unsigned, KEY))
    assert (signed.chain_id, signed.v in (27, 28)) == (None, True)
    assert unsigned_of(signed) == unsigned


def test_a_longer_input_gets_the_gas_of_its_bytes():
    unsigned = Unsigned(0, 1, 100, 3, 3, bytes(20), 4, b"five", 1, None)
    longer = with_input(unsigned, bytes(120))
    assert longer.input == bytes(120)
    assert 100 + 116 <= longer.gas <= 100 + 116 + 32
    assert with_input(Unsigned(0, 1, 2**64 - 1, 3, 3, None, 4, b"", 1, None), b"x").gas < 2**64


def test_requests_are_read_as_go_ethereum_does():
    wanted = read_wanted({"From": "0x" + "11" * 20, "nonce": "0x5", "MAXFEEPERGAS": "0x9"})
    assert (wanted.nonce, wanted.max_fee, wanted.max_tip) == (5, 9, None)
    for bad in (
        None,
        [],
        {"nonce": 5},
        {"gasPrice": "0x1", "maxPriorityFeePerGas": "0x1"},
        {"accessList": [{}]},
        {"chainId": "latest"},
    ):
        with pytest.raises(BadParameter):
            read_wanted(bad)
