"""Posts on kept connections are answered as uvicorn answers them, whatever comes in between."""

import asyncio
import json
from contextlib import asynccontextmanager
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.rpc import posts
from services.gateway.rpc.posts import PostProtocol, read_plain_head
from shared.kit.http import HttpServer
from tests.support.gateway import listening, running_gateway
from tests.support.short_run import examples
from tests.support.turns import until

CHAIN_ID = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
PLAIN = {"Host": "localhost", "Content-Type": "application/json"}


def request(body: bytes = CHAIN_ID, first="POST / HTTP/1.1", **fields: str) -> bytes:
    """A request; a field that is `None` is left out, and underscores are hyphens."""
    changed = {name.replace("_", "-"): value for name, value in fields.items()}
    all_fields = {**PLAIN, "Content-Length": str(len(body)), **changed}
    lines = [
        first,
        *(f"{name}: {value}" for name, value in all_fields.items() if value is not None),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path, virtual_hosts=("localhost",)) as running:
        yield running


@asynccontextmanager
async def uvicorn_alone(app):
    """The application as uvicorn alone serves it."""
    server = HttpServer(app, "127.0.0.1", 0, http="httptools", server_header=False)
    task = asyncio.create_task(server.serve())
    try:
        yield server.port
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def read_answer(reader) -> tuple[bytes, set[bytes], bytes]:
    """First line, fields and body of an answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    length = next((f for f in fields if f.lower().startswith(b"content-length:")), b":0")
    return first, set(fields), await reader.readexactly(int(length.partition(b":")[2]))


async def ask(port: int, *requests: bytes) -> list[tuple[bytes, set[bytes], bytes]]:
    """Send all at once on one connection; give what comes until all are answered, or it ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(10):
        for one in requests:
            writer.write(one)
        answers = []
        for _ in requests:
            try:
                answers.append(await read_answer(reader))
            except asyncio.IncompleteReadError:
                break
    writer.close()
    return answers


REQUESTS = {
    "plain": request(),
    "with a charset": request(**{"Content-Type": "application/json; charset=utf-8"}),
    "of a page": request(Origin="http://a.example"),
    "of a profile": request(**{"X-Qanat-Profile": "ethereum"}),
    "of no profile": request(**{"X-Qanat-Profile": "nothing"}),
    "of a foreign host": request(Host="rebound.example"),
    "of a form": request(**{"Content-Type": "text/plain"}),
    "without a type": request(**{"Content-Type": None}),
    "kept": request(Connection="keep-alive"),
    "ended": request(Connection="close"),
    "through a proxy": request(X_Forwarded_For="1.2.3.4", X_Forwarded_Proto="https"),
    "not JSON": request(b"{"),
    "empty": request(b""),
    "a notification": request(b'{"jsonrpc":"2.0","method":"eth_chainId"}'),
    "a batch": request(b"[" + b",".join([CHAIN_ID] * 3) + b"]"),
    "large": request(json.dumps({"id": 1, "method": "x" * 100_000}).encode()),
    "in chunks": request(
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(CHAIN_ID), CHAIN_ID),
        **{"Content-Length": None, "Transfer-Encoding": "chunked"},
    ),
    "of HTTP/1.0": request(first="POST / HTTP/1.0"),
    "to another path": request(first="POST /rpc HTTP/1.1"),
    "with a query": request(first="POST /?a=b HTTP/1.1"),
    "a look": request(b"", first="GET / HTTP/1.1"),
    "a preflight": request(
        b"", first="OPTIONS / HTTP/1.1", Origin="http://a.example", **{"Content-Type": None}
    ),
    "of a bad length": request(**{"Content-Length": "-1"}),
    "of two lengths": request(**{"content-length": "3"}),
    "of a bad field": request(**{"a b": "c"}),
    "folded": request(A="b\r\n c"),
    "no HTTP": b"\x16\x03\x01\r\n\r\n",
}


@pytest.mark.parametrize("what", REQUESTS)
async def test_answers_are_those_of_uvicorn(gateway, what):
    raw = REQUESTS[what]
    async with listening(gateway.app) as port, uvicorn_alone(gateway.app) as plain_port:
        answered = [(first, body) for first, _, body in await ask(port, raw)]
        fields = [fields for _, fields, _ in await ask(port, raw)]
        expected = await ask(plain_port, raw)
    assert answered == [(first, body) for first, _, body in expected]
    assert [one - {b"server: uvicorn"} for one in fields] == [fields for _, fields, _ in expected]
    assert answered or what == "no HTTP"


async def test_a_connection_goes_on_with_uvicorn_and_its_posts_still_count(gateway):
    async with listening(gateway.app) as port:
        mixed = [request(), REQUESTS["a look"], request(), REQUESTS["in chunks"], request()]
        answers = await ask(port, *mixed)
    assert [first for first, _, _ in answers] == [b"HTTP/1.1 200 OK"] * 5
    assert [body[:1] for _, _, body in answers] == [b"{", b"J", b"{", b"{", b"{"]


async def test_who_asks_is_known_by_the_head_of_the_request(gateway, monkeypatch):
    calls = []
    monkeypatch.setattr(
        gateway.node.encryption, "notice", lambda *_: calls.append(posts.ASKER.get())
    )
    call = b'{"id":1,"method":"eth_call","params":[{"to":"0x%b","data":"0x"}]}' % (b"ab" * 20)
    async with listening(gateway.app) as port:
        await ask(port, request(call, **{"User-Agent": "a"}), request(call, **{"User-Agent": "b"}))
    assert [headers[b"user-agent"] for _, headers in calls] == [b"a", b"b"]
    assert {peer[0] for peer, _ in calls} == {"127.0.0.1"}


