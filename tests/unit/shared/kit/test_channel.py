"""Both ends of a connection in one process, over a real socket pair."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from shared.encoding.contract import client_of
from shared.errors import BadRequest, MethodNotFound, PeerFailed, PeerUnavailable, Rejected
from shared.kit.channel import Channel, Link, PartUnknown, Service, adopt_socket, until_available


class Refused(Rejected, module="test-channel", code=1):
    pass


class Calculator(Protocol):
    async def add(self, left: int, right: int = 1) -> int: ...

    async def refuse(self) -> None: ...

    async def fail(self) -> None: ...

    async def sleep(self) -> None: ...

    def count(self, upto: int) -> AsyncIterator[int]: ...


class Abacus:
    def __init__(self) -> None:
        self.was_cancelled = asyncio.Event()

    async def add(self, left: int, right: int = 1) -> int:
        return left + right

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
        await client.call("add", body)


async def test_unknown_method_is_refused(pair: Any) -> None:
    _, client, _ = pair
    with pytest.raises(MethodNotFound):
        await client.call("subtract", {})


async def test_stream_gives_every_item_and_ends(pair: Any) -> None:
    _, client, _ = pair
    assert [n async for n in client_of(Calculator, client).count(100)] == list(range(100))


async def test_cancelled_call_is_cancelled_on_the_other_side(pair: Any) -> None:
    _, client, abacus = pair
    call = asyncio.create_task(client_of(Calculator, client).sleep())
    await asyncio.sleep(0.01)
    call.cancel()
    async with asyncio.timeout(2):
        await abacus.was_cancelled.wait()


async def test_lost_connection_fails_what_is_under_way(pair: Any) -> None:
    server, client, _ = pair
    call = asyncio.create_task(client_of(Calculator, client).sleep())
    await asyncio.sleep(0.01)
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
