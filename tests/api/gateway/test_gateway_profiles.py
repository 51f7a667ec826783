"""The profiles `strict` and `dev`: who asks for which, and what differs."""

import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.gateway import listening, running_gateway
from tests.support.signing import ACCOUNT, GWEI, RECEIVER, artifact, sign

POOR = {"from": ACCOUNT.address, "to": RECEIVER, "value": "0x1"}
DEV, STRICT = {"x-qanat-profile": "dev"}, {"x-qanat-profile": "strict"}


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path) as running:
        yield running


async def ask(gateway, headers, method, *params):
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    answer = await gateway.client.post("/", json=body, headers=headers)
    return answer.json(), answer.headers["x-qanat-profile"]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ({}, "strict"),
        (DEV, "dev"),
        (STRICT, "strict"),
        ({"x-qanat-profile": "DEV"}, "dev"),
        ({"x-qanat-profile": ""}, "strict"),
    ],
)
async def test_a_request_names_its_profile_and_the_answer_says_which_it_was(
    gateway, asked, answered
):
    answer, profile = await ask(gateway, asked, "eth_getBlockByNumber", "latest", False)
    assert profile == answered
    assert ("baseFeePerGas" in answer["result"]) == (answered == "dev")


async def test_the_network_says_what_answers_where_a_request_names_none(tmp_path):
    async with running_gateway(tmp_path, profile="dev") as gateway:
        assert (await ask(gateway, {}, "eth_chainId"))[1] == "dev"
        answer, profile = await ask(gateway, STRICT, "eth_getBlockByNumber", "latest", False)
        assert profile == "strict"
        assert "baseFeePerGas" not in answer["result"]


async def test_a_profile_that_is_none_is_an_error_and_no_fallback(gateway):
    body = {"jsonrpc": "2.0", "id": 7, "method": "eth_chainId"}
    wrong = {"x-qanat-profile": "odd" * 20}
    answer = await gateway.client.post("/", json=body, headers=wrong)
    assert (answer.status_code, "x-qanat-profile" in answer.headers) == (400, False)
    assert answer.json()["error"] == {
        "code": -32600,
        "message": f"unknown profile {('odd' * 20)[:32]!r} in x-qanat-profile: "
        "there are dev and strict",
    }
    async with listening(gateway.app) as port:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://127.0.0.1:{port}", additional_headers=wrong):
                pass
    assert refused.value.response.status_code == 400
    assert json.loads(refused.value.response.body) == answer.json()


async def test_a_websocket_keeps_the_profile_that_it_began_with(gateway):
    asked = json.dumps({"id": 1, "method": "eth_getBlockByNumber", "params": ["latest", False]})
    async with listening(gateway.app) as port:
        for headers, has_fee in ((DEV, True), (STRICT, False)):
            async with connect(f"ws://127.0.0.1:{port}", additional_headers=headers) as client:
                assert client.response.headers["x-qanat-profile"] == headers["x-qanat-profile"]
                await client.send(asked)
                assert ("baseFeePerGas" in json.loads(await client.recv())["result"]) == has_fee


async def test_an_estimate_is_that_of_the_sender(gateway):
    strict, _ = await ask(gateway, STRICT, "eth_estimateGas", POOR)
    dev, _ = await ask(gateway, DEV, "eth_estimateGas", POOR)
    # The zero address has nothing to send: what fails gets two million more.
    assert int(strict["result"], 16) > 2_000_000
    assert int(dev["result"], 16) < 30_000
    sent = await gateway.send(sign(0, value=1, gas=int(dev["result"], 16)))
    assert (await gateway.rpc("eth_getTransactionReceipt", sent))["status"] == "0x1"


@pytest.mark.parametrize("tag", ["safe", "finalized"])
async def test_newest_block_is_final_in_dev_and_strict_knows_no_such_tag(gateway, tag):
    for method, rest in (("eth_getBlockByNumber", [False]), ("eth_getBlockReceipts", [])):
        newest, _ = await ask(gateway, DEV, method, "latest", *rest)
        final, _ = await ask(gateway, DEV, method, tag, *rest)
        strict, _ = await ask(gateway, STRICT, method, tag, *rest)
        assert final["result"] == newest["result"] is not None
        assert strict["error"]["message"] == "malformed blocknumber"


