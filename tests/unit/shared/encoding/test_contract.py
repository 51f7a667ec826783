from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import pytest

from shared.encoding.cbor import MalformedCbor
from shared.encoding.contract import ITEMS_REMEMBERED, client_of, find_method


@dataclass(frozen=True, slots=True)
class Round:
    number: int


class Api(Protocol):
    def watch(self) -> AsyncIterator[Round]: ...


class Server:
    """Streams what it was made with."""

    def __init__(self, *items: Round) -> None:
        self._bodies = [find_method(Api, "watch").encode_result(item) for item in items]

    async def call(self, method, body):
        raise NotImplementedError

    async def stream(self, method, body):
        for item in self._bodies:
            yield item


async def watched(*servers: Server) -> list[list[Round]]:
    return [[item async for item in client_of(Api, server).watch()] for server in servers]


async def test_the_same_item_of_two_servers_is_read_once():
    rounds = [Round(number) for number in range(ITEMS_REMEMBERED)]
    first, second = await watched(Server(*rounds), Server(*rounds))
    assert first == second == rounds
    assert all(one is other for one, other in zip(first, second, strict=True))


async def test_servers_that_differ_are_told_apart():
    first, second = await watched(Server(Round(1), Round(2)), Server(Round(1), Round(3)))
    assert (first, second) == ([Round(1), Round(2)], [Round(1), Round(3)])


async def test_what_is_no_item_is_refused_each_time():
    liar = Server()
    liar._bodies = [b"\xff"]
    for _ in range(2):
        with pytest.raises(MalformedCbor):
            await watched(liar)
