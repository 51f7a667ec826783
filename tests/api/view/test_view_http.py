"""The port of `qanat view`: who is let in, what is refused, and WebSockets over real sockets."""

import asyncio
import json

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.api.view.test_view_calls import PARTS, SECRET, encode
from tests.api.view.test_view_transactions import typed
from tests.support.gateway import FIRST_ADDRESS, listening, running_gateway
from tests.support.view import running_view

JSON = {"content-type": "application/json"}
ACCOUNTS = b'{"jsonrpc":"2.0","id":1,"method":"eth_accounts"}'
REMIX = "https://remix.ethereum.org"


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        yield gateway


@pytest.fixture
async def view(gateway):
    async with running_view(gateway, origins=(REMIX,)) as view:
        yield view


# -- who is let in -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "http://192.168.1.7"},
        {"host": "evil.example:8547"},
        {"host": "evil.example:8547", "origin": "http://evil.example:8547"},
        {"host": "evil.example", "origin": REMIX},
        {"host": ""},
    ],
)
async def test_pages_of_elsewhere_are_not_answered(view, headers):
    before = len(view.wire.heard)
    for method in ("POST", "OPTIONS", "GET"):
        answer = await view.client.request(method, "/", content=ACCOUNTS, headers=JSON | headers)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
        assert FIRST_ADDRESS not in answer.text
    assert len(view.wire.heard) == before


@pytest.mark.parametrize(
    "origin",
    [None, REMIX, REMIX.upper(), "http://localhost:3000", "http://127.0.0.1", "http://[::1]:5173"],
)
async def test_tools_and_pages_of_this_machine_or_that_were_allowed_are(view, origin):
    headers = JSON | ({} if origin is None else {"origin": origin})
    answer = await view.client.post("/", content=ACCOUNTS, headers=headers)
    assert answer.json()["result"][0] == FIRST_ADDRESS
    assert answer.headers.get("access-control-allow-origin") == origin
    asked = {
        "access-control-request-headers": "content-type",
        "access-control-request-private-network": "true",
    }
    preflight = await view.client.options("/", headers=headers | asked)
    assert preflight.status_code == 204
    assert preflight.headers.get("access-control-allow-origin") == origin
    inwards = preflight.headers.get("access-control-allow-private-network")
    assert inwards == (None if origin is None else "true")


async def test_pages_stay_pages_to_the_gateway(tmp_path):
    """So that its own rules for dev controls hold for them."""
    async with (
        running_gateway(tmp_path, unsafe_dev_controls=True) as gateway,
        running_view(gateway, origins=(REMIX,)) as view,
    ):
        answer = await view.ask("evm_snapshot", origin=REMIX)
        assert "dev controls answer local tools" in answer["error"]["message"]
        assert await view.rpc("evm_snapshot") == "0x1"


async def test_profile_goes_through_or_is_that_of_the_command_line(gateway):
    async with running_view(gateway, profile="dev") as view:
        await view.ask("eth_blockNumber")
        assert view.wire.headers[-1]["x-qanat-profile"] == "dev"
        await view.ask("eth_blockNumber", **{"x-qanat-profile": "strict"})
        assert view.wire.headers[-1]["x-qanat-profile"] == "strict"


# -- what is refused ---------------------------------------------------------------------------


async def test_forms_long_bodies_and_other_paths_are_refused(view):
    async def status(path="/", content=ACCOUNTS, **headers):
        return (await view.client.post(path, content=content, headers=JSON | headers)).status_code

    assert await status(**{"content-type": "text/plain"}) == 415
    assert await status(content=b"[" * (5 * 1024 * 1024 + 1)) == 413
    assert await status("/status") == 403
    assert (await view.client.put("/", content=ACCOUNTS, headers=JSON)).status_code == 405


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"1", -32600),
        (b"[]", -32600),
        (b'{"id": [], "method": "eth_accounts"}', -32600),
        (b'{"id": 1}', -32600),
        (b'{"id": 1, "method": "eth_call"}', -32602),
        (b'{"id": 1, "method": "eth_call", "params": [1]}', -32602),
        (b'{"id": 1, "method": "eth_call", "params": "x"}', -32602),
        (b'{"id": 1, "method": "eth_call", "params": {"nonsense": 1}}', -32602),
        (b'{"id": 1, "method": "eth_call", "params": [{}, "latest", null, null, 5]}', -32602),
        (b'{"id": 1, "method": "eth_sendTransaction", "params": [{}]}', -32602),
        (b'{"id": 1, "method": "eth_sendRawTransaction", "params": [{}]}', -32602),
        (b'{"id": 1, "method": "wallet_addEthereumChain", "params": [{}]}', -32601),
        (b"[%s]" % b",".join([ACCOUNTS] * 1001), -32600),
    ],
)
async def test_bad_requests_get_go_ethereums_codes(view, body, code):
    answer = (await view.client.post("/", content=body, headers=JSON)).json()
    assert answer["error"]["code"] == code


