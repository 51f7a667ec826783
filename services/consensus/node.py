"""
The loop of the consensus service: the only one that makes blocks.

A transaction that enters the pool wakes it; without one it makes a block at every beat, and
sooner where committed state has work that is due. Making a block is one synchronous step of a
millisecond or two, so readers never see half of one.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable

import structlog

from services.consensus import metrics
from services.consensus.abci import TxResult
from services.consensus.engine.pool import transaction_hash
from services.consensus.engine.solo import MadeBlock, SoloEngine
from services.consensus.followers import Followers
from services.consensus.store import Store
from shared.api.consensus import AlreadyPending, BlockEvents, ChainRewound, UnknownHeight
from shared.kit.clock import Clock
from shared.types.identity import NodeId
from shared.types.transaction import TransactionResult

log = structlog.get_logger()

BEAT_NS = 1_000_000_000
"""Time between blocks when nothing happens [ns]: it keeps consensus time moving."""
GATHERING_S = 0.02
"""
How long a vote waits for the others of its round [s].

They come within 10 ms of each other where three workers share two cores.
"""
MAINTENANCE_S = 1.0
ARCHIVE = 0
"""Stands for a window without end."""
PRUNED_AT_ONCE = 64
"""Heights of one step of pruning: some 5 ms, in which a block may have to wait for the database."""
PRUNING_STEPS = 32
"""Steps of one turn of maintenance, twice what the fastest chain makes meanwhile."""
BLOCKS_BETWEEN_CHECKPOINTS = 32
"""About a megabyte of log: worth a flush of the disk."""
HEALTHY_BEATS = 3
"""The chain counts as standing still when its newest block is older than this [beats]."""


class ConsensusNode:
    """Owns the engine and the store."""

    def __init__(self, store: Store, make_engine: Callable[[], SoloEngine], clock: Clock) -> None:
        """
        Start from what the store holds.

        `make_engine` wires a new application to the store; it is called again after a rewind.
        """
        self.store = store
        self._make_engine, self._clock = make_engine, clock
        self._made_at_s = -math.inf
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        self._waiting: dict[bytes, list[asyncio.Future[TransactionResult]]] = {}
        self._silent: set[NodeId] = set()
        self.followers = Followers()
        self.engine = self._started_engine()

    def _started_engine(self) -> SoloEngine:
        engine = self._make_engine()
        engine.start()
        return engine

    @property
    def height(self) -> int:
        """Height of the newest block."""
        return self.engine.chain.height

    def is_healthy(self) -> bool:
        """
        Say whether the chain moves.

        Its age is measured by a clock that nobody can set: what blocks say may be far off.
        """
        age_s = time.monotonic() - self._made_at_s
        return self.store.height > 0 and age_s < HEALTHY_BEATS * BEAT_NS / 1e9

    async def maintain(self, keep_heights: int = ARCHIVE) -> None:
        """Keep the write-ahead log and the history short, beside the blocks, until cancelled."""
        height = self.height
        while True:
            await asyncio.sleep(MAINTENANCE_S)
            if self.height - height >= BLOCKS_BETWEEN_CHECKPOINTS:
                height = self.height
                await asyncio.to_thread(self.store.checkpoint)
            if keep_heights != ARCHIVE:
                await self.prune(keep_heights)

    async def prune(self, keep_heights: int) -> None:
        """Forget heights beyond a window, in steps between which blocks are made."""
        for _ in range(PRUNING_STEPS):
            bounds = self.store.plan_pruning(keep_heights, PRUNED_AT_ONCE)
            if bounds is None:
                return
            await asyncio.to_thread(self.store.prune, *bounds)
            metrics.oldest_height.set(self.store.first_height)

    # -- transactions --------------------------------------------------------------------------

    def submit(self, raw: bytes) -> bytes:
        """Put a transaction into the pool; its hash, or the error that refuses it."""
        hash_ = self.engine.submit(raw)
        metrics.pool_transactions.set(len(self.engine.pool))
        self._wake.set()
        return hash_

    async def execute(self, raw: bytes) -> TransactionResult:
        """
        Put a transaction into the pool and wait for the block that executes it.

        One that waits in the pool already is waited for; raises what `submit` raises otherwise,
        and `ChainRewound`.
        """
        try:
            hash_ = self.submit(raw)
        except AlreadyPending:
            hash_ = transaction_hash(raw)
        future: asyncio.Future[TransactionResult] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(hash_, []).append(future)
        return await future

    # -- blocks --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Make blocks until cancelled."""
        while True:
            self.make_block()
            # Whoever waits for this block, or has a transaction for the next, goes first.
            await asyncio.sleep(0)
            await self._until_due()

    async def _until_due(self) -> None:
        self._wake.clear()
        if len(self.engine.pool) > 0:
            await self._gather_votes()
            return
        due_s = (self.engine.due_ns(BEAT_NS) - self._clock.now_ns()) / 1e9
        # A clock that was set back must not hold up the beat.
        delay_s = min(due_s, BEAT_NS / 1e9)
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
        """Make one block and tell whoever waits for it."""
        began = time.perf_counter()
        made = self.engine.make_block()
        metrics.block_seconds.observe(time.perf_counter() - began)
        self._made_at_s = time.monotonic()
        self._settle(made)
        self._announce()

    def _settle(self, made: MadeBlock) -> None:
        height = made.block.height
        results = made.result.tx_results
        for raw, result in zip(made.block.transactions, results, strict=True):
            self._resolve(raw, result, height)
        for raw, result in made.dropped:
            self._resolve(raw, result, height)
        events = self.store.load_events(height)
        self._silent.difference_update(vote.node_id for vote in events.commitments)
        own = results[:-1]  # the last one only carries the state root
        failed = sum(result.code != 0 for result in own)
        metrics.blocks.inc()
        metrics.height.set(height)
        metrics.epoch.set(events.epoch)
        metrics.transactions.labels("succeeded").inc(len(own) - failed)
        metrics.transactions.labels("failed").inc(failed)
        metrics.transactions.labels("dropped").inc(len(made.dropped))
        metrics.pool_transactions.set(len(self.engine.pool))
        # A quiet network makes three blocks a second: only what changes its course is told.
        log.debug("block_made", height=height, transactions=len(own), failed=failed)
        if events.is_epoch_change:
            log.info("epoch_begun", height=height, epoch=events.epoch)
        for found in events.discrepancies:
            log.warning(
                "discrepancy_detected",
                height=height,
                runtime=found.runtime_id.hex(),
                round=found.round,
                is_timeout=found.is_timeout,
            )

    def _resolve(self, raw: bytes, result: TxResult, height: int) -> None:
        for future in self._waiting.pop(transaction_hash(raw), ()):
            if not future.done():
                future.set_result(
                    TransactionResult(
                        result.code, result.codespace, result.log, height, result.gas_used
                    )
                )

    def _announce(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    # -- watching ------------------------------------------------------------------------------

    async def watch(
        self, from_height: int, incarnation: int | None = None
    ) -> AsyncIterator[BlockEvents]:
        """
        Events of every block from a height on, then of each new one; 0 begins at the newest.

        Raises
        ------
        UnknownHeight
            The store no longer holds blocks that old.
        ChainRewound
            The chain is not, or no longer, in the life that the caller knows, by default the one
            that is: heights that were given are void.
        """
        known = self.store.incarnation if incarnation is None else incarnation
        height = from_height or max(self.store.height, 1)
        if height < self.store.first_height:
            raise UnknownHeight(height)
        with metrics.watchers.track_inprogress():
            while True:
                news = self._news
                while height <= self.store.height and known == self.store.incarnation:
                    yield self.store.load_events(height)
                    height += 1
                if known != self.store.incarnation:
                    raise ChainRewound(
                        f"the chain is in incarnation {self.store.incarnation}, not {known}"
                    )
                await news.wait()

    # -- dev controls --------------------------------------------------------------------------

    def mine(self, count: int) -> int:
        """Make blocks at once; the new height."""
        for _ in range(count):
            self.make_block()
        return self.height

    def rewind(self, height: int) -> None:
        """
        Forget all blocks above a height, the pool, and whoever waits; or `UnknownHeight`.

        The first block of the new incarnation is made at once: only it proves that there is one.
        """
        self.store.rollback(height)
        self.engine = self._started_engine()
        rewound = ChainRewound(f"the chain was rewound to height {height}")
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(rewound)
        self._waiting.clear()
        log.warning("chain_rewound", height=height, incarnation=self.store.incarnation)
        self.make_block()
        self._wake.set()
