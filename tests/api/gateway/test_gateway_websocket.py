"""JSON-RPC over WebSocket: requests, subscriptions, slow and vanishing clients."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from services.gateway.rpc import websocket as edge
from tests.support.gateway import listening, running_gateway
from tests.support.signing import log_emitter, sign
from tests.support.turns import until

TOPIC = b"\xcc" * 32


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path) as running:
        yield running


@pytest.fixture
async def client(gateway):
    async with (
        listening(gateway.app) as port,
        connect(f"ws://127.0.0.1:{port}", max_size=None) as connection,
    ):
        yield connection


async def ask(client, method, *params, id_=1):
    await client.send(json.dumps({"jsonrpc": "2.0", "id": id_, "method": method, "params": params}))
    return json.loads(await client.recv())


async def next_event(client):
    message = json.loads(await asyncio.wait_for(client.recv(), 10))
    assert message["method"] == "eth_subscription"
    return message["params"]


async def test_requests_batches_and_bytes(client):
    assert (await ask(client, "eth_chainId"))["result"] == "0x5afd"
    await client.send(b'[{"id":1,"method":"eth_chainId"},{"id":2,"method":"net_version"}]')
    assert [one["result"] for one in json.loads(await client.recv())] == ["0x5afd", "23293"]
    await client.send("{")
    assert json.loads(await client.recv())["error"]["code"] == -32700


async def test_new_heads_are_pushed_with_the_blocks_own_hash(gateway, client):
    id_ = (await ask(client, "eth_subscribe", "newHeads"))["result"]
    block = gateway.chain.mine()
    event = await next_event(client)
    assert event["subscription"] == id_
    assert event["result"]["number"] == hex(block.header.round)
    assert event["result"]["hash"] == "0x" + block.header.hash().hex()
    assert event["result"]["baseFeePerGas"] == "0x174876e800"


async def test_logs_are_pushed_by_filter(gateway, client):
    wanted = (await ask(client, "eth_subscribe", "logs", {"topics": ["0x" + TOPIC.hex()]}))[
        "result"
    ]
    await ask(client, "eth_subscribe", "logs", {"address": "0x" + "99" * 20})
    await gateway.send(sign(0, to=b"", data=log_emitter(b"\xdd" * 32)))
    hash_ = await gateway.send(sign(1, to=b"", data=log_emitter(TOPIC)))
    event = await next_event(client)
    assert event["subscription"] == wanted
    assert event["result"]["transactionHash"] == hash_


async def test_unsubscribing_ends_the_events(gateway, client):
    id_ = (await ask(client, "eth_subscribe", "newHeads"))["result"]
    assert (await ask(client, "eth_unsubscribe", id_))["result"] is True
    error = (await ask(client, "eth_unsubscribe", id_))["error"]
    assert error["message"] == "subscription not found"
    await gateway.mine()
    assert (await ask(client, "eth_chainId"))["result"] == "0x5afd"


@pytest.mark.parametrize("kind", ["syncing", ""])
async def test_other_subscriptions_are_absent(client, kind):
    error = (await ask(client, "eth_subscribe", kind))["error"]
    assert error == {"code": -32601, "message": f'no "{kind}" subscription in eth namespace'}


async def test_slow_answers_do_not_hold_fast_ones(gateway, client):
    gateway.computes[0].is_paused = True
    await client.send('{"id":"slow","method":"eth_getCode","params":["0x%s"]}' % ("00" * 20))
    assert (await ask(client, "eth_chainId", id_="fast"))["id"] == "fast"


async def test_client_that_vanishes_leaves_nothing_behind(gateway):
    async with listening(gateway.app) as port:
        connection = await connect(f"ws://127.0.0.1:{port}")
        await ask(connection, "eth_subscribe", "newHeads")
        connection.transport.abort()
        endpoint = gateway.app._endpoint
        await until(lambda: not endpoint._connections)
        await gateway.mine()
        assert await gateway.rpc("eth_chainId") == "0x5afd"


async def test_client_that_does_not_read_is_cut_off(gateway, client, monkeypatch):
    monkeypatch.setattr(edge, "MAX_QUEUED", 5)
    await ask(client, "eth_subscribe", "newHeads")
    for _ in range(20):
        gateway.chain.mine()
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            await asyncio.wait_for(client.recv(), 10)
    assert closed.value.rcvd.code == 1013
    assert await gateway.rpc("eth_chainId") == "0x5afd"


async def test_messages_up_to_32_mebibytes(client):
    call = '{"id":1,"method":"web3_sha3","params":["0x%s"]}'
    await client.send(call % ("00" * (15 * 1024 * 1024)))
    assert "result" in json.loads(await asyncio.wait_for(client.recv(), 30))
    with pytest.raises(ConnectionClosed) as closed:
        await client.send(call % ("00" * (17 * 1024 * 1024)))
        await asyncio.wait_for(client.recv(), 30)
    assert closed.value.rcvd.code == 1009


async def test_foreign_origins_are_refused_where_origins_are_limited(tmp_path):
    async with (
        running_gateway(tmp_path, cors_origins=("https://good.example",)) as gateway,
        listening(gateway.app) as port,
    ):
        url = f"ws://127.0.0.1:{port}"
        async with connect(url, origin="https://good.example") as connection:
            assert (await ask(connection, "eth_chainId"))["result"] == "0x5afd"
        with pytest.raises(InvalidStatus):
            await connect(url, origin="https://bad.example")


async def test_subscriptions_are_limited(client, monkeypatch):
    monkeypatch.setattr("services.gateway.rpc.subscriptions.MAX_SUBSCRIPTIONS", 2)
    for _ in range(2):
        assert "result" in await ask(client, "eth_subscribe", "newHeads")
    error = (await ask(client, "eth_subscribe", "logs"))["error"]
    assert error["message"] == "too many subscriptions, at most 2"


KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
VERSION = "Sec-WebSocket-Version: 13"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", ["Sec-WebSocket-Key: broken", VERSION]),
        ("GET", ["Sec-WebSocket-Key: \xe9", VERSION]),
        ("GET", [VERSION]),
        ("GET", [KEY]),
        ("GET", [KEY, "Sec-WebSocket-Version: 99"]),
        ("POST", [KEY, VERSION]),
        ("POST", ["Sec-WebSocket-Key: broken", VERSION]),
        ("GET", [KEY, VERSION, *["X: y"] * 200]),
        ("GET", [KEY, VERSION, "X: " + "y" * 9_000]),
        ("GET", [KEY, VERSION, "X: a\x7fb"]),
    ],
)
async def test_broken_handshake_is_refused_at_once(gateway, method, headers):
    async with listening(gateway.app) as port, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = [f"{method} / HTTP/1.1", "Host: localhost", "Connection: Upgrade"]
        lines += ["Upgrade: websocket", *headers, "", ""]
        writer.write("\r\n".join(lines).encode("latin-1"))
        answer = await reader.read()  # to the end: the connection is closed as well
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_other_upgrades_are_answered_over_http(gateway):
    async with listening(gateway.app) as port, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()
