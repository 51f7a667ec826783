"""
The chain as clients see it: the newest rounds in memory, all of them in SQL.

A round is visible the moment it arrives and durable a little later: what a crash takes is fetched
again from the compute nodes.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

import structlog

from services.gateway.index.arrivals import AbsentTransactions, Arrivals, arrives
from services.gateway.index.log_filter import LogFilter
from services.gateway.index.recent import RecentRounds
from services.gateway.index.rounds import IndexedRound, IndexedTransaction, LogEntry, index_block
from services.gateway.store import BlockStore
from shared.errors import Unavailable
from shared.types.block import RoundBlock
from shared.types.identity import Incarnation

log = structlog.get_logger()
T = TypeVar("T")
Listener = Callable[[IndexedRound], None]
RewindListener = Callable[[int, list[IndexedRound]], None]
"""Is called with the round to which the index went back, and the rounds that are void."""

GATHER_S = 0.25
"""How long the writer waits after a round for others to share its transaction [s]."""
ENOUGH_ROWS = 64
"""It waits for no more than so many rounds and transactions: a write takes milliseconds."""
MINED_WAIT_S = 1.0
"""How long a transaction that must be in a round is waited for [s]."""
MAX_WAITING_ROUNDS = 256
"""Rounds that may wait for the writer while the index catches up."""
MAX_BATCH_ROUNDS = 256


class NoRoundYet(Unavailable, module="gateway", code=2):
    """No block is known yet: the gateway has not heard from a compute node."""


class ChainIndex:
    """
    Rounds in order, found by number, hash, transaction or log filter.

    Lives on one event loop. `append` is synchronous so that a receipt can be read in the same
    turn in which its round arrived.
    """

    def __init__(self, store: BlockStore, recent: RecentRounds) -> None:
        self._store, self._recent = store, recent
        self._waiting: list[IndexedRound] = []
        self._waiting_rows = 0
        self._wake, self._has_enough = asyncio.Event(), asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._writing = asyncio.Lock()
        self._writes: set[asyncio.Task[None]] = set()
        self._listeners: list[Listener] = []
        self._rewind_listeners: list[RewindListener] = []
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="index")
        self._durable = -1
        self._first = 0
        self.incarnation = Incarnation(0)
        """Life of the chain to which the rounds belong."""
        self._absent = AbsentTransactions()
        self.arrivals = Arrivals()

    async def open(self, warm_rounds: int) -> None:
        """Read where the index stands, with the last few rounds for the memory."""
        self.incarnation = await self._in_thread(self._store.load_incarnation)
        bounds = await self._in_thread(self._store.load_bounds)
        if bounds is None:
            return
        self._first, self._durable = bounds
        for round_ in await self._in_thread(partial(self._store.load_newest, warm_rounds)):
            self._recent.add(round_)

    # -- new rounds ----------------------------------------------------------------------------

    @property
    def newest(self) -> IndexedRound | None:
        """The last round, or None before the first arrived."""
        return self._recent.newest

    @property
    def durable_number(self) -> int:
        """Last round that is in the database; -1 where there is none."""
        return self._durable

    @property
    def first_number(self) -> int:
        """First round of the index."""
        return self._first

    def require_newest(self) -> IndexedRound:
        """Give the last round, or raise `NoRoundYet`."""
        newest = self._recent.newest
        if newest is None:
            raise NoRoundYet("no block is known yet: no compute node has answered")
        return newest

    def listen(self, listener: Listener) -> None:
        """Have a function called with each new round, in the turn in which it arrives."""
        self._listeners.append(listener)

    def listen_to_rewinds(self, listener: RewindListener) -> None:
        """Have a function called after the index went back, with those void rounds it held."""
        self._rewind_listeners.append(listener)

    def append(self, round_: IndexedRound) -> None:
        """Take the next round; `ValueError` where it does not follow."""
        if self._recent.newest is None:
            self._first = round_.number
        self._recent.add(round_)
        self._waiting.append(round_)
        self._waiting_rows += 1 + len(round_.raw_records)
        if self._waiting_rows >= ENOUGH_ROWS:
            self._has_enough.set()
        if round_.raw_records or self._has_enough.is_set():
            # One without transactions can wait for the next: a quiet network writes nothing.
            self._wake.set()
        if len(self._waiting) >= MAX_WAITING_ROUNDS:
            self._has_room.clear()
        self._absent.apply_round(round_)
        self.arrivals.apply_round(round_)
        for listener in self._listeners:
            listener(round_)

    def append_block(self, block: RoundBlock) -> None:
        """Take the next round as a node gave it; see `index_block` and `append`."""
        newest = self._recent.newest
        self.append(index_block(block, None if newest is None else newest.ethereum_root))

    async def wait_for_room(self) -> None:
        """Hold back whoever appends faster than the database writes."""
        await self._has_room.wait()

    async def rollback(self, number: int) -> None:
        """Drop every round after one, from memory and database."""
        async with self._writing:
            newest = self._recent.newest
            last = number if newest is None else newest.number
            dropped = list(self._recent.between(number + 1, last))
            self._waiting = [one for one in self._waiting if one.number <= number]
            self._recent.rollback(number)
            await self._in_thread(partial(self._store.rollback, number))
            self._durable = min(self._durable, number)
            if self._recent.newest is None:
                stored = await self._in_thread(partial(self._store.load_newest, 1))
                for round_ in stored:
                    self._recent.add(round_)
        for listener in self._rewind_listeners:
            listener(number, dropped)
        log.info("index_rolled_back", round=number)

    async def enter(self, incarnation: Incarnation) -> None:
        """Note that what is void in a life of the chain was dropped."""
        if incarnation > self.incarnation:
            self.incarnation = incarnation
            await self._in_thread(partial(self._store.save_incarnation, incarnation))

    async def write_rounds(self) -> None:
        """Bring rounds to the database for ever: one transaction for all that wait."""
        while True:
            await self._wake.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER_S):
                    await self._has_enough.wait()
            await self.flush()

    async def flush(self) -> None:
        """Write what waits. A caller that is cancelled leaves no transaction half counted."""
        write = asyncio.get_running_loop().create_task(self._write_waiting())
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)
        await asyncio.shield(write)

    async def _write_waiting(self) -> None:
        async with self._writing:
            self._wake.clear()
            self._has_enough.clear()
            self._waiting_rows, left = 0, len(self._waiting)
            while left > 0:
                batch = self._waiting[: min(left, MAX_BATCH_ROUNDS)]
                left -= len(batch)
                await self._in_thread(partial(self._store.save_rounds, batch))
                del self._waiting[: len(batch)]
                self._durable = max(self._durable, batch[-1].number)
                self._recent.drop_old(self._durable)
                self._has_room.set()

    async def close(self) -> None:
        """Write what waits and close the database."""
        await self.flush()
        self._threads.shutdown()
        self._store.close()

    # -- questions -----------------------------------------------------------------------------

    async def find_round(self, number: int) -> IndexedRound | None:
        """One round by number."""
        found = self._recent.find(number)
        if found is not None or not self._is_only_stored(number):
            return found
        return await self._in_thread(partial(self._store.load_round, number))

    async def find_round_by_hash(self, hash_: bytes) -> IndexedRound | None:
        """One round by the hash of its header."""
        found = self._recent.find_by_hash(hash_)
        if found is not None or not self._has_older():
            return found
        return await self._in_thread(partial(self._store.load_round_by_hash, hash_))

    async def find_transaction(self, hash_: bytes) -> IndexedTransaction | None:
        """One of Ethereum's transactions by hash; None while it is not in a block."""
        found = await self._find_any(hash_)
        return None if found is None or found.record.is_native else found

    async def find_native(self, hash_: bytes) -> IndexedTransaction | None:
        """One transaction of the SDK's format by hash; None while it is not in a block."""
        found = await self._find_any(hash_)
        return found if found is not None and found.record.is_native else None

    async def _find_any(self, hash_: bytes) -> IndexedTransaction | None:
        found = self._recent.find_transaction(hash_)
        if found is not None or not self._has_older() or hash_ in self._absent:
            return found
        self._absent.begin_look(hash_)
        found = await self._in_thread(partial(self._store.load_transaction, hash_))
        self._absent.end_look(hash_, is_absent=found is None)
        # It may have come while the database was asked.
        return found or self._recent.find_transaction(hash_)

    async def until_mined(self, hash_: bytes, timeout_s: float = MINED_WAIT_S) -> bool:
        """Wait a moment for a round with a transaction; say whether there is one."""
        with self.arrivals.expect(hash_) as arrival:
            if await self._find_any(hash_) is not None:
                return True
            return await arrives(arrival, timeout_s)

    async def find_logs(self, wanted: LogFilter, first: int, last: int) -> list[LogEntry]:
        """Events of rounds `first` to `last` that a filter wants, in order."""
        found: list[LogEntry] = []
        held_from = self._recent.oldest_number if self._recent.newest else last + 1
        if first < held_from and self._has_older():
            stored_last = min(last, held_from - 1)
            found += await self._in_thread(
                partial(self._store.load_logs, wanted, first, stored_last)
            )
        for round_ in self._recent.between(max(first, held_from), last):
            found += wanted.select(round_)
        return found

    async def find_transactions_of(
        self, account: bytes, first: int, last: int, count: int, *, newest_first: bool
    ) -> tuple[list[IndexedTransaction], bool]:
        """Find transactions that name an account; see `BlockStore.load_transactions_of`."""
        await self.flush()
        return await self._in_thread(
            partial(
                self._store.load_transactions_of,
                account,
                first,
                last,
                count,
                newest_first=newest_first,
            )
        )

    async def find_accounts(self) -> set[bytes]:
        """Addresses that are named in any round: by its transactions, or by its logs."""
        await self.flush()
        return await self._in_thread(self._store.load_accounts)

    def _has_older(self) -> bool:
        """Say whether the database has rounds that memory has not."""
        return self._durable >= 0 and self._first < self._recent.oldest_number

    def _is_only_stored(self, number: int) -> bool:
        return self._first <= number <= self._durable and number < self._recent.oldest_number

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
