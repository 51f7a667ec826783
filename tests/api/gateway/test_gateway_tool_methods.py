"""Every control that Hardhat's and Anvil's tools know is there, or says what to use instead."""

import json
from pathlib import Path

import pytest

from services.gateway.rpc.refused_controls import REFUSED
from shared.kit.logs import mute_logs
from tests.support.gateway import running_gateway

KNOWN = json.loads(
    (Path(__file__).resolve().parents[2] / "vectors" / "tool-methods.json").read_text()
)
"""Names of each tool's methods; its source is there."""


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path, unsafe_dev_controls=True) as running:
        yield running


async def test_all_are_described(gateway):
    document = await gateway.rpc("rpc.discover")
    summaries = {one["name"]: one["summary"] for one in document["methods"]}
    of_viem = {f"{mode}_{action}" for mode in ("anvil", "hardhat") for action in KNOWN["viem"]}
    assert {*KNOWN["anvil"], *KNOWN["hardhat"], *of_viem} - set(summaries) == set()
    refused = {name for name, summary in summaries.items() if summary.startswith("Refused")}
    assert refused == set(REFUSED)


@pytest.mark.parametrize("method", REFUSED)
async def test_what_is_refused_says_why_whatever_it_is_asked(gateway, method):
    for params in ([], [{}], ["0x1", "x", 3, None, [], 6]):
        error = await gateway.error(method, *params)
        assert error["code"] == -32000
        assert error["message"].startswith(f"{method} is not here: ")
        assert error["message"].endswith(REFUSED[method])


async def test_a_refusal_is_a_dev_control_as_well(gateway):
    body = {"jsonrpc": "2.0", "id": 1, "method": "anvil_setRpcUrl", "params": ["http://x"]}
    page = {"origin": "https://example.org"}
    answer = (await gateway.client.post("/", json=body, headers=page)).json()
    assert answer["error"]["message"].startswith("dev controls answer local tools")


async def test_a_network_without_controls_does_not_know_them(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        assert (await gateway.error("anvil_setRpcUrl", "x"))["code"] == -32601


async def test_logging_is_muted_and_comes_back(gateway, monkeypatch):
    asked = []
    monkeypatch.setattr("services.gateway.rpc.node_info.mute_logs", asked.append)
    for method, enabled in (("hardhat", False), ("anvil", True)):
        assert await gateway.rpc(f"{method}_setLoggingEnabled", enabled) is True
    assert asked == [True, False]
    assert (await gateway.error("hardhat_setLoggingEnabled", "no"))["code"] == -32602
    mute_logs(False)


async def test_time_begins_with_the_first_block(gateway):
    first = await gateway.rpc("eth_getBlockByNumber", "0x0", False)
    assert await gateway.rpc("anvil_getGenesisTime") == int(first["timestamp"], 16)


@pytest.mark.parametrize("method", ["evm_mine_detailed", "anvil_mine_detailed"])
async def test_blocks_that_are_mined_are_shown(gateway, method):
    start = int(await gateway.rpc("eth_blockNumber"), 16)
    blocks = await gateway.rpc(method, {"blocks": 3, "timestamp": 2**33})
    assert [int(one["number"], 16) for one in blocks] == [start + 2, start + 3, start + 4]
    assert blocks[-1] == await gateway.rpc("eth_getBlockByNumber", "latest", True)
    assert await gateway.rpc(method, {"blocks": 0}) == []
    assert "at most" in (await gateway.error(method, {"blocks": 1_001}))["message"]
