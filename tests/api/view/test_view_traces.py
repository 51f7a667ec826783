"""Traces of sealed transactions through `qanat view`: the enclave shows them to the debug key."""

import json

import pytest

from shared.crypto.signing import Signer
from tests.api.view.test_view_calls import PARTS, SECRET, encode
from tests.api.view.test_view_transactions import typed
from tests.support.fake_compute import DEBUG_KEY
from tests.support.gateway import FIRST_ADDRESS, running_gateway
from tests.support.view import running_view

CALLS = {"tracer": "callTracer"}
DIFF = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        yield gateway


@pytest.fixture
async def view(gateway):
    async with running_view(gateway, debug_key=DEBUG_KEY) as view:
        yield view


@pytest.fixture
async def stored(view):
    """Hash, as the tool has it, of a transaction that keeps a secret."""
    sent = {"from": FIRST_ADDRESS, "data": PARTS["bytecode"]}
    hash_ = await view.rpc("eth_sendTransaction", sent)
    vault = (await view.rpc("eth_getTransactionReceipt", hash_))["contractAddress"]
    return await view.rpc("eth_sendRawTransaction", typed(1, vault))


async def test_what_a_sealed_transaction_did_is_shown_in_geths_forms(view, gateway, stored):
    calls = await view.rpc("debug_traceTransaction", stored, CALLS)
    assert (calls["type"], calls["input"]) == ("CALL", encode("store", SECRET))
    changes = await view.rpc("debug_traceTransaction", stored, DIFF)
    assert SECRET[:20].hex() in json.dumps(changes["post"])
    steps = await view.rpc("debug_traceTransaction", stored)
    assert steps["structLogs"][-1]["op"] in ("STOP", "RETURN")
    block = (await view.rpc("eth_getTransactionReceipt", stored))["blockNumber"]
    assert await view.rpc("debug_traceBlockByNumber", block, CALLS) == [
        {"txHash": stored, "result": calls}
    ]
    assert (await view.rpc("debug_traceBlockByNumber", "latest", CALLS))[0]["txHash"] == stored
    hash_ = (await view.rpc("eth_getBlockByNumber", block, False))["hash"]
    assert (await view.rpc("debug_traceBlockByHash", hash_, CALLS))[0]["result"] == calls
    assert not view.wire.has_heard(SECRET)
    error = await gateway.error("debug_traceTransaction", stored, CALLS)
    assert error["code"] == -32000


async def test_what_a_sealed_transaction_did_is_shown_in_paritys_forms(view, stored):
    receipt = await view.rpc("eth_getTransactionReceipt", stored)
    (frame,) = await view.rpc("trace_transaction", stored)
    assert frame["action"]["input"] == encode("store", SECRET)
    assert (frame["transactionHash"], frame["blockHash"]) == (stored, receipt["blockHash"])
    (by_chain,) = await view.rpc("trace_transaction", receipt["chainHash"])
    assert by_chain["transactionHash"] == receipt["chainHash"]
    assert await view.rpc("trace_block", receipt["blockNumber"]) == [frame]
    assert await view.rpc("trace_get", stored, []) == frame
    assert await view.rpc("trace_get", stored, ["0x0"]) is None
    replayed = await view.rpc("trace_replayTransaction", stored, ["trace", "stateDiff"])
    assert replayed["trace"][0]["action"]["input"] == encode("store", SECRET)
    (one,) = await view.rpc("trace_replayBlockTransactions", receipt["blockNumber"], ["trace"])
    assert one["transactionHash"] == stored
    assert one["trace"] == replayed["trace"]


async def test_what_is_not_there_is_answered_as_the_gateway_does(view):
    nowhere = "0x" + "77" * 32
    assert await view.rpc("trace_transaction", nowhere) is None
    assert await view.rpc("trace_get", nowhere, []) is None
    for method, params in (
        ("debug_traceTransaction", [nowhere]),
        ("trace_replayTransaction", [nowhere, ["trace"]]),
        ("debug_traceBlockByNumber", ["0xffff"]),
        ("debug_traceBlockByHash", [nowhere]),
        ("trace_block", ["0xffff"]),
    ):
        error = await view.error(method, *params)
        assert (error["code"], "not found" in error["message"]) == (-32000, True)
    for method, params in (
        ("debug_traceTransaction", ["0x12"]),
        ("debug_traceTransaction", [nowhere, "callTracer"]),
        ("trace_replayTransaction", [nowhere, ["everything"]]),
        ("trace_get", [nowhere, 5]),
        ("trace_transaction", []),
    ):
        assert (await view.error(method, *params))["code"] == -32602


async def test_another_networks_debug_key_sees_nothing(gateway, stored):
    async with running_view(gateway, debug_key=Signer(b"\x05" * 32)) as view:
        (block,) = (await view.rpc("eth_getBlockByNumber", "latest", False))["transactions"]
        error = await view.error("debug_traceTransaction", block, CALLS)
        assert "debug key" in error["message"]


async def test_without_a_debug_key_the_gateway_says_why_there_is_no_trace(gateway, stored):
    async with running_view(gateway) as view:
        (block,) = (await view.rpc("eth_getBlockByNumber", "latest", False))["transactions"]
        error = await view.error("debug_traceTransaction", block, CALLS)
        assert "keep secrets" in error["message"]
