"""
When the schedulers of a round may propose.

The first may as soon as there is something to propose: a waiting transaction, or the time of an
empty batch; `filling` says when it waits a moment for more. Those after it wait their rank's
multiple of the timeout longer, so that they step in only where the first is silent. Dev controls
may have rounds wait for other reasons (ADR 0032). Where no client asks for anything, empty batches
come more seldom (ADR 0087).
Source: spec of oasis-core's executor worker; ADR 0008.
"""

from dataclasses import dataclass, replace

from shared.types.identity import Round
from shared.types.mining import NO_ROUND, USUAL, Mining
from shared.types.registry import SchedulerParameters

NS_PER_MS = 1_000_000
NEVER_NS = 2**63
"""Later than any time: only something new makes the round due [Unix ns]."""
AWAKE_NS = 10_000 * NS_PER_MS
"""How long empty batches come at their usual pace after a client asked [ns]."""
QUIET_FACTOR = 10
"""How many times as long an empty batch waits where nobody asks."""


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
    awake_from_ns: int = 0
    """When a client asked after a time without any, so that a batch may be due since [Unix ns]."""
    awake_until_ns: int = 0
    """Up to when empty batches come at their usual pace [Unix ns]."""

    def kept_awake(self, now_ns: int) -> "RoundTiming":
        """Take note that a client asks."""
        awake_ns = max(AWAKE_NS, 2 * self._flush_ns)
        from_ns = now_ns if now_ns > self.awake_until_ns else self.awake_from_ns
        return replace(self, awake_from_ns=from_ns, awake_until_ns=now_ns + awake_ns)

    def empty_due_ns(self, rank: int) -> int:
        """When the scheduler of a rank may propose an empty batch [Unix ns], or `NEVER_NS`."""
        if self.is_first or 0 < self.round <= self.mining.wanted:
            return self._after(self.begun_ns, rank)
        wait_ms = self.mining.interval_ms
        if wait_ms is not None:
            return self._after(self.begun_ns + wait_ms * NS_PER_MS, rank) if wait_ms else NEVER_NS
        # Without automine nobody expects rounds of which nobody spoke.
        if not self.mining.automine or self._flush_ns == 0:
            return NEVER_NS
        return self._after(self._flushed_ns(), rank)

    @property
    def _flush_ns(self) -> int:
        return self.scheduler.batch_flush_timeout_ms * NS_PER_MS

    def _flushed_ns(self) -> int:
        """When an empty batch is due: sooner where clients ask, if only since a moment ago."""
        due_ns = max(self.begun_ns + self._flush_ns, self.awake_from_ns)
        if due_ns <= self.awake_until_ns:
            return due_ns
        return self.begun_ns + QUIET_FACTOR * self._flush_ns

    def peer_due_ns(self, rank: int) -> int:
        """When a peer may propose [Unix ns]: it may have heard of a client that we did not."""
        return replace(self, awake_from_ns=0, awake_until_ns=NEVER_NS).due_ns(rank)

    def due_ns(self, rank: int) -> int:
        """When the scheduler of a rank may propose at all [Unix ns], or `NEVER_NS`."""
        empty_ns = self.empty_due_ns(rank)
        if self.work_ns is None or not self.mining.automine:
            return empty_ns
        return min(empty_ns, self._after(self.work_ns, rank))

    def _after(self, start_ns: int, rank: int) -> int:
        return start_ns + rank * self.scheduler.propose_batch_timeout_ms * NS_PER_MS
