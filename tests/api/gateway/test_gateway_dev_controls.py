"""`evm_*` methods: what they do, and who may use them."""

import json

import httpx
import pytest
from websockets.asyncio.client import connect

from shared.api.consensus import START_SNAPSHOT
from shared.kit.dev_controls import TOKEN_FILE
from tests.support.gateway import listening, running_gateway
from tests.support.signing import ACCOUNT, RECEIVER, sign
from tests.support.turns import until

TOKEN = "5e" * 32


@pytest.fixture
async def gateway(tmp_path):
    (tmp_path / TOKEN_FILE).write_text(TOKEN)
    async with running_gateway(tmp_path, unsafe_dev_controls=True) as running:
        yield running


async def balance(gateway) -> int:
    return int(await gateway.rpc("eth_getBalance", RECEIVER, "latest"), 16)


@pytest.mark.parametrize("name", ["hardhat_reset", "anvil_reset"])
async def test_a_reset_goes_back_to_where_the_network_was_first_ready(gateway, name):
    await until(lambda: START_SNAPSHOT in gateway.consensus.snapshots)
    start = int(await gateway.rpc("eth_blockNumber"), 16)
    await gateway.rpc("eth_sendRawTransaction", sign(0))
    snapshot = await gateway.rpc("evm_snapshot")
    for options in ((), ({},), ({"forking": None},)):
        assert await gateway.rpc(name, *options) is True
        # The new life begins with a block of its own.
        assert int(await gateway.rpc("eth_blockNumber"), 16) <= start + 1
        assert await gateway.rpc("eth_getTransactionCount", ACCOUNT.address, "latest") == "0x0"
    assert await gateway.rpc("evm_revert", snapshot) is False
    assert await gateway.rpc("evm_revert", "0x0") is False
    error = await gateway.error(name, {"forking": {"jsonRpcUrl": "http://127.0.0.1"}})
    assert "fork" in error["message"]


async def test_snapshots_are_nested_and_used_up(gateway):
    first = await gateway.rpc("evm_snapshot")
    await gateway.send(sign(0, value=1))
    second = await gateway.rpc("evm_snapshot")
    lost = await gateway.send(sign(1, value=2))
    assert await balance(gateway) == 3
    assert await gateway.rpc("evm_revert", second) is True
    assert await balance(gateway) == 1
    assert await gateway.rpc("eth_getTransactionReceipt", lost) is None
    assert await gateway.rpc("evm_revert", second) is False
    await gateway.send(sign(1, value=4))
    assert await balance(gateway) == 5
    third = await gateway.rpc("evm_snapshot")
    assert await gateway.rpc("evm_revert", first) is True
    assert await balance(gateway) == 0
    for used in (first, second, third):
        assert await gateway.rpc("evm_revert", used) is False


@pytest.mark.parametrize("id_", ["0x99", "7", 7])
async def test_unknown_snapshot_is_false(gateway, id_):
    assert await gateway.rpc("evm_revert", id_) is False


async def ask_with(gateway, **headers):
    body = {"jsonrpc": "2.0", "id": 1, "method": "evm_snapshot", "params": []}
    return (await gateway.client.post("/", json=body, headers=headers)).json()


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost.evil.example"},
        {"host": "evil.example"},
        {"host": "evil.example:8545"},
        {"host": "evil.example", "authorization": "Bearer " + "00" * 32},
        {"origin": "https://evil.example", "authorization": TOKEN},
    ],
)
async def test_pages_of_elsewhere_do_not_rule_the_network(gateway, headers):
    answer = await ask_with(gateway, **headers)
    assert "dev controls answer local tools" in answer["error"]["message"]
    assert set(gateway.consensus.snapshots) <= {START_SNAPSHOT}
    # What is no dev control is answered as ever.
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    answer = (await gateway.client.post("/", json=body, headers=headers)).json()
    assert answer["result"] == "0x5afd"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "127.0.0.1:8545"},
        {"host": "[::1]:8545"},
        {"origin": "http://localhost:3000"},
        {"host": "gateway:8545", "authorization": f"Bearer {TOKEN}"},
        {"origin": "https://remix.example", "authorization": f"Bearer {TOKEN}"},
    ],
)
async def test_local_tools_need_no_set_up_and_others_the_token(gateway, headers):
    assert (await ask_with(gateway, **headers))["result"] == "0x1"


@pytest.mark.parametrize(
    ("peer", "peers", "headers", "is_let_in"),
    [
        ("203.0.113.9", "loopback", {}, False),
        ("203.0.113.9", "loopback", {"host": "203.0.113.1:8545"}, False),
        ("2001:db8::9", "loopback", {}, False),
        ("203.0.113.9", "loopback", {"authorization": f"Bearer {TOKEN}"}, True),
        ("127.0.0.1", "loopback", {"host": "127.0.0.1:8545"}, True),
        ("::1", "loopback", {}, True),
        ("::ffff:127.0.0.1", "loopback", {}, True),
        ("172.18.0.1", "any", {}, True),
        ("172.18.0.1", "any", {"host": "evil.example"}, False),
    ],
)
async def test_other_machines_need_the_token(tmp_path, peer, peers, headers, is_let_in):
    (tmp_path / TOKEN_FILE).write_text(TOKEN)
    settings = {"unsafe_dev_controls": True, "dev_control_peers": peers}
    async with running_gateway(tmp_path, **settings) as gateway:
        transport = httpx.ASGITransport(gateway.app, client=(peer, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as stranger:
            asked = {"id": 1, "method": "evm_snapshot"}
            answer = (await stranger.post("/", json=asked, headers=headers)).json()
    assert ("result" in answer) == is_let_in


async def test_pages_do_not_rule_it_in_a_batch_or_over_a_websocket(gateway):
    batch = [{"id": 1, "method": "evm_snapshot"}, {"id": 2, "method": "eth_chainId"}]
    answers = await gateway.client.post("/", json=batch, headers={"origin": "https://evil.example"})
    assert ["error" in one for one in answers.json()] == [True, False]
    async with listening(gateway.app) as port:
        url = f"ws://127.0.0.1:{port}"
        for origin, is_refused in (("https://evil.example", True), (None, False)):
            async with connect(url, origin=origin) as client:
                await client.send(json.dumps(batch[0]))
                assert ("error" in json.loads(await client.recv())) == is_refused


async def test_network_without_dev_controls_has_no_such_methods(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        error = await gateway.error("evm_snapshot")
        assert error["code"] == -32601
