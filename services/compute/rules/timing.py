"""
When the schedulers of a round may propose.

The first may as soon as there is something to propose: a waiting transaction, or the time of an
empty batch. Those after it wait their rank's multiple of the timeout longer, so that they step in
only where the first is silent. Source: spec of oasis-core's executor worker; ADR 0008.
"""

from dataclasses import dataclass

from shared.types.registry import SchedulerParameters

NS_PER_MS = 1_000_000


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

    def empty_due_ns(self, rank: int) -> int:
        """When the scheduler of a rank may propose an empty batch [Unix ns]."""
        wait_ms = 0 if self.is_first else self.scheduler.batch_flush_timeout_ms
        return self._after(self.begun_ns + wait_ms * NS_PER_MS, rank)

    def due_ns(self, rank: int) -> int:
        """When the scheduler of a rank may propose at all [Unix ns]."""
        empty_ns = self.empty_due_ns(rank)
        if self.work_ns is None:
            return empty_ns
        return min(empty_ns, self._after(self.work_ns, rank))

    def _after(self, start_ns: int, rank: int) -> int:
        return start_ns + rank * self.scheduler.propose_batch_timeout_ms * NS_PER_MS
