"""Streams: strangers share a rate, and history that is here at once leaves others their turn."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Protocol

import pytest

from shared.encoding.contract import client_of
from shared.errors import PeerBusy
from shared.kit import limits
from shared.kit.channel import Channel, adopt_socket
from shared.kit.service import Service
from shared.kit.streams import ITEM_BYTES, StreamsOfStrangers
from tests.support.virtual_time import run_virtual


class History(Protocol):
    def watch(self) -> AsyncIterator[bytes]: ...

    async def look(self) -> int: ...


class Everything:
    """All that happened is here at once."""

    def __init__(self) -> None:
        self.given = 0

    async def watch(self) -> AsyncIterator[bytes]:
        while True:
            self.given += 1
            yield b"block"

    async def look(self) -> int:
        return self.given


def test_strangers_get_a_rate_together() -> None:
    async def scenario() -> float:
        strangers = StreamsOfStrangers(bytes_per_s=10 * ITEM_BYTES, burst_bytes=ITEM_BYTES)

        async def read() -> None:
            for _ in range(10):
                await strangers.pay(0)

        await asyncio.gather(*(read() for _ in range(10)))
        return asyncio.get_running_loop().time()

    # A hundred items, ten a second.
    assert 8 <= run_virtual(scenario()) <= 12


def test_who_reads_little_waits_for_nothing() -> None:
    async def scenario() -> float:
        strangers = StreamsOfStrangers()
        for _ in range(100):
            await asyncio.sleep(0.1)
            await strangers.pay(10_000)
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == pytest.approx(10)


def test_open_streams_of_strangers_are_counted() -> None:
    strangers = StreamsOfStrangers(max_streams=1)
    with strangers.opened(), pytest.raises(PeerBusy), strangers.opened():
        pass
    with strangers.opened():
        pass


async def connect(
    bounds: limits.Limits, strangers: StreamsOfStrangers | None
) -> tuple[Channel, Channel, Everything]:
    left, right = socket.socketpair()
    everything = Everything()
    loop = asyncio.get_running_loop()
    _, server = await loop.create_connection(
        lambda: Channel("client", Service((History, everything)), bounds, strangers=strangers),
        sock=left,
    )
    return server, await adopt_socket(right, "server"), everything


@pytest.mark.parametrize("strangers", [None, StreamsOfStrangers()], ids=["node", "stranger"])
async def test_endless_history_leaves_others_their_turn(
    strangers: StreamsOfStrangers | None, socket_enabled: None
) -> None:
    server, client, everything = await connect(limits.PEER, strangers)
    stream = client.stream("watch", b"\xa0")
    await anext(stream)
    before = everything.given
    await asyncio.wait_for(client_of(History, client).look(), 5)
    assert everything.given - before < 5_000
    await stream.aclose()
    client.close()
    server.close()


async def test_streams_of_a_connection_are_bounded(socket_enabled: None) -> None:
    server, client, _ = await connect(replace(limits.STRANGER, streams=1), StreamsOfStrangers())
    first, second = client.stream("watch", b"\xa0"), client.stream("watch", b"\xa0")
    await anext(first)
    with pytest.raises(PeerBusy):
        await anext(second)
    await first.aclose()
    # Its end is heard of before the next request.
    third = client.stream("watch", b"\xa0")
    assert await anext(third) == b"\x45block"
    client.close()
    server.close()
