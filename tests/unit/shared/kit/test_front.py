"""One port: HTTP and frames, strangers and peers, and what neither may do."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import nullcontext, suppress
from typing import Any, Protocol

import httpx
import pytest

from shared.crypto.signing import Signer
from shared.encoding import cbor, frames
from shared.encoding.contract import client_of, dev_control, known_only, peers_only
from shared.errors import PeerUnavailable, Rejected
from shared.kit import front as front_module
from shared.kit import limits, node_app
from shared.kit.callers import NotAdmitted, Transcript, WrongServer
from shared.kit.channel import PROVE, SELECT_PART
from shared.kit.dev_controls import DevTokenWrong
from shared.kit.dialing import Credentials
from shared.kit.front import Connections
from shared.kit.heads import encode_head
from shared.kit.service import Service
from tests.support.turns import turns, until
from tests.support.wire import CLIENT, DEV_TOKEN, SERVER, linked, posting, serving

pytestmark = pytest.mark.enable_socket
OTHER = Signer(b"other".ljust(32))
GATEWAY = Signer(b"gateway".ljust(32))
UPGRADE = {"Connection": "Upgrade", "Upgrade": "qanat-frames"}


class Refused(Rejected, module="test-front", code=1):
    pass


class Book(Protocol):
    async def read(self, page: bytes) -> tuple[bytes, int]:
        """Anybody may read."""
        ...

    async def refuse(self) -> None: ...

    async def fail(self) -> None: ...

    def count(self, upto: int) -> AsyncIterator[int]: ...

    @peers_only
    async def write(self, page: bytes) -> int: ...

    @dev_control
    async def burn(self) -> int: ...

    @known_only
    async def greet(self) -> str: ...


class RealBook:
    def __init__(self) -> None:
        self.was_left = asyncio.Event()

    async def read(self, page: bytes) -> tuple[bytes, int]:
        return page, 2**63

    async def refuse(self) -> None:
        raise Refused("not today")

    async def fail(self) -> None:
        raise ZeroDivisionError

    async def count(self, upto: int) -> AsyncIterator[int]:
        try:
            for number in range(upto):
                yield number
                await asyncio.sleep(0)
        finally:
            self.was_left.set()

    async def write(self, page: bytes) -> int:
        return len(page)

    async def burn(self) -> int:
        return 451

    async def greet(self) -> str:
        return "welcome"


@pytest.fixture
def book() -> RealBook:
    return RealBook()


@pytest.fixture
async def server(book: RealBook) -> AsyncIterator[Any]:
    service = Service(
        (Book, book), admits=CLIENT.public_key.__eq__, knows=GATEWAY.public_key.__eq__
    )
    async with serving(service, "books") as server:
        yield server


def url(server: Any, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


@pytest.fixture
async def client(server: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url(server, ""), timeout=5) as client:
        yield client


async def raw_talk(server: Any, *parts: bytes) -> bytes:
    """Send bytes, and give all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await turns()
    try:
        async with asyncio.timeout(3):
            return await reader.read()
    finally:
        writer.close()


# -- both on one port ------------------------------------------------------------------------------


async def test_frames_and_http_answer_on_one_port(server: Any, client: httpx.AsyncClient) -> None:
    async with linked(server) as link:
        assert await client_of(Book, link).read(b"one") == (b"one", 2**63)
    health = await client.get("/health")
    shown = {"service": "tests", "ready": True, "host_wall": "absent"}
    assert (health.status_code, health.json()) == (200, shown)
    assert "qanat_node_connections" in (await client.get("/metrics")).text


@pytest.mark.parametrize("is_binary", [False, True], ids=["json", "cbor"])
async def test_every_method_is_a_post(server: Any, is_binary: bool) -> None:
    async with posting(server, "books", is_binary=is_binary) as transport:
        api = client_of(Book, transport)
        assert await api.read(b"\x00\xff") == (b"\x00\xff", 2**63)
        with pytest.raises(Refused, match="not today"):
            await api.refuse()


async def test_what_a_person_types_is_json(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/books/read", json={"page": "0x00ff"})
    assert answer.json() == ["0x00ff", 2**63]
    assert answer.headers["content-type"] == "application/json"
    refusal = await client.post("/v1/books/refuse")
    assert refusal.status_code == 400
    assert refusal.json()["error"] == {"module": "test-front", "code": 1, "message": "not today"}


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/v1/books/read", b"{", 400),
        ("/v1/books/read", b"[]", 400),
        ("/v1/books/read", b"7.5", 400),
        ("/v1/books/read", b'{"page": "0xzz"}', 400),
        ("/v1/books/read", b'{"page": 7}', 400),
        ("/v1/books/read", b"[" * 200_000, 400),
        ("/v1/books/read", b'{"page": "0x00", "other": 1}', 400),
        ("/v1/books/read", bytes(limits.STRANGER.frame_bytes + 1), 413),
        ("/v1/books/erase", b"", 404),
        ("/v1/films/read", b"", 404),
        ("/v1/books/fail", b"", 500),
        ("/v1/books/write", b'{"page": "0x00"}', 403),
        ("/v1/books/burn", b"", 401),
        ("/v1/books/read?runtime=ab", b"", 503),
    ],
)
async def test_a_wrong_post_is_told_what_is_wrong(
    client: httpx.AsyncClient, path: str, content: bytes, status: int
) -> None:
    answer = await client.post(path, content=content)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"module", "code", "message"}


