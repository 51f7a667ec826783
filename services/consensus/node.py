"""
The node of the consensus service: the engine's decisions, and those who wait for them.

The engine orders transactions into blocks (`engine.contract`). The node tells senders what became
of theirs, gives watchers the events of each block, keeps the history short, and goes back in time.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator

import structlog

from services.consensus import metrics
from services.consensus.abci import TxResult
from services.consensus.engine.contract import Decision, Engine
from services.consensus.engine.pool import transaction_hash
from services.consensus.followers import Followers
from services.consensus.store import Store
from shared.api.consensus import AlreadyPending, BlockEvents, ChainRewound, UnknownHeight
from shared.types.transaction import TransactionResult

log = structlog.get_logger()

MAINTENANCE_S = 1.0
ARCHIVE = 0
"""Stands for a window without end."""
PRUNED_AT_ONCE = 64
"""Heights of one step of pruning: some 5 ms, in which a block may have to wait for the database."""
PRUNING_STEPS = 32
"""Steps of one turn of maintenance, twice what the fastest chain makes meanwhile."""
BLOCKS_BETWEEN_LOOKS = 16
"""Less is not worth a look, nor to be woken for one."""
BLOCKS_BETWEEN_CHECKPOINTS = 32
"""About a megabyte of log: worth a flush of the disk."""
HEALTHY_AGE_S = 72.0
"""The chain counts as standing still when its newest block is older: three beats of `solo` [s]."""


class ConsensusNode:
    """Owns the engine and the store."""

    def __init__(self, store: Store, engine: Engine) -> None:
        """Start the engine from what the store holds."""
        self.store, self.engine = store, engine
        self._made_at_s = -math.inf
        self._news = asyncio.Event()
        self._waiting: dict[bytes, list[asyncio.Future[TransactionResult]]] = {}
        self.followers = Followers()
        engine.start(self._on_decision)

    @property
    def height(self) -> int:
        """Height of the newest block."""
        return self.engine.standing.height

    def is_healthy(self) -> bool:
        """
        Say whether the chain moves.

        Its age is measured by a clock that nobody can set: what blocks say may be far off.
        """
        age_s = time.monotonic() - self._made_at_s
        return self.store.height > 0 and age_s < HEALTHY_AGE_S

    async def maintain(self, keep_heights: int = ARCHIVE) -> None:
        """Keep the write-ahead log and the history short, beside the blocks, until cancelled."""
        height = looked_at = self.height
        while True:
            while self.height - looked_at < BLOCKS_BETWEEN_LOOKS:
                await self._news.wait()
            looked_at = self.height
            if self.height - height >= BLOCKS_BETWEEN_CHECKPOINTS:
                height = self.height
                await asyncio.to_thread(self.store.checkpoint)
            if keep_heights != ARCHIVE:
                await self.prune(keep_heights)
            await asyncio.sleep(MAINTENANCE_S)

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
        metrics.pool_transactions.set(self.engine.waiting)
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
        """Have the engine make blocks until cancelled."""
        await self.engine.run()

    def _on_decision(self, decision: Decision) -> None:
        """Tell whoever waits for a block."""
        self._made_at_s = time.monotonic()
        self._settle(decision)
        self._announce()

    def _settle(self, made: Decision) -> None:
        height = made.block.height
        results = made.result.tx_results
        for raw, result in zip(made.block.transactions, results, strict=True):
            self._resolve(raw, result, height)
        for raw, result in made.dropped:
            self._resolve(raw, result, height)
        events = self.store.load_events(height)
        own = results[:-1]  # the last one only carries the state root
        failed = sum(result.code != 0 for result in own)
        metrics.blocks.inc()
        metrics.height.set(height)
        metrics.epoch.set(events.epoch)
        metrics.transactions.labels("succeeded").inc(len(own) - failed)
        metrics.transactions.labels("failed").inc(failed)
        metrics.transactions.labels("dropped").inc(len(made.dropped))
        metrics.pool_transactions.set(self.engine.waiting)
        # A quiet network makes a block a round: only what changes its course is told.
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
        self, from_height: int, incarnation: int | None = None, *, is_urgent: bool = False
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
                if not is_urgent:
                    await _let_others_be_written_to()

    # -- dev controls --------------------------------------------------------------------------

    def mine(self, count: int) -> int:
        """Make blocks at once; the new height."""
        self.engine.mine(count)
        return self.height

    def rewind(self, height: int) -> None:
        """Forget all blocks above a height, and whoever waits; or `UnknownHeight`."""
        self.engine.rewind(height)
        rewound = ChainRewound(f"the chain was rewound to height {height}")
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(rewound)
        self._waiting.clear()
        log.warning("chain_rewound", height=height, incarnation=self.store.incarnation)


async def _let_others_be_written_to() -> None:
    """Wait until those for whom somebody waits have sent, and their connections have written."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
