"""
`solo` at work: when the next block is made. Fulfils `services.consensus.engine.contract.Engine`.

A transaction that enters the pool wakes it; without one it makes a block at every beat, and sooner
where committed state has work that is due. Making a block is one synchronous step of a millisecond
or two, so readers never see half of one. `SoloEngine` is that step; it is made anew at a rewind.
"""

import asyncio
import time
from collections.abc import Callable

from services.consensus import metrics
from services.consensus.abci import QueryResult
from services.consensus.engine.contract import Decision, Standing
from services.consensus.engine.pool import Pool
from services.consensus.engine.solo import CAPABILITIES, NAME, SoloEngine
from services.consensus.store import Store
from shared.types.proof import LightBlock

BEAT_NS = 24_000_000_000
"""
Time between blocks when nothing happens [ns]: it keeps consensus time moving.

Longer than ParaTimes take from round to round where nobody asks, so that a quiet network has one
block a round and none beside it.
"""
GATHERING_S = 0.02
"""
How long a vote waits for the others of its round [s].

They come within 10 ms of each other where three workers share two cores.
"""

WRITTEN_TOGETHER = 16
"""Executed blocks that are written at once: SQLite takes as long for one, and nobody waits here."""


class SoloLoop:
    """Makes the blocks of `solo`."""

    name = NAME
    capabilities: tuple[str, ...] = CAPABILITIES

    def __init__(
        self, store: Store, make_engine: Callable[[], SoloEngine], *, beat_ns: int = BEAT_NS
    ) -> None:
        """
        Wire the loop; nothing is read or written yet.

        `make_engine` wires a new application to the store: at the start, and after a rewind.
        `beat_ns` is the longest time from block to block.
        """
        self._store, self._make_engine, self._beat_ns = store, make_engine, beat_ns
        self._wake = asyncio.Event()
        self._silent: set[bytes] = set()
        self._on_decision: Callable[[Decision], None] = lambda _: None
        self.engine = make_engine()

    # -- what others may know ------------------------------------------------------------------

    @property
    def standing(self) -> Standing:
        """Where the chain stands."""
        chain = self.engine.chain
        return Standing(chain.chain_id, chain.height, chain.time_ns)

    @property
    def pool(self) -> Pool:
        """Transactions that wait."""
        return self.engine.pool

    @property
    def waiting(self) -> int:
        """Number of transactions that wait for a block."""
        return len(self.engine.pool)

    def query(self, path: str, data: bytes) -> QueryResult:
        """Ask the application about its newest state and what waits."""
        return self.engine.application.query(path, data, 0)

    def light_block(self, height: int) -> LightBlock | None:
        """Header, commit and validators of a height; None where it is not kept."""
        block = self._store.blocks.load(height)
        return None if block is None else block.light_block

    def transactions(self, height: int) -> tuple[bytes, ...] | None:
        """Transactions of a height, the last of which carries the state root."""
        block = self._store.blocks.load(height)
        return None if block is None else block.transactions

    # -- making blocks -------------------------------------------------------------------------

    def start(self, on_decision: Callable[[Decision], None]) -> None:
        """Bring blocks and application level; see `SoloEngine.start`."""
        self._on_decision = on_decision
        self.engine.start()

    def submit(self, raw: bytes) -> bytes:
        """Put a transaction into the pool; its hash, or the error that refuses it."""
        hash_ = self.engine.submit(raw)
        self.engine.steps.note_waiting()
        self._wake.set()
        return hash_

    async def run(self) -> None:
        """Make blocks until cancelled."""
        while True:
            self.make_block()
            # Whoever waits for this block, or has a transaction for the next, goes first.
            await asyncio.sleep(0)
            if self._store.waiting >= WRITTEN_TOGETHER:
                self._store.flush()
            await self._until_due()

    async def _until_due(self) -> None:
        self._wake.clear()
        if len(self.engine.pool) > 0:
            await self._gather_votes()
            return
        due_s = (self.engine.due_ns(self._beat_ns) - self.engine.now_ns()) / 1e9
        # A clock that was set back must not hold up the beat.
        delay_s = min(due_s, self._beat_ns / 1e9)
        try:
            async with asyncio.timeout(delay_s):
                await self._wake.wait()
        except TimeoutError:
            return
        await self._gather_votes()

    async def _gather_votes(self) -> None:
        """
        Give the votes that are still to come a moment, so that they share one block.

        Who let a block wait in vain is not waited for again until it votes.
        """
        loop = asyncio.get_running_loop()
        patience_ends = loop.time() + GATHERING_S
        while missing := self.engine.missing_voters() - self._silent:
            self._wake.clear()
            try:
                async with asyncio.timeout_at(patience_ends):
                    await self._wake.wait()
            except TimeoutError:
                self._silent |= missing
                return

    def make_block(self) -> None:
        """Make one block and tell of it."""
        began = time.perf_counter()
        made = self.engine.make_block()
        metrics.block_seconds.observe(time.perf_counter() - began)
        events = self._store.load_events(made.block.height)
        self._silent.difference_update(vote.node_id for vote in events.commitments)
        self._on_decision(made)
        self.engine.steps.end("tell")
        self.engine.steps.tell(events.finalized, events.incarnation)

    # -- dev controls --------------------------------------------------------------------------

    def mine(self, count: int) -> None:
        """Make blocks at once."""
        for _ in range(count):
            self.make_block()

    def rewind(self, height: int) -> None:
        """
        Forget what lies above a height, and the pool; or `UnknownHeight`.

        The first block of the new incarnation is made at once: only it proves that there is one.
        """
        self._store.rollback(height)
        self.engine = self._make_engine()
        self.engine.start()
        self.make_block()
        self._wake.set()