async def test_stream_is_posted_in_lines_and_ends_with_its_reader(
    server: Any, client: httpx.AsyncClient, book: RealBook
) -> None:
    answer = await client.post("/v1/books/count", json={"upto": 3})
    assert [json.loads(line) for line in answer.text.splitlines()] == [0, 1, 2]
    book.was_left.clear()
    async with client.stream("POST", "/v1/books/count", json={"upto": 10**9}) as endless:
        assert await anext(endless.aiter_lines()) == "0"
    async with asyncio.timeout(3):
        await book.was_left.wait()
    binary = await client.post(
        "/v1/books/count",
        content=cbor.encode_loosely({"upto": 2}),
        headers={"Content-Type": "application/cbor"},
    )
    assert binary.content == b"\x00\x01"


# -- who asks --------------------------------------------------------------------------------------


async def test_both_ends_prove_their_keys(server: Any) -> None:
    async with linked(server, Credentials(CLIENT), SERVER) as link:
        assert await client_of(Book, link).write(bytes(2 * limits.MIB)) == 2 * limits.MIB


@pytest.mark.parametrize("who", [None, OTHER], ids=["stranger", "other key"])
async def test_who_is_not_registered_gets_what_is_public(server: Any, who: Signer | None) -> None:
    async with linked(server, Credentials(who)) as link:
        api = client_of(Book, link)
        assert await api.read(b"one") == (b"one", 2**63)
        with pytest.raises(NotAdmitted):
            await api.write(b"two")


async def test_who_is_known_may_send_much_and_ask_nothing_that_is_for_peers(server: Any) -> None:
    async with linked(server, Credentials(GATEWAY), SERVER) as link:
        api = client_of(Book, link)
        assert (await api.read(bytes(2 * limits.MIB)))[0] == bytes(2 * limits.MIB)
        with pytest.raises(NotAdmitted):
            await api.write(b"two")


@pytest.mark.parametrize(
    ("who", "is_known"), [(None, False), (OTHER, False), (GATEWAY, True), (CLIENT, True)]
)
async def test_what_is_for_the_network_is_refused_to_others(
    server: Any, who: Signer | None, is_known: bool
) -> None:
    async with linked(server, Credentials(who)) as link:
        with nullcontext() if is_known else pytest.raises(NotAdmitted):
            assert await client_of(Book, link).greet() == "welcome"


async def test_a_key_that_nobody_knows_does_not_keep_a_connection(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server._door.connections, "_max", 1)
    async with linked(server, Credentials(OTHER)) as stranger:
        await client_of(Book, stranger).read(b"one")
        async with linked(server, Credentials(GATEWAY)) as known:
            await client_of(Book, known).read(b"one")
            async with asyncio.timeout(3):
                await stranger._channel.closed.wait()
            async with linked(server) as another:
                with pytest.raises(PeerUnavailable):
                    await client_of(Book, another).read(b"one")
            assert await client_of(Book, known).read(b"one")


async def test_a_server_with_another_key_is_not_talked_to(server: Any) -> None:
    async with linked(server, Credentials(CLIENT), OTHER) as link:
        with pytest.raises(WrongServer, match="in place of"):
            await client_of(Book, link).read(b"one")


async def test_a_server_that_only_names_the_key_is_not_talked_to(server: Any) -> None:
    class Impostor:
        public_key = OTHER.public_key

        def sign(self, context: bytes, message: bytes) -> bytes:
            return SERVER.sign(context, message)

    server._door.signer = Impostor()
    async with linked(server, Credentials(CLIENT), OTHER) as link:
        with pytest.raises(WrongServer, match="does not prove its key"):
            await client_of(Book, link).read(b"one")


async def test_a_client_that_only_names_a_key_is_cut_off(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Transcript, "prove_client", lambda _, __: OTHER.sign(b"", b""))
    async with linked(server, Credentials(CLIENT)) as link:
        with pytest.raises(PeerUnavailable):
            await client_of(Book, link).read(b"one")


async def test_a_proof_is_of_no_use_towards_another_server(server: Any) -> None:
    signed = Transcript(b"c" * 32, b"s" * 32, CLIENT.public_key, OTHER.public_key)
    relayed = Transcript(b"c" * 32, b"s" * 32, CLIENT.public_key, SERVER.public_key)
    with pytest.raises(Rejected):
        relayed.verify_client(signed.prove_client(CLIENT))
    with pytest.raises(Rejected):
        signed.verify_server(signed.prove_client(OTHER))


async def test_a_second_proof_on_a_connection_is_refused(server: Any) -> None:
    async with linked(server, Credentials(CLIENT)) as link:
        await client_of(Book, link).write(b"one")
        link.notify(PROVE, bytes(64))
        async with asyncio.timeout(3):
            await link._channel.closed.wait()