async def test_no_block_has_uncles_or_blobs(gateway):
    block = (await ask(gateway, DEV, "eth_getBlockByNumber", "latest", False))[0]["result"]
    asked = {"eth_blobBaseFee": ((), "0x1")}
    for by, which in (("Number", block["number"]), ("Hash", block["hash"])):
        asked[f"eth_getUncleCountByBlock{by}"] = ((which,), "0x0")
        asked[f"eth_getUncleByBlock{by}AndIndex"] = ((which, "0x0"), None)
    for method, (params, answer) in asked.items():
        assert (await ask(gateway, DEV, method, *params))[0]["result"] == answer
        assert (await ask(gateway, STRICT, method, *params))[0]["error"]["code"] == -32601
    for by, unknown in (("Number", "0xffff"), ("Hash", "0x" + "11" * 32)):
        answer, _ = await ask(gateway, DEV, f"eth_getUncleCountByBlock{by}", unknown)
        assert answer["result"] is None


async def test_a_transfer_that_is_tried_out_is_that_of_the_sender(gateway):
    assert "error" in (await ask(gateway, STRICT, "eth_call", POOR, "latest"))[0]
    assert (await ask(gateway, DEV, "eth_call", POOR, "latest"))[0]["result"] == "0x"
    too_much = POOR | {"value": hex(10**40)}
    assert "error" in (await ask(gateway, DEV, "eth_call", too_much, "latest"))[0]
    # With data the caller is nobody, in both: the address of what it creates says so.
    asks = {"from": ACCOUNT.address, "data": "0x335f5260205ff3"}
    asked = [await ask(gateway, one, "eth_call", asks, "latest") for one in (STRICT, DEV)]
    unnamed, _ = await ask(gateway, STRICT, "eth_call", {"data": asks["data"]}, "latest")
    assert [answer["result"] for answer, _ in asked] == [unnamed["result"]] * 2


async def test_a_call_that_pays_is_tried_out_with_its_money(gateway):
    identity = "0x" + "00" * 19 + "04"
    pays = {"from": ACCOUNT.address, "to": identity, "value": hex(7 * 10**24), "data": "0x1234"}
    assert "error" in (await ask(gateway, STRICT, "eth_call", pays, "latest"))[0]
    answer, _ = await ask(gateway, DEV, "eth_call", pays, "latest")
    assert answer["result"] == pays["data"]
    # CALLVALUE as the data of a revert.
    reverts = {"from": ACCOUNT.address, "value": "0x7", "data": "0x345f5260205ffd"}
    error = (await ask(gateway, DEV, "eth_call", reverts, "latest"))[0]["error"]
    assert (error["code"], int(error["data"], 16)) == (3, 7)


async def test_what_is_filled_in_has_a_tip_where_blocks_have_a_base_fee(gateway):
    call = {"from": ACCOUNT.address, "to": RECEIVER, "value": "0x1"}
    for headers, changes, kind in (
        (DEV, {}, "0x2"),
        (DEV, {"gasPrice": hex(200 * GWEI)}, "0x0"),
        (STRICT, {}, "0x0"),
    ):
        answer, _ = await ask(gateway, headers, "eth_fillTransaction", call | changes)
        assert answer["result"]["tx"]["type"] == kind


async def test_what_would_fail_is_no_estimate_but_an_error(gateway):
    too_much = POOR | {"value": hex(10**40)}
    assert "result" in (await ask(gateway, STRICT, "eth_estimateGas", too_much))[0]
    error = (await ask(gateway, DEV, "eth_estimateGas", too_much))[0]["error"]
    assert "balance" in error["message"].lower() or "fund" in error["message"].lower()
    # PUSH0 PUSH0 REVERT
    reverts = {"from": ACCOUNT.address, "data": "0x5f5ffd"}
    error = (await ask(gateway, DEV, "eth_estimateGas", reverts))[0]["error"]
    assert error["code"] == 3


async def test_a_failed_transaction_has_its_reason_in_the_receipt(gateway):
    data = bytes.fromhex(artifact("Vault")["bytecode"].removeprefix("0x"))
    failed = await gateway.send(sign(0, to=None, data=data, value=0, gas=60_000))
    fine = await gateway.send(sign(1, value=1))
    receipt = (await ask(gateway, DEV, "eth_getTransactionReceipt", failed))[0]["result"]
    assert receipt["status"] == "0x0"
    assert receipt["error"]["message"]
    of_block, _ = await ask(gateway, DEV, "eth_getBlockReceipts", receipt["blockNumber"])
    assert of_block["result"] == [receipt]
    strict = (await ask(gateway, STRICT, "eth_getTransactionReceipt", failed))[0]["result"]
    assert "error" not in strict
    assert "error" not in (await ask(gateway, DEV, "eth_getTransactionReceipt", fine))[0]["result"]
