"""Unlocked accounts: who is told of them, what is signed, and for whom."""

import asyncio
import json

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data

from services.gateway.unlocked import UNLOCKED_FILE, BadUnlockedKeys, load_unlocked
from tests.support.gateway import FIRST_ADDRESS, FIRST_KEY, SECOND_ADDRESS, running_gateway
from tests.support.signing import GWEI, RECEIVER

SECOND_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
CALL = {"from": FIRST_ADDRESS, "to": RECEIVER, "value": "0x7"}
STRANGER = "0x" + "77" * 20


@pytest.fixture
async def gateway(tmp_path):
    (tmp_path / UNLOCKED_FILE).write_text(json.dumps([FIRST_KEY, SECOND_KEY]))
    async with running_gateway(tmp_path, unsafe_dev_controls=True) as running:
        yield running


async def ask(gateway, method, *params, **headers):
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    return (await gateway.client.post("/", json=body, headers=headers)).json()


async def test_only_the_profile_dev_tells_of_them(gateway):
    dev = {"x-qanat-profile": "dev"}
    assert (await ask(gateway, "eth_accounts", **dev))["result"] == [FIRST_ADDRESS, SECOND_ADDRESS]
    assert await gateway.rpc("eth_accounts") == []


@pytest.mark.parametrize("profile", ["strict", "dev"])
async def test_what_they_send_is_mined(gateway, profile):
    hash_ = (await ask(gateway, "eth_sendTransaction", CALL, **{"x-qanat-profile": profile}))[
        "result"
    ]
    receipt = await gateway.rpc("eth_getTransactionReceipt", hash_)
    assert (receipt["from"], receipt["status"]) == (FIRST_ADDRESS, "0x1")
    assert await gateway.rpc("eth_getBalance", RECEIVER, "latest") == "0x7"
    shown = await gateway.rpc("eth_getTransactionByHash", hash_)
    assert shown["type"] == ("0x0" if profile == "strict" else "0x2")


async def test_those_of_one_moment_get_nonces_in_a_row(gateway):
    sent = [gateway.rpc("eth_sendTransaction", CALL) for _ in range(5)]
    hashes = await asyncio.gather(*sent)
    shown = [await gateway.rpc("eth_getTransactionByHash", one) for one in hashes]
    assert sorted(int(one["nonce"], 16) for one in shown) == [0, 1, 2, 3, 4]


async def rounds_of(gateway, calls):
    hashes = await asyncio.gather(*(gateway.rpc("eth_sendTransaction", one) for one in calls))
    receipts = [await gateway.rpc("eth_getTransactionReceipt", one) for one in hashes]
    assert {one["status"] for one in receipts} == {"0x1"}
    return {one["blockNumber"] for one in receipts}


async def test_senders_do_not_wait_for_each_other(gateway):
    assert len(await rounds_of(gateway, [CALL, CALL | {"from": SECOND_ADDRESS}])) == 1


async def test_one_sender_waits_for_the_round_where_gas_is_estimated(gateway):
    assert len(await rounds_of(gateway, [CALL] * 3)) == 3


async def test_nonces_go_on_where_they_were_after_a_refusal_and_after_a_rewind(gateway):
    """What was refused takes no nonce, and what was undone gives its nonce back."""
    snapshot = await gateway.rpc("evm_snapshot")
    good, poor = CALL | {"gas": "0xffff"}, CALL | {"gas": "0x1"}
    told = await asyncio.gather(
        *(ask(gateway, "eth_sendTransaction", one) for one in (good, poor, good))
    )
    assert ["error" in one for one in told] == [False, True, False]
    shown = [await gateway.rpc("eth_getTransactionByHash", told[at]["result"]) for at in (0, 2)]
    assert [one["nonce"] for one in shown] == ["0x0", "0x1"]
    assert await gateway.rpc("evm_revert", snapshot) is True
    again = await gateway.rpc("eth_sendTransaction", good)
    assert (await gateway.rpc("eth_getTransactionByHash", again))["nonce"] == "0x0"


