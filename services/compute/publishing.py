"""Publishing finalized rounds: to those who watch, to the pool, to the database."""

from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from services.compute import metrics
from services.compute.admission import Admission
from services.compute.catch_up import RoundsFetched
from services.compute.feed import RoundFeed
from services.compute.forwarding import Forwarder
from services.compute.own_votes import SettledRound
from services.compute.store import Store
from shared.rules.incarnations import last_shared_round
from shared.types.block import HeaderType, RoundBlock
from shared.types.identity import Incarnation, Round, RuntimeId
from shared.types.incarnation import IncarnationState

log = structlog.get_logger()


class Publisher:
    """Hands each round to whom it concerns, in order. The node's loop calls it."""

    def __init__(
        self,
        store: Store,
        feed: RoundFeed,
        admission: Admission,
        forwarder: Forwarder,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        runtime: str,
    ) -> None:
        """Begin where the database ends; `runtime` names the ParaTime in metrics."""
        self._store, self.feed = store, feed
        self._admission, self._forwarder, self._spawn = admission, forwarder, spawn
        metrics.round_number.labels(runtime).set_function(lambda: self.next_round - 1)

    @property
    def next_round(self) -> Round:
        """First round that is not published."""
        return self.feed.next_round

    @property
    def incarnation(self) -> Incarnation:
        """Life of the chain to which the rounds here belong."""
        return self._store.incarnation

    def publish_own(self, settled: SettledRound) -> None:
        """Publish a round that this node executed itself; it is written after its watchers know."""
        block = settled.block
        self._publish(block)
        self._admission.apply_spent(settled.spent)
        if self._store.note_final(block):
            self._spawn(self._write())

    async def _write(self) -> None:
        self._store.flush()

    def publish_fetched(self, fetched: RoundsFetched) -> None:
        """Publish rounds of peers that the enclave has taken up."""
        fresh = tuple(b for b in fetched.blocks if b.header.round >= self.next_round)
        if fresh:
            self._store.save_blocks(fresh)
        for block in fresh:
            self._publish(block)
        self._admission.apply_spent(fetched.applied.spent)

    def _publish(self, block: RoundBlock) -> None:
        header = block.header
        self.feed.publish(block)
        self._admission.apply_block(block)
        self._forwarder.settle(block.transactions)
        metrics.rounds.labels(header.header_type.name.lower()).inc()
        if header.header_type is not HeaderType.NORMAL:
            # The gateway has a line for each round with transactions; that is enough of those.
            log.info("round_finalized", round=header.round, type=header.header_type.name)
        if header.header_type is HeaderType.ROUND_FAILED:
            self._admission.recheck_all()

    def go_back(self, life: IncarnationState, head: Round, runtime_id: RuntimeId) -> bool:
        """
        Forget what is void where the chain is in another life than the rounds here, or shorter.

        Says whether anything was; all that waits is forgotten then, too.
        """
        known, newest_here = self._store.incarnation, self.next_round - 1
        shared = last_shared_round(life, known, runtime_id)
        keep = Round(min(head, newest_here if shared is None else shared))
        if life.incarnation == known and keep == newest_here:
            return False
        log.warning(
            "network_rewound",
            incarnation=life.incarnation,
            known=known,
            round=keep,
            newest_here=newest_here,
        )
        self._store.rollback(keep, life.incarnation)
        self.feed.rewind(keep)
        self._admission.clear()
        self._forwarder.clear()
        return True
