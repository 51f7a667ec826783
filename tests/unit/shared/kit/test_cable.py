"""A node's cable, cut and slow, between two real ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

from shared.api.control import CableControlApi
from shared.encoding.contract import Access, client_of, methods_of
from shared.errors import PeerUnavailable
from shared.kit.cable import MAX_DELAY_MS, MAX_HELD_BYTES, Cable, CableCut, Delay, DelayImpossible
from shared.kit.front import Door
from shared.kit.link import Link
from shared.kit.server import NodeServer
from shared.kit.service import Service
from tests.support.virtual_time import run_virtual

pytestmark = pytest.mark.enable_socket
DELAY_MS = 80


class Echo(Protocol):
    async def echo(self, content: bytes) -> bytes: ...


class Wall:
    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def echo(self, content: bytes) -> bytes:
        self.heard.append(content)
        return content


@asynccontextmanager
async def server(cable: Cable) -> AsyncIterator[tuple[str, Wall]]:
    wall = Wall()
    node = NodeServer(Door(Service((Echo, wall)), cable=cable), "127.0.0.1", 0)
    await node.start()
    try:
        yield f"127.0.0.1:{node.port}", wall
    finally:
        await node.close()


async def timed(link: Link) -> float:
    """Ask once; how long it took [ms]."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await client_of(Echo, link).echo(b"x") == b"x"
    return (loop.time() - began) * 1000


@pytest.mark.parametrize("whose", ["server", "client"])
async def test_cut_ends_connections_and_refuses_new_ones_until_healed(whose: str) -> None:
    cable = Cable()
    async with server(cable if whose == "server" else Cable()) as (address, wall):
        link = Link("a node", address, cable=cable if whose == "client" else None)
        await timed(link)
        await cable.cut()
        for _ in range(2):
            with pytest.raises(PeerUnavailable):
                await timed(link)
        assert len(wall.heard) == 1
        assert await cable.fetch_cable() == (True, 0)
        await cable.heal()
        await timed(link)
        link.close()


async def test_cut_fails_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    cable, began = Cable(), asyncio.Event()

    async def never(content: bytes) -> bytes:
        began.set()
        await asyncio.Event().wait()
        return content

    async with server(cable) as (address, wall):
        monkeypatch.setattr(wall, "echo", never)
        link = Link("a node", address)
        asked = asyncio.create_task(timed(link))
        await began.wait()
        await cable.cut()
        with pytest.raises(PeerUnavailable, match="closed the connection"):
            await asked


async def test_own_question_is_refused_by_name() -> None:
    cable = Cable()
    await cable.cut()
    with pytest.raises(CableCut):
        await timed(Link("a node", "127.0.0.1:1", cable=cable))


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("whose", ["server", "client"])
async def test_slow_adds_its_delay_to_each_answer(whose: str, is_open: bool) -> None:
    cable = Cable()
    async with server(cable if whose == "server" else Cable()) as (address, _):
        link = Link("a node", address, cable=cable if whose == "client" else None)
        if is_open:
            await timed(link)
        await cable.slow(DELAY_MS)
        await timed(link)
        assert await timed(link) >= DELAY_MS
        await cable.heal()
        await timed(link)
        assert await cable.fetch_cable() == (False, 0)
        link.close()


async def test_nothing_is_overtaken_when_the_delay_changes() -> None:
    cable = Cable()
    async with server(cable) as (address, wall):
        link = Link("a node", address)
        await timed(link)
        asked = []
        for number in range(60):
            await cable.slow(30 if number % 2 else 0)
            asked.append(asyncio.create_task(client_of(Echo, link).echo(bytes([number]) * 5000)))
            await asyncio.sleep(0)
        await asyncio.gather(*asked)
        assert [content[0] for content in wall.heard[1:]] == list(range(60))
        link.close()


class Pipe:
    """A transport that remembers whether it reads."""

    def __init__(self) -> None:
        self.reads, self.is_ended = True, False

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return self.is_ended


class Channel:
    def __init__(self) -> None:
        self.got, self.is_lost = b"", False

    def data_received(self, data: bytes) -> None:
        self.got += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True


def test_what_is_on_its_way_is_bounded() -> None:
    async def scenario() -> None:
        pipe, channel = Pipe(), Channel()
        delay = Delay(channel, pipe)  # type: ignore[arg-type]
        delay.seconds = 1
        delay.data_received(bytes(MAX_HELD_BYTES))
        assert pipe.reads
        delay.data_received(b"one more")
        assert not pipe.reads
        await asyncio.sleep(2)
        assert len(channel.got) == MAX_HELD_BYTES + 8
        assert pipe.reads

    run_virtual(scenario())


def test_broken_connection_loses_what_is_on_its_way() -> None:
    async def scenario() -> None:
        pipe, channel = Pipe(), Channel()
        delay = Delay(channel, pipe)  # type: ignore[arg-type]
        delay.seconds = 1
        delay.data_received(b"lost")
        delay.connection_lost(None)
        await asyncio.sleep(2)
        assert channel.is_lost
        assert channel.got == b""

    run_virtual(scenario())


@pytest.mark.parametrize("delay_ms", [-1, MAX_DELAY_MS + 1])
async def test_delay_that_makes_no_sense_is_refused(delay_ms: int) -> None:
    with pytest.raises(DelayImpossible):
        await Cable().slow(delay_ms)


def test_cable_is_in_the_hands_of_who_has_the_token() -> None:
    assert {one.access for one in methods_of(CableControlApi).values()} == {Access.DEV_CONTROL}
