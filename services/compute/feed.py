"""Finalized rounds as they appear: the newest in memory, the older from the store."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator

from services.compute.store import Store
from shared.errors import Unavailable
from shared.types.block import BlockHeader, RoundBlock
from shared.types.identity import Incarnation, Round

RECENT_ROUNDS = 64
"""Rounds answered from memory; watchers further behind read the store."""
RECENT_BYTES = 2 * 1024 * 1024
"""Transactions and results of these rounds, beside those of the newest few [bytes]."""
NEWEST_ROUNDS = 4
"""Rounds that stay whatever they hold: the store need not have them yet."""


class NetworkRewound(Unavailable, module="compute", code=20):
    """Rounds that were given are void: the network went back. Look anew."""


class RoundFeed:
    """Gives rounds to whoever watches, in order and without gaps."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._newest = store.load_newest_round()
        self._recent: OrderedDict[Round, RoundBlock] = OrderedDict()
        self._recent_bytes = 0
        self._news = asyncio.Event()
        self._generation = 0

    @property
    def next_round(self) -> Round:
        """The round that is to be published next."""
        return Round(0 if self._newest is None else self._newest + 1)

    def publish(self, block: RoundBlock) -> None:
        """Hand out the next round; whoever waits runs when the caller yields."""
        round_ = block.header.round
        if round_ != self.next_round:
            raise ValueError(f"round {round_} is published out of turn, after {self._newest}")
        self._newest = round_
        self._recent[round_] = block
        self._recent_bytes += block.contents_bytes
        while len(self._recent) > NEWEST_ROUNDS and (
            len(self._recent) > RECENT_ROUNDS or self._recent_bytes > RECENT_BYTES
        ):
            _, oldest = self._recent.popitem(last=False)
            self._recent_bytes -= oldest.contents_bytes
        self._wake()

    def rewind(self, round_: Round) -> None:
        """Forget every round after one; watchers are told."""
        self._newest = min(round_, self.next_round - 1)  # type: ignore[assignment]
        self._recent.clear()
        self._recent_bytes = 0
        self._generation += 1
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def find(self, round_: Round) -> RoundBlock | None:
        """Look a published round up."""
        if round_ >= self.next_round:
            return None
        return self._recent.get(round_) or self._store.load_block(round_)

    def find_headers(self, first: Round, count: int) -> tuple[BlockHeader, ...]:
        """Look up the headers of published rounds in a row."""
        if first >= self.next_round:
            return ()
        return self._store.load_headers(first, min(count, self.next_round - first))

    async def until_published(self, round_: Round, timeout_s: float) -> bool:
        """Wait for a round for a while; say whether it is there."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.next_round <= round_:
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    @property
    def incarnation(self) -> Incarnation:
        """Life of the chain to which the rounds belong."""
        return self._store.incarnation

    async def watch(
        self, from_round: Round, incarnation: Incarnation | None = None
    ) -> AsyncIterator[RoundBlock]:
        """
        Every round from one on, then each new one.

        Raises
        ------
        NetworkRewound
            The network went back while somebody watched, or is in another life than they know.
        """
        if incarnation not in (None, self.incarnation):
            raise NetworkRewound(f"the rounds here are of incarnation {self.incarnation}")
        generation, round_ = self._generation, from_round
        while True:
            news = self._news
            while generation == self._generation and (block := self.find(round_)) is not None:
                yield block
                round_ = Round(round_ + 1)
            if generation != self._generation:
                raise NetworkRewound(f"the network was rewound to round {self._newest}")
            await news.wait()
