"""
When the schedulers of a round may propose.

The first may as soon as there is something to propose: a waiting transaction, or the time of an
empty batch; `filling` says when it waits a moment for more. Those after it wait their rank's
multiple of the timeout longer, so that they step in only where the first is silent. Dev controls
may have rounds wait for other reasons (ADR 0032).
Source: spec of oasis-core's executor worker; ADR 0008.
"""

from dataclasses import dataclass

from shared.types.identity import Round
from shared.types.mining import NO_ROUND, USUAL, Mining
from shared.types.registry import SchedulerParameters

NS_PER_MS = 1_000_000
NEVER_NS = 2**63
"""Later than any time: only something new makes the round due [Unix ns]."""


@dataclass(frozen=True, slots=True)
class RoundTiming:
    """The times of one round, as this node sees them."""

    scheduler: SchedulerParameters
    begun_ns: int
    """When the block before became final here [Unix ns]."""
    work_ns: int | None = None
    """When a transaction was first seen waiting in this round [Unix ns]."""
    is_first: bool = False
    """The state lacks its genesis: even an empty batch has something to do."""
    round: Round = NO_ROUND
    mining: Mining = USUAL
    """What dev controls say about the ParaTime's rounds."""

    def empty_due_ns(self, rank: int) -> int:
        """When the scheduler of a rank may propose an empty batch [Unix ns], or `NEVER_NS`."""
        if self.is_first or 0 < self.round <= self.mining.wanted:
            return self._after(self.begun_ns, rank)
        wait_ms = self.mining.interval_ms
        if wait_ms is None:
            # Without automine nobody expects rounds of which nobody spoke.
            wait_ms = self.scheduler.batch_flush_timeout_ms if self.mining.automine else 0
        if wait_ms == 0:
            return NEVER_NS
        return self._after(self.begun_ns + wait_ms * NS_PER_MS, rank)

    def due_ns(self, rank: int) -> int:
        """When the scheduler of a rank may propose at all [Unix ns], or `NEVER_NS`."""
        empty_ns = self.empty_due_ns(rank)
        if self.work_ns is None or not self.mining.automine:
            return empty_ns
        return min(empty_ns, self._after(self.work_ns, rank))

    def _after(self, start_ns: int, rank: int) -> int:
        return start_ns + rank * self.scheduler.propose_batch_timeout_ms * NS_PER_MS