async def test_batches_and_parameters_by_name_are_answered(view):
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "eth_accounts"},
        {"jsonrpc": "2.0", "id": "two", "method": "eth_chainId", "params": []},
        {"jsonrpc": "2.0", "method": "eth_chainId"},
        {
            "jsonrpc": "2.0",
            "id": 3,
            "method": "eth_call",
            "params": {"Request": {"to": FIRST_ADDRESS}},
        },
    ]
    answers = (await view.client.post("/", json=batch)).json()
    assert [one["id"] for one in answers] == [1, "two", 3]
    assert answers[1]["result"] == "0x5afd"
    assert answers[2]["result"] == "0x"


async def test_a_silent_gateway_is_named(view):
    async def fail(request):
        raise httpx.ConnectError("refused", request=request)

    view.wire.handle_async_request = fail
    error = await view.error("eth_chainId")
    assert "http://localhost:8545 does not answer" in error["message"]


@pytest.mark.parametrize("content", [b"", b"<html>", b"[1]", b"5", b'{"id":1}', b'{"error":5}'])
async def test_an_answer_that_is_none_is_said_to_be_none(view, content):
    async def answer(request):
        return httpx.Response(502, content=content)

    view.wire.handle_async_request = answer
    for method, params in (
        ("eth_chainId", []),
        ("eth_call", [{"from": FIRST_ADDRESS, "to": FIRST_ADDRESS, "data": "0x01"}]),
        ("eth_sendTransaction", [{"from": FIRST_ADDRESS, "data": "0x01"}]),
    ):
        assert (await view.error(method, *params))["code"] == -32000


# -- WebSocket ---------------------------------------------------------------------------------


@pytest.fixture
async def sockets(gateway):
    """The ports of the endpoint and of its gateway."""
    async with (
        listening(gateway.app) as gateway_port,
        running_view(gateway, gateway_ws=f"ws://127.0.0.1:{gateway_port}") as view,
        listening(view.app) as port,
    ):
        yield port


class Client:
    """A tool on a WebSocket."""

    def __init__(self, socket):
        self.socket, self.events, self.answers = socket, [], {}

    async def ask(self, id_, method, *params):
        request = {"jsonrpc": "2.0", "id": id_, "method": method, "params": list(params)}
        await self.socket.send(json.dumps(request))
        while id_ not in self.answers:
            await self.read()
        return self.answers.pop(id_)

    async def read(self):
        async with asyncio.timeout(20):
            message = json.loads(await self.socket.recv())
        if "id" in message:
            self.answers[message["id"]] = message
        else:
            self.events.append(message["params"])

    async def event(self, id_):
        while True:
            for one in self.events:
                if one["subscription"] == id_:
                    self.events.remove(one)
                    return one["result"]
            await self.read()


async def test_subscriptions_show_what_the_tool_knows(sockets, gateway):
    async with connect(f"ws://localhost:{sockets}") as socket:
        client = Client(socket)
        heads = (await client.ask(1, "eth_subscribe", "newHeads"))["result"]
        logs = (await client.ask(2, "eth_subscribe", "logs", {}))["result"]
        sent = {"from": FIRST_ADDRESS, "data": PARTS["bytecode"]}
        deployed = (await client.ask(3, "eth_sendTransaction", sent))["result"]
        receipt = (await client.ask(4, "eth_getTransactionReceipt", deployed))["result"]
        assert (await client.event(heads))["number"] == receipt["blockNumber"]
        raw = typed(1, receipt["contractAddress"])
        hash_ = (await client.ask(5, "eth_sendRawTransaction", raw))["result"]
        assert (await client.event(logs))["transactionHash"] == hash_
        assert (await client.ask(6, "eth_unsubscribe", logs))["result"] is True
        assert (await client.ask(7, "eth_subscribe", "nonsense"))["error"]["code"] != 0
        request = {"to": receipt["contractAddress"], "data": encode("matches", SECRET)}
        answer = await client.ask(8, "eth_call", request)
        assert int(answer["result"], 16) == 1


async def test_foreign_pages_get_no_websocket(sockets):
    for headers in ({"origin": "https://evil.example"}, {"Host": "evil.example"}):
        with pytest.raises(InvalidStatus):
            await connect(f"ws://127.0.0.1:{sockets}", additional_headers=headers)


async def test_requests_are_answered_where_the_gateway_takes_no_websocket(gateway):
    async with (
        running_view(gateway, gateway_ws="ws://127.0.0.1:9") as view,
        listening(view.app) as port,
        connect(f"ws://127.0.0.1:{port}") as socket,
    ):
        client = Client(socket)
        answer = await client.ask(1, "eth_subscribe", "newHeads")
        assert "takes no WebSocket" in answer["error"]["message"]
        assert (await client.ask(2, "eth_chainId"))["result"] == "0x5afd"


async def test_a_tool_hears_when_the_gateway_ends_its_subscriptions(sockets, gateway):
    async with connect(f"ws://127.0.0.1:{sockets}") as socket:
        client = Client(socket)
        await client.ask(1, "eth_subscribe", "newHeads")
        (connection,) = gateway.app._endpoint._connections
        connection._is_too_slow.set()
        with pytest.raises(ConnectionClosed):
            await client.read()
        assert socket.close_code == 1012
