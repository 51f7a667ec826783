"""
The newest rounds in memory, and who waits for more.

Bounded by rounds and by bytes. A round that does not link to the newest means that the network was
rewound, or that a node lied: what is not part of the new history is unlearnt.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass

from shared.encoding.record import decode_record
from shared.types.block import BlockHeader, RoundBlock
from shared.types.sdk_transaction import TransactionRecord

MAX_BACKLOG = 256
"""Rounds that a follower may be behind before it is dropped."""


@dataclass(frozen=True, slots=True)
class SeenRound:
    """A round, read."""

    header: BlockHeader
    epoch: int | None
    records: tuple[TransactionRecord, ...]
    size: int
    """Of its results [bytes]."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a transaction is."""

    round: SeenRound
    index: int

    @property
    def record(self) -> TransactionRecord:
        """What became of it."""
        return self.round.records[self.index]


class FollowerTooSlow(Exception):
    """A follower did not take rounds as fast as they came."""


def read_round(block: RoundBlock) -> SeenRound:
    """Read a node's block, or raise `MalformedCbor`, `MalformedRecord`."""
    records = tuple(decode_record(TransactionRecord, result) for result in block.results)
    return SeenRound(block.header, block.epoch, records, sum(map(len, block.results)))


class Rounds:
    """A window of the newest rounds."""

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._limit, self._limit_bytes = limit, limit_bytes
        self._by_number: OrderedDict[int, SeenRound] = OrderedDict()
        self._by_hash: dict[bytes, Place] = {}
        self._bytes = 0
        self._followers: set[asyncio.Queue[SeenRound | None]] = set()
        self._arrived = asyncio.Event()

    @property
    def newest(self) -> SeenRound | None:
        """The newest round; None before the first."""
        return next(reversed(self._by_number.values()), None)

    @property
    def follower_count(self) -> int:
        """How many follow."""
        return len(self._followers)

    def find(self, number: int) -> SeenRound | None:
        """Give a round of the window."""
        return self._by_number.get(number)

    def find_transaction(self, tx_hash: bytes) -> Place | None:
        """Say where a transaction of the window is."""
        return self._by_hash.get(tx_hash)

    def add(self, round_: SeenRound) -> bool:
        """Take the next round, unlearning what it replaces; say whether it was news."""
        number = round_.header.round
        known = self._by_number.get(number)
        if known is not None and known.header == round_.header:
            return False
        self._forget_from(number)
        newest = self.newest
        if newest is not None and round_.header.previous_hash != newest.header.hash():
            # Nothing here is known to be part of the history that this round ends.
            self._forget_from(0)
        self._by_number[number] = round_
        self._bytes += round_.size
        for index, record in enumerate(round_.records):
            self._by_hash[record.hash] = Place(round_, index)
        while len(self._by_number) > self._limit or (
            self._bytes > self._limit_bytes and len(self._by_number) > 1
        ):
            self._forget(next(iter(self._by_number)))
        for queue in list(self._followers):
            if queue.full():
                self._followers.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(round_)
        self._arrived.set()
        self._arrived = asyncio.Event()
        return True

    async def wait_for(self, tx_hash: bytes) -> Place:
        """Wait until a transaction is in a round."""
        while (place := self._by_hash.get(tx_hash)) is None:
            await self._arrived.wait()
        return place

    async def follow(self, from_round: int | None) -> AsyncIterator[SeenRound]:
        """
        Give rounds of the window from one on, then each new one.

        Raises
        ------
        FollowerTooSlow
            More than `MAX_BACKLOG` rounds wait.
        """
        queue: asyncio.Queue[SeenRound | None] = asyncio.Queue(MAX_BACKLOG)
        known = [] if from_round is None else list(self._by_number.values())
        self._followers.add(queue)
        try:
            for round_ in known:
                if from_round is not None and round_.header.round >= from_round:
                    yield round_
            while True:
                arrived = await queue.get()
                if arrived is None:
                    raise FollowerTooSlow
                yield arrived
        finally:
            self._followers.discard(queue)

    def _forget_from(self, number: int) -> None:
        for gone in [n for n in self._by_number if n >= number]:
            self._forget(gone)

    def _forget(self, number: int) -> None:
        round_ = self._by_number.pop(number)
        self._bytes -= round_.size
        for record in round_.records:
            place = self._by_hash.get(record.hash)
            if place is not None and place.round is round_:
                del self._by_hash[record.hash]
