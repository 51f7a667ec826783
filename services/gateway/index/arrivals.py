"""
Transactions that are in no round yet: who waits for one, and which are known to be absent.

A client polls for a receipt until it is there. That a hash is absent is therefore asked over and
over, and must not cost a look into the database each time.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from services.gateway.index.rounds import IndexedRound

MAX_ABSENT = 16_384
"""Hashes that are remembered as absent; the oldest make room and are looked up again."""


class Arrivals:
    """Wakes whoever waits for a transaction, in the turn in which its round arrives."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, list[asyncio.Future[None]]] = {}

    @contextmanager
    def expect(self, hash_: bytes) -> Iterator[asyncio.Future[None]]:
        """Give a future that is done when the transaction is in a round."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(hash_, []).append(future)
        try:
            yield future
        finally:
            future.cancel()
            self._leave(hash_, future)

    def _leave(self, hash_: bytes, future: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(hash_)
        if waiting is not None and future in waiting:
            waiting.remove(future)
            if not waiting:
                del self._waiting[hash_]

    def apply_round(self, round_: IndexedRound) -> None:
        """Wake who waits for a transaction of a round."""
        if not self._waiting:
            return
        for transaction in round_.every_transaction():
            for future in self._waiting.pop(transaction.record.hash, ()):
                if not future.done():
                    future.set_result(None)


async def arrives(arrival: asyncio.Future[None], timeout_s: float) -> bool:
    """Wait for what `Arrivals.expect` gave, for so long [s]; say whether it came."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await arrival
    return arrival.done() and not arrival.cancelled()


class AbsentTransactions:
    """
    Hashes of which the database is known to have nothing.

    Whatever is added to the chain later passes `apply_round`, so what is remembered stays true.
    """

    def __init__(self, max_hashes: int = MAX_ABSENT) -> None:
        self._max_hashes = max_hashes
        self._settled: dict[bytes, bool] = {}
        """Whether the look into the database is over, by hash; the oldest first."""

    def __contains__(self, hash_: bytes) -> bool:
        return self._settled.get(hash_, False)

    def __len__(self) -> int:
        return len(self._settled)

    def begin_look(self, hash_: bytes) -> None:
        """Note that the database is asked; a round that arrives meanwhile makes the note void."""
        self._settled.setdefault(hash_, False)
        while len(self._settled) > self._max_hashes:
            del self._settled[next(iter(self._settled))]

    def end_look(self, hash_: bytes, *, is_absent: bool) -> None:
        """Note what the database said."""
        if not is_absent:
            self._settled.pop(hash_, None)
        elif hash_ in self._settled:
            self._settled[hash_] = True

    def apply_round(self, round_: IndexedRound) -> None:
        """Forget the transactions of a round."""
        for transaction in round_.every_transaction():
            self._settled.pop(transaction.record.hash, None)
