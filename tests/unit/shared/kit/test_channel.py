"""Both ends of a connection in one process, over a real socket pair."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import pytest

from shared.encoding import cbor, frames
from shared.encoding.contract import client_of
from shared.errors import (
    BadRequest,
    MethodNotFound,
    PeerBusy,
    PeerFailed,
    PeerUnavailable,
    Rejected,
)
from shared.kit.channel import WRITE_BYTES, Channel, adopt_socket
from shared.kit.limits import Limits, UnfinishedFrames
from shared.kit.link import MAX_WAITING_NOTICES, Link, until_available
from shared.kit.server import serve_frames
from shared.kit.service import PartUnknown, Service
from tests.support.turns import turns


class Refused(Rejected, module="test-channel", code=1):
    pass


class Calculator(Protocol):
    async def add(self, left: int, right: int = 1) -> int: ...

    async def zeros(self, count: int) -> bytes: ...

    async def refuse(self) -> None: ...

    async def fail(self) -> None: ...

    async def note(self) -> None: ...

    async def sleep(self) -> None: ...

    def count(self, upto: int) -> AsyncIterator[int]: ...


class Abacus:
    def __init__(self) -> None:
        self.was_cancelled = asyncio.Event()
        self.notes = 0

    async def add(self, left: int, right: int = 1) -> int:
        return left + right

    async def zeros(self, count: int) -> bytes:
        return bytes(count)

    async def note(self) -> None:
        self.notes += 1

    async def refuse(self) -> None:
        raise Refused("not today")

    async def fail(self) -> None:
        raise ZeroDivisionError

    async def sleep(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.was_cancelled.set()
            raise

    async def count(self, upto: int) -> AsyncIterator[int]:
        for number in range(upto):
            yield number


@pytest.fixture
async def pair(socket_enabled: None) -> AsyncIterator[tuple[Channel, Channel, Abacus]]:
    abacus = Abacus()
    left, right = socket.socketpair()
    server = await adopt_socket(left, "client", Service((Calculator, abacus)))
    client = await adopt_socket(right, "server")
    yield server, client, abacus
    client.close()
    server.close()
    await server.closed.wait()
    await client.closed.wait()


async def test_calls_are_answered(pair: Any) -> None:
    _, client, _ = pair
    calculator = client_of(Calculator, client)
    assert await calculator.add(2, 3) == 5
    assert await calculator.add(right=5, left=1) == 6
    assert await calculator.add(2) == 3


async def test_many_calls_at_once_keep_their_answers(pair: Any) -> None:
    _, client, _ = pair
    calculator = client_of(Calculator, client)
    answers = await asyncio.gather(*(calculator.add(n, n) for n in range(200)))
    assert answers == [2 * n for n in range(200)]


async def test_what_is_sent_in_one_turn_is_written_at_once(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client, _ = pair
    written: list[bytes] = []
    monkeypatch.setattr(client._transport, "write", written.append)
    for _ in range(3):
        client.notify("add", b"\xa0")
    assert written == []
    await turns()
    assert written == [3 * frames.encode_frame(frames.Request(frames.NOTICE, "add", b"\xa0"))]
    client.notify("add", bytes(WRITE_BYTES))
    assert len(written) == 2, "what is large does not wait"


async def test_what_was_sent_before_the_end_arrives(pair: Any) -> None:
    _, client, abacus = pair
    client.notify("note", b"\xa0")
    client.close()
    await client.closed.wait()
    await turns()
    assert abacus.notes == 1


async def test_typed_error_arrives_as_its_class(pair: Any) -> None:
    _, client, _ = pair
    with pytest.raises(Refused, match="not today"):
        await client_of(Calculator, client).refuse()


async def test_bug_of_the_peer_fails_one_request_only(pair: Any) -> None:
    _, client, _ = pair
    calculator = client_of(Calculator, client)
    with pytest.raises(PeerFailed):
        await calculator.fail()
    assert await calculator.add(1, 1) == 2


@pytest.mark.parametrize("body", [7, {}, {"left": "1"}, {"left": 1, "other": 2}])
async def test_request_of_the_wrong_form_is_refused(pair: Any, body: Any) -> None:
    _, client, _ = pair
    with pytest.raises(BadRequest):
        await client.call("add", cbor.encode_loosely(body))


async def test_unknown_method_is_refused(pair: Any) -> None:
    _, client, _ = pair
    with pytest.raises(MethodNotFound):
        await client.call("subtract", NOTHING)


async def test_stream_gives_every_item_and_ends(pair: Any) -> None:
    _, client, _ = pair
    assert [n async for n in client_of(Calculator, client).count(100)] == list(range(100))


async def test_cancelled_call_is_cancelled_on_the_other_side(pair: Any) -> None:
    _, client, abacus = pair
    call = asyncio.create_task(client_of(Calculator, client).sleep())
    await turns()
    call.cancel()
    async with asyncio.timeout(2):
        await abacus.was_cancelled.wait()


async def test_lost_connection_fails_what_is_under_way(pair: Any) -> None:
    server, client, _ = pair
    call = asyncio.create_task(client_of(Calculator, client).sleep())
    await turns()
    server.close()
    with pytest.raises(PeerUnavailable):
        await call


async def test_bytes_that_are_no_frames_close_the_connection(pair: Any) -> None:
    server, client, _ = pair
    client._transport.write(b"\x00\x00\x00\x05hello")
    async with asyncio.timeout(2):
        await server.closed.wait()


async def test_link_names_the_peer_that_does_not_answer(socket_enabled: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    link = Link("compute-7", f"127.0.0.1:{port}")
    with pytest.raises(PeerUnavailable, match="compute-7 does not answer at"):
        await client_of(Calculator, link).add(1)


async def test_attempts_go_on_until_the_peer_is_there() -> None:
    left = 3

    async def attempt() -> str:
        nonlocal left
        left -= 1
        if left:
            raise PeerUnavailable("not yet")
        return "there"

    assert await until_available(attempt, delay_s=0.001) == "there"


class Doubler(Abacus):
    async def add(self, left: int, right: int = 1) -> int:
        return 2 * (left + right)


@pytest.fixture
async def parts(socket_enabled: None, tmp_path: Path) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """A server in parts, and those that are open; more may be added."""
    open_parts = {"first": Service((Calculator, Abacus()))}
    path = str(tmp_path / "socket")
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(
        lambda: Channel("a client", Service(parts=open_parts)), path
    )
    async with server:
        yield path, open_parts


async def test_each_part_answers_who_names_it(parts: Any) -> None:
    path, open_parts = parts
    open_parts["second"] = Service((Calculator, Doubler()))
    links = {name: Link("server", path, part=name) for name in ("first", "second")}
    answers = {name: await client_of(Calculator, link).add(2, 3) for name, link in links.items()}
    assert answers == {"first": 5, "second": 10}
    for link in links.values():
        link.close()


async def test_part_that_opens_later_is_unavailable_until_then(parts: Any) -> None:
    path, open_parts = parts
    link = Link("server", path, part="second")
    client = client_of(Calculator, link)
    with pytest.raises(PartUnknown, match="'second'"):
        await client.add(1, 1)
    open_parts["second"] = Service((Calculator, Doubler()))
    assert await client.add(1, 1) == 4
    link.close()


async def test_who_names_no_part_gets_the_only_one_and_none_of_several(parts: Any) -> None:
    path, open_parts = parts
    link = Link("server", path)
    client = client_of(Calculator, link)
    assert await client.add(2, 3) == 5
    open_parts["second"] = Service((Calculator, Doubler()))
    with pytest.raises(MethodNotFound):
        await client.add(2, 3)
    link.close()


# -- limits --------------------------------------------------------------------------------------

NOTHING = b"\xa0"
SMALL = Limits(
    frame_bytes=4096,
    unsent_bytes=64 * 1024,
    stream_bytes=10_000,
    requests=8,
    request_bytes=10_000,
    streams=8,
    reader_patience_s=0.05,
)


@asynccontextmanager
async def deaf_peer(service: Service | None = None) -> AsyncIterator[tuple[Channel, Any]]:
    """A channel whose other side is a plain socket, which reads only when a test does."""
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    _, channel = await asyncio.get_running_loop().connect_accepted_socket(
        lambda: Channel("deaf", service, SMALL), left
    )
    yield channel, right
    channel.close()
    right.close()


async def closed_soon(channel: Channel) -> None:
    async with asyncio.timeout(2):
        await channel.closed.wait()


async def test_notices_that_are_not_read_end_the_connection(
    socket_enabled: None,
) -> None:
    async with deaf_peer() as (channel, _):
        buffered = []
        for _ in range(1000):
            channel.notify("add", bytes(10_000))
            buffered.append(channel._transport.get_write_buffer_size())
        assert max(buffered) < 100_000
        await closed_soon(channel)
        assert channel.was_slow


async def test_calls_of_a_peer_that_does_not_read_end_the_connection(socket_enabled: None) -> None:
    async with deaf_peer() as (channel, _):
        calls = [asyncio.ensure_future(channel.call("add", bytes(10_000))) for _ in range(100)]
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(one) for one in done} == {PeerUnavailable}


async def test_stream_whose_reader_does_not_read_ends_the_connection(socket_enabled: None) -> None:
    given = 0

    class Endless(Abacus):
        async def count(self, upto: int) -> AsyncIterator[int]:
            nonlocal given
            while True:
                given += 1
                yield 2**62

    async with deaf_peer(Service((Calculator, Endless()))) as (channel, right):
        request = frames.Request(1, "count", cbor.encode_loosely({"upto": 1}))
        await asyncio.get_running_loop().sock_sendall(right, frames.encode_frame(request))
        await closed_soon(channel)
        assert given < 100_000


async def test_requests_under_way_are_bounded(socket_enabled: None) -> None:
    async with deaf_peer(Service((Calculator, Abacus()))) as (channel, right):
        for id_ in range(1, 30):
            request = frames.Request(id_, "sleep", NOTHING)
            await asyncio.get_running_loop().sock_sendall(right, frames.encode_frame(request))
        await turns()
        assert len(channel._serving) == SMALL.requests
        decoder = frames.FrameDecoder()
        answers = decoder.feed(await asyncio.get_running_loop().sock_recv(right, 65_536))
        assert {(one.id, type(one.error())) for one in answers} == {
            (id_, PeerBusy) for id_ in range(9, 30)
        }


async def test_one_id_for_two_requests_ends_the_connection(socket_enabled: None) -> None:
    async with deaf_peer(Service((Calculator, Abacus()))) as (channel, right):
        request = frames.encode_frame(frames.Request(7, "sleep", NOTHING))
        await asyncio.get_running_loop().sock_sendall(right, request + request)
        await closed_soon(channel)


async def test_frame_over_the_limit_of_the_connection_is_not_awaited(socket_enabled: None) -> None:
    async with deaf_peer() as (channel, right):
        header = (SMALL.frame_bytes + 1).to_bytes(4, "big")
        await asyncio.get_running_loop().sock_sendall(right, header)
        await closed_soon(channel)


async def test_stream_that_is_not_read_is_cut_off_and_gives_what_had_arrived(
    socket_enabled: None,
) -> None:
    async with deaf_peer() as (channel, right):
        items = channel.stream("count", NOTHING)
        first = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0)
        event = frames.encode_frame(frames.Event(1, bytes(1_000)))
        await asyncio.get_running_loop().sock_sendall(right, event)
        assert await first == bytes(1_000)
        for _ in range(50):
            with suppress(OSError):
                await asyncio.get_running_loop().sock_sendall(right, event)
        await closed_soon(channel)
        arrived = 0
        with pytest.raises(PeerUnavailable):
            async for _ in items:
                arrived += 1
        assert 0 < arrived * 1_000 <= SMALL.stream_bytes


async def test_answer_that_fits_no_frame_is_a_failure_and_not_silence(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client, _ = pair
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 1_000)
    calculator = client_of(Calculator, client)
    with pytest.raises(frames.MalformedFrame):
        await calculator.zeros(1_001)
    assert await calculator.zeros(900) == bytes(900)


class Holder:
    def __init__(self) -> None:
        self.reason = ""

    def drop(self, reason: str) -> None:
        self.reason = reason


def test_unfinished_frames_of_all_clients_are_bounded_and_the_oldest_goes() -> None:
    unfinished = UnfinishedFrames(max_bytes=100)
    first, second, third = Holder(), Holder(), Holder()
    unfinished.note(first, 40)
    unfinished.note(second, 40)
    unfinished.note(first, 60)
    unfinished.note(second, 0)
    unfinished.note(second, 40)
    assert [one.reason for one in (first, second)] == ["", ""]
    unfinished.note(third, 10)
    assert [one.reason for one in (first, second, third)] == ["unfinished_frames", "", ""]
    unfinished.note(third, 60)
    assert second.reason == ""
    unfinished.note(third, 61)
    assert second.reason == "unfinished_frames"


async def test_notices_that_wait_for_a_connection_are_bounded(socket_enabled: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    link = Link("compute-7", f"127.0.0.1:{port}")
    for _ in range(1000):
        link.notify("add", NOTHING)
    assert len(link._notifying) == MAX_WAITING_NOTICES


async def test_server_that_did_not_read_is_left_alone_for_a_while(socket_enabled: None) -> None:
    server = await serve_frames(Service((Calculator, Abacus())), "127.0.0.1", 0)
    link = Link("deaf", f"127.0.0.1:{server.port}")
    assert await client_of(Calculator, link).add(1, 2) == 3
    (front,) = server._door.connections._open
    front._next._transport.pause_reading()
    channel = link._channel
    while channel.is_open:
        channel.notify("add", bytes(4_000_000))
    await closed_soon(channel)
    with pytest.raises(PeerUnavailable, match="does not read"):
        await link.call("add", NOTHING)
    await server.close()
