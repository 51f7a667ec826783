"""When transactions came and went, for the spans of the round that takes them up."""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.kit.tracing import begin_ns, record_in_round
from shared.types.block import RoundBlock
from shared.types.identity import Incarnation, RuntimeId

MAX_TRANSACTIONS = 20_000
"""Transactions that are remembered; the oldest make room, and have no spans."""


@dataclass(slots=True)
class _Times:
    """Of one transaction at this node [Unix ns]; 0 where that did not happen here."""

    arrived_ns: int = 0
    """From a client."""
    known_ns: int = 0
    """In the pool, or from a peer."""
    proposed_ns: int = 0


class PoolTimes:
    """Remembers nothing where nothing is traced. The node's loop calls it."""

    def __init__(self) -> None:
        self._times: dict[bytes, _Times] = {}

    def note_checked(self, raws: Iterable[bytes], arrived_ns: int) -> None:
        """Note what a client sent, once the enclave has checked it."""
        known_ns = begin_ns()
        if known_ns and arrived_ns:
            for raw in raws:
                self._note(raw, _Times(arrived_ns, known_ns))

    def note_gossiped(self, raws: Iterable[bytes]) -> None:
        """Note what a peer sent."""
        known_ns = begin_ns()
        if known_ns:
            for raw in raws:
                self._note(raw, _Times(known_ns=known_ns))

    def note_proposed(self, batch: Iterable[bytes], begun_ns: int) -> None:
        """Note what this node proposes."""
        if begun_ns:
            for raw in batch:
                times = self._times.get(raw)
                if times is not None:
                    times.proposed_ns = begun_ns

    def clear(self) -> None:
        """Forget everything: the network was rewound."""
        self._times.clear()

    def tell(self, runtime_id: RuntimeId, incarnation: Incarnation, block: RoundBlock) -> None:
        """Tell what happened here to the transactions of a round."""
        if not self._times:
            return
        told = runtime_id, incarnation, block.header.round
        for position, raw in enumerate(block.transactions):
            times = self._times.pop(raw, None)
            if times is None:
                continue
            which = {"position": position}
            if times.arrived_ns:
                record_in_round(*told, "compute.check", times.arrived_ns, times.known_ns, which)
            if times.proposed_ns:
                record_in_round(*told, "compute.pool", times.known_ns, times.proposed_ns, which)

    def _note(self, raw: bytes, times: _Times) -> None:
        if raw not in self._times:
            self._times[raw] = times
            if len(self._times) > MAX_TRANSACTIONS:
                del self._times[next(iter(self._times))]