async def test_what_is_said_is_signed(gateway):
    wanted = CALL | {"nonce": "0x5", "gas": "0xffff", "gasPrice": hex(7 * GWEI)}
    signed = await gateway.rpc("eth_signTransaction", wanted)
    expected = Account.sign_transaction(
        {
            "to": RECEIVER,
            "value": 7,
            "nonce": 5,
            "gas": 0xFFFF,
            "gasPrice": 7 * GWEI,
            "chainId": 0x5AFD,
        },
        FIRST_KEY,
    )
    assert signed["raw"] == "0x" + bytes(expected.raw_transaction).hex()


async def test_messages_are_signed_as_eth_account_signs_them(gateway):
    signature = await gateway.rpc("eth_sign", FIRST_ADDRESS, "0x" + b"hello".hex())
    expected = Account.sign_message(encode_defunct(b"hello"), FIRST_KEY).signature
    assert signature == "0x" + bytes(expected).hex()


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("method", ["eth_signTypedData_v4", "eth_signTypedData"])
async def test_typed_data_is_signed_as_eth_account_signs_it(gateway, method, as_text):
    data = {
        "types": {
            "EIP712Domain": [{"name": "name", "type": "string"}],
            "Permit": [{"name": "value", "type": "uint256"}],
        },
        "primaryType": "Permit",
        "domain": {"name": "Token"},
        "message": {"value": 7},
    }
    signature = await gateway.rpc(method, SECOND_ADDRESS, json.dumps(data) if as_text else data)
    expected = Account.sign_message(encode_typed_data(full_message=data), SECOND_KEY).signature
    assert signature == "0x" + bytes(expected).hex()
    assert (await gateway.error(method, SECOND_ADDRESS, "{"))["code"] == -32602


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_sendTransaction", [CALL | {"from": STRANGER}]),
        ("eth_signTransaction", [CALL | {"from": STRANGER}]),
        ("eth_sign", [STRANGER, "0x00"]),
    ],
)
async def test_nobody_else_is_signed_for(gateway, method, params):
    assert "unknown account" in (await gateway.error(method, *params))["message"]


@pytest.mark.parametrize("method", ["eth_sendTransaction", "eth_sign", "eth_signTypedData_v4"])
async def test_pages_of_elsewhere_sign_nothing(gateway, method):
    answer = await ask(gateway, method, FIRST_ADDRESS, "0x00", origin="https://evil.example")
    assert "error" in answer
    answer = await ask(gateway, "eth_sendTransaction", CALL, origin="https://evil.example")
    assert "dev controls answer local tools" in answer["error"]["message"]


async def test_without_dev_controls_nothing_is_signed(tmp_path):
    (tmp_path / UNLOCKED_FILE).write_text(json.dumps([FIRST_KEY]))
    async with running_gateway(tmp_path) as gateway:
        for method in ("eth_sendTransaction", "eth_sign", "eth_signTypedData_v4"):
            assert (await gateway.error(method))["code"] == -32601
        dev = {"x-qanat-profile": "dev"}
        assert (await ask(gateway, "eth_accounts", **dev))["result"] == []


@pytest.mark.parametrize("content", ["", "5", '["zz"]', "[5]", '["0x00"]', "[[]]"])
def test_a_file_of_something_else_is_refused_and_not_quoted(tmp_path, content):
    (tmp_path / UNLOCKED_FILE).write_text(content)
    with pytest.raises(BadUnlockedKeys):
        load_unlocked(tmp_path)


async def test_the_fork_is_named(gateway):
    config = await gateway.rpc("eth_config")
    assert (config["next"], config["last"]) == (None, None)
    current = config["current"]
    assert current["chainId"] == "0x5afd"
    assert current["precompiles"]["ECREC"] == "0x" + "01".rjust(40, "0")
    assert current["precompiles"]["OASIS_SHA384"] == "0x01" + "0104".rjust(38, "0")
    assert len(current["precompiles"]) == 22
