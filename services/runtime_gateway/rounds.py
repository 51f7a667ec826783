"""
The newest rounds in memory, and who waits for more. Fulfils `RoundIndex`.

Bounded by rounds and by bytes. What is added is proven (`shared.gateways`); after a rewind of the
network what is void is unlearnt, and who follows is told.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass

from services.runtime_gateway import metrics
from shared.encoding.record import decode_record
from shared.kit.limits import BoundedQueue
from shared.types.block import BlockHeader, RoundBlock
from shared.types.identity import Incarnation
from shared.types.sdk_transaction import TransactionRecord

MAX_BACKLOG = 256
"""Rounds that a follower may be behind before it is dropped."""
MAX_BACKLOG_BYTES = 4 << 20
"""Results of these [bytes]; those of one round are at most 1 MiB."""


@dataclass(frozen=True, slots=True)
class SeenRound:
    """A round, read."""

    header: BlockHeader
    hash: bytes
    """Of the header."""
    epoch: int | None
    """As a node says; nothing proves it."""
    records: tuple[TransactionRecord, ...]
    size: int
    """Of its results [bytes]."""

    @property
    def number(self) -> int:
        """The round."""
        return self.header.round


@dataclass(frozen=True, slots=True)
class Rewound:
    """The network went back: rounds after one are void."""

    number: int
    """The last round that is not; -1 where none is known to be."""


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


Backlog = BoundedQueue[SeenRound | Rewound | None]
"""What waits for a follower; None where it was dropped."""


def read_round(block: RoundBlock) -> SeenRound:
    """Read a node's block, or raise `MalformedCbor`, `MalformedRecord`."""
    records = tuple(decode_record(TransactionRecord, result) for result in block.results)
    size = sum(map(len, block.results))
    return SeenRound(block.header, block.header.hash(), block.epoch, records, size)


class Rounds:
    """A window of the newest rounds."""

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._limit, self._limit_bytes = limit, limit_bytes
        self._by_number: OrderedDict[int, SeenRound] = OrderedDict()
        self._by_hash: dict[bytes, Place] = {}
        self._bytes = 0
        self._followers: set[Backlog] = set()
        self._arrived = asyncio.Event()
        self.incarnation = Incarnation(0)
        """Life of the chain to which the rounds belong."""

    @property
    def newest(self) -> SeenRound | None:
        """The newest round; None before the first."""
        return next(reversed(self._by_number.values()), None)

    @property
    def oldest(self) -> SeenRound | None:
        """The oldest round that is kept; None before the first."""
        return next(iter(self._by_number.values()), None)

    @property
    def follower_count(self) -> int:
        """How many follow."""
        return len(self._followers)

    def find(self, number: int) -> SeenRound | None:
        """Give a round of the window."""
        return self._by_number.get(number)

    async def find_round(self, number: int) -> SeenRound | None:
        """Give a round of the window."""
        return self._by_number.get(number)

    def find_transaction(self, tx_hash: bytes) -> Place | None:
        """Say where a transaction of the window is."""
        return self._by_hash.get(tx_hash)

    # -- as they come --------------------------------------------------------------------------

    def append_block(self, block: RoundBlock) -> None:
        """Take the next round, or raise `MalformedCbor`, `MalformedRecord`."""
        round_ = read_round(block)
        self.add(round_)
        metrics.rounds.inc()
        metrics.transactions.inc(len(round_.records))
        metrics.newest_round.set(round_.number)

    def add(self, round_: SeenRound) -> None:
        """Take the next round."""
        self._by_number[round_.number] = round_
        self._bytes += round_.size
        for index, record in enumerate(round_.records):
            self._by_hash[record.hash] = Place(round_, index)
        while len(self._by_number) > self._limit or (
            self._bytes > self._limit_bytes and len(self._by_number) > 1
        ):
            self._forget(next(iter(self._by_number)))
        self._tell(round_, round_.size)
        self._arrived.set()
        self._arrived = asyncio.Event()

    async def wait_for_room(self) -> None:
        """Hold nobody back: old rounds make room."""

    async def rollback(self, number: int) -> None:
        """Unlearn every round after one."""
        for gone in [n for n in self._by_number if n > number]:
            self._forget(gone)
        self._tell(Rewound(number), 0)

    async def enter(self, incarnation: Incarnation) -> None:
        """Note that what is void in a life of the chain was dropped."""
        self.incarnation = max(self.incarnation, incarnation)

    # -- who waits -----------------------------------------------------------------------------

    async def wait_for(self, tx_hash: bytes) -> Place:
        """Wait until a transaction is in a round."""
        while (place := self._by_hash.get(tx_hash)) is None:
            await self._arrived.wait()
        return place

    async def follow(self, from_round: int | None) -> AsyncIterator[SeenRound | Rewound]:
        """
        Give rounds of the window from one on, then each new one, and what a rewind makes void.

        Raises
        ------
        FollowerTooSlow
            More than `MAX_BACKLOG` rounds or `MAX_BACKLOG_BYTES` wait.
        """
        backlog: Backlog = BoundedQueue(MAX_BACKLOG, MAX_BACKLOG_BYTES)
        known = [] if from_round is None else list(self._by_number.values())
        self._followers.add(backlog)
        try:
            for round_ in known:
                if from_round is not None and round_.number >= from_round:
                    yield round_
            while True:
                arrived = await backlog.take()
                if arrived is None:
                    raise FollowerTooSlow
                yield arrived
        finally:
            self._followers.discard(backlog)

    def _tell(self, news: SeenRound | Rewound, size: int) -> None:
        for backlog in list(self._followers):
            if not backlog.offer(news, size):
                self._followers.discard(backlog)
                backlog.clear()
                backlog.put(None)

    def _forget(self, number: int) -> None:
        round_ = self._by_number.pop(number)
        self._bytes -= round_.size
        for record in round_.records:
            place = self._by_hash.get(record.hash)
            if place is not None and place.round is round_:
                del self._by_hash[record.hash]
