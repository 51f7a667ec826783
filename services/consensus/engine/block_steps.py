"""How long each step of a block took, for the spans of the rounds that it made final."""

from collections.abc import Iterable
from itertools import pairwise

from shared.api.consensus import FinalizedRound
from shared.kit.tracing import begin_ns, now_ns, record_in_round

BLOCK = "consensus.block"
GATHER = "consensus.gather"
"""From the first transaction that waits to the block that takes it up."""


class BlockSteps:
    """Of one block after the other; notes nothing where nothing is traced."""

    def __init__(self) -> None:
        self._waiting_ns = 0
        self._ends: list[tuple[str, int]] = []
        """Steps and when each ended; the first is the block's beginning [Unix ns]."""

    def note_waiting(self) -> None:
        """Note that a transaction waits for the next block."""
        if not self._waiting_ns:
            self._waiting_ns = begin_ns()

    def begin(self) -> None:
        """Begin a block."""
        begun_ns = begin_ns()
        self._ends = [(BLOCK, begun_ns)] if begun_ns else []

    def end(self, step: str) -> None:
        """End a step of the block; the next one begins."""
        if self._ends:
            self._ends.append((f"consensus.{step}", now_ns()))

    def tell(self, finalized: Iterable[FinalizedRound], incarnation: int) -> None:
        """Tell what the block took, to each round that it made final."""
        if not self._ends:
            return
        begun_ns, ends = self._ends[0][1], self._ends
        waiting_ns, self._waiting_ns, self._ends = self._waiting_ns, 0, []
        for one in finalized:
            told = one.runtime_id, incarnation, one.header.round
            record_in_round(*told, GATHER, waiting_ns, begun_ns)
            record_in_round(*told, BLOCK, begun_ns, ends[-1][1])
            for (_, before_ns), (step, ended_ns) in pairwise(ends):
                record_in_round(*told, step, before_ns, ended_ns)