async def test_a_bug_ends_the_connection_with_an_answer(gateway, monkeypatch):
    async def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("services.gateway.rpc.dispatch.Dispatcher.answer", fail)
    async with listening(gateway.app) as port:
        answers = await ask(port, request(), request())
    assert [first for first, _, _ in answers] == [b"HTTP/1.1 500 Internal Server Error"]


async def test_a_server_that_stops_answers_what_was_asked(gateway, monkeypatch):
    going_on = asyncio.Event()
    begun = asyncio.Event()

    async def slow(*_):
        begun.set()
        await going_on.wait()
        return b"late"

    monkeypatch.setattr("services.gateway.rpc.dispatch.Dispatcher.answer", slow)
    server = HttpServer(
        gateway.app,
        "127.0.0.1",
        0,
        http=partial(PostProtocol, gateway.app.admit_post),
    )
    serving = asyncio.create_task(server.serve())
    await asyncio.sleep(0)
    _, idle = await asyncio.open_connection("127.0.0.1", server.port)
    asked = asyncio.create_task(ask(server.port, request()))
    await begun.wait()
    serving.cancel()
    await asyncio.sleep(0.05)
    going_on.set()
    assert [body for _, _, body in await asked] == [b"late"]
    with pytest.raises(asyncio.CancelledError):
        await serving
    idle.close()


async def test_a_request_that_never_ends_is_not_waited_for(gateway, monkeypatch):
    monkeypatch.setattr(posts, "IDLE_S", 0.2)
    async with listening(gateway.app) as port, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in request():
            if reader.at_eof():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
        assert await reader.read() == b""
        writer.close()


async def test_a_client_that_reads_nothing_is_not_waited_for(gateway, monkeypatch):
    monkeypatch.setattr(posts, "IDLE_S", 0.05)
    protocol, transport = connect(gateway.app.admit_post)
    protocol.data_received(request())
    await until(lambda: transport.written)
    transport.unread = 1
    await until(lambda: transport.aborted)
    protocol.connection_lost(None)


class Transport(asyncio.Transport):
    """Keeps what is written, and counts pauses."""

    def __init__(self):
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written, self.is_reading, self.closed = [], True, False
        self.unread, self.aborted = 0, False

    def write(self, data):
        self.written.append(bytes(data))

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    def get_write_buffer_size(self):
        return self.unread

    def abort(self):
        self.closed = self.aborted = True

    def pause_reading(self):
        self.is_reading = False

    def resume_reading(self):
        self.is_reading = True


class State:
    def __init__(self):
        self.connections = set()


def connect(admit) -> tuple[PostProtocol, Transport]:
    """A connection without a socket."""
    protocol, transport = PostProtocol(admit, server_state=State()), Transport()
    protocol.connection_made(transport)
    return protocol, transport


async def test_a_client_that_does_not_read_is_answered_no_more(gateway):
    protocol, transport = connect(gateway.app.admit_post)
    protocol.pause_writing()
    protocol.data_received(request() * 2)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not transport.written
    protocol.resume_writing()
    await until(lambda: len(transport.written) == 2)
    protocol.connection_lost(None)


async def test_a_client_that_asks_faster_than_it_is_answered_has_to_wait(gateway, monkeypatch):
    going_on = asyncio.Event()

    async def slow(*_):
        await going_on.wait()
        return b""

    monkeypatch.setattr("services.gateway.rpc.dispatch.Dispatcher.answer", slow)
    protocol, transport = connect(gateway.app.admit_post)
    protocol.data_received(request())
    protocol.data_received(bytes(posts.MAX_HEAD_BYTES + posts.MAX_BODY_BYTES + 1))
    assert not transport.is_reading
    protocol._received = b""
    protocol.data_received(request() * 3)
    going_on.set()
    await until(lambda: len(transport.written) == 4)
    assert transport.is_reading
    protocol.connection_lost(None)


@settings(deadline=None, max_examples=examples(100))
@given(st.data())
def test_it_does_not_matter_in_what_pieces_requests_come(data):
    class Echo:
        async def answer(self, body):
            await asyncio.sleep(0)
            return body

    bodies = data.draw(st.lists(st.binary(max_size=40), min_size=1, max_size=4))
    stream = b"".join(request(body) for body in bodies)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=8)))

    async def run():
        protocol, transport = connect(lambda *_: posts.Answering(Echo(), []))
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            protocol.data_received(stream[start:end])
            if data.draw(st.booleans()):
                await asyncio.sleep(0)
        await until(lambda: len(transport.written) == len(bodies))
        assert [one.partition(b"\r\n\r\n")[2] for one in transport.written] == bodies
        protocol.connection_lost(None)

    asyncio.run(run())


@settings(deadline=None, max_examples=examples(300))
@given(st.binary(max_size=60), st.integers(0, 200))
def test_a_head_with_anything_in_it_is_read_alike_or_left_to_uvicorn(junk, place):
    head = request(b"").removesuffix(b"\r\n\r\n")
    place %= len(head)
    found = read_plain_head(head[:place] + junk + head[place:])
    if found is not None:
        assert not any(byte in name + value for name, value in found.items() for byte in b"\r\n\0")
        assert found[b"content-length"].isdigit()