async def test_a_stranger_is_told_what_fits_and_keeps_its_connection(server: Any) -> None:
    async with linked(server) as link:
        api = client_of(Book, link)
        with pytest.raises(frames.MalformedFrame):
            await api.read(bytes(limits.STRANGER.frame_bytes))
        assert await api.read(b"one") == (b"one", 2**63)


async def test_the_token_opens_dev_controls_on_frames(server: Any) -> None:
    async with linked(server, Credentials(dev_token=DEV_TOKEN)) as link:
        assert await client_of(Book, link).burn() == 451
    async with linked(server, Credentials(dev_token="wrong")) as link:
        with pytest.raises(PeerUnavailable):
            await client_of(Book, link).burn()
    async with linked(server, Credentials(CLIENT)) as link:
        with pytest.raises(DevTokenWrong):
            await client_of(Book, link).burn()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": f"Bearer {DEV_TOKEN}"}, 200),
        ({"Authorization": f"Bearer {DEV_TOKEN}", "Origin": "http://localhost:3000"}, 200),
        ({"Authorization": f"Bearer {DEV_TOKEN}", "Origin": "https://evil.example"}, 403),
        ({"Authorization": f"Bearer {DEV_TOKEN}", "Host": "evil.example"}, 403),
        ({"Authorization": "Bearer wrong"}, 401),
        ({}, 401),
    ],
)
async def test_dev_controls_need_the_token_and_no_foreign_page(
    client: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    assert (await client.post("/v1/books/burn", headers=headers)).status_code == status


# -- what is no request ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"GET / HTTP/1.1\r\nHost" + b"x" * 20_000 + b"\r\n\r\n", b"HTTP/1.1 431 "),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"HTTP/1.1 400 "),
        (
            encode_head("GET /other HTTP/1.1", UPGRADE),
            b"HTTP/1.1 400 ",
        ),
        (
            encode_head("GET /v1/frames HTTP/1.1", UPGRADE | {"qanat-node": "00"}),
            b"HTTP/1.1 400 ",
        ),
    ],
)
async def test_a_head_that_is_none_is_refused(server: Any, sent: bytes, answer: bytes) -> None:
    assert (await raw_talk(server, sent)).startswith(answer)


async def test_a_head_may_come_in_pieces(server: Any) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await raw_talk(server, *(request[n : n + 7] for n in range(0, len(request), 7)))
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_frames_may_follow_the_head_in_one_packet(server: Any) -> None:
    call = frames.encode_frame(frames.Request(1, "read", cbor.encode_loosely({"page": b"one"})))
    head = encode_head("GET /v1/frames HTTP/1.1", UPGRADE)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head + call)
    assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
    await reader.readuntil(b"\r\n\r\n")
    length = int.from_bytes(await reader.readexactly(4), "big")
    payload = await reader.readexactly(length)
    assert frames.decode_payload(payload) == frames.Response(
        1, cbor.encode_loosely([b"one", 2**63])
    )
    writer.close()


async def test_a_head_that_does_not_come_is_not_awaited(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_module, "HEAD_TIMEOUT_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\n")
    async with asyncio.timeout(3):
        with suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()


async def test_who_only_holds_connections_keeps_nobody_out(server: Any) -> None:
    server._door.connections = Connections(8)
    async with linked(server, Credentials(CLIENT)) as link:
        api = client_of(Book, link)
        await api.write(b"one")
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(30)]
        await until(lambda: len(server._door.connections) <= 8)
        channel = link._channel
        assert await api.write(b"two") == 3
        assert link._channel is channel
        for _, writer in held:
            writer.close()


@pytest.fixture
def few_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_app, "MAX_BODIES_BYTES", 100_000)


async def test_bodies_that_are_being_read_are_bounded_together(
    few_bodies: None, server: Any, client: httpx.AsyncClient
) -> None:
    head = b"POST /v1/books/read HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n"
    _, slow = await asyncio.open_connection("127.0.0.1", server.port)
    slow.write(head + bytes(80_000))
    await slow.drain()
    await turns()
    busy = await client.post("/v1/books/read", content=bytes(50_000))
    assert busy.status_code == 503
    assert (await client.get("/health")).status_code == 200
    slow.close()
    await turns()
    assert (await client.post("/v1/books/read", json={"page": "0x00"})).status_code == 200


@pytest.fixture
def one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_app, "MAX_STREAMS", 1)


async def test_streams_over_http_are_bounded(one_stream: None, client: httpx.AsyncClient) -> None:
    endless = {"json": {"upto": 10**9}}
    async with client.stream("POST", "/v1/books/count", **endless) as first:
        await anext(first.aiter_lines())
        assert (await client.post("/v1/books/count", **endless)).status_code == 503
        assert (await client.get("/health")).status_code == 200


async def test_the_name_of_a_part_is_short(server: Any) -> None:
    async with linked(server) as link:
        await client_of(Book, link).read(b"one")
        link.notify(SELECT_PART, b"x" * 1_000)
        async with asyncio.timeout(3):
            await link._channel.closed.wait()
