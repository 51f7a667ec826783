"""
Rounds that a node takes up together, since it has no part in them and others have them anyway.

A node that is no worker follows: it shows its enclave each finalized round, fetches what it changed
from a worker and applies it. While round follows upon round that is a sixth of what the network
does for each, and most of it is the same for one round as for ten. So such a node takes the first
one up at once, and those that come right after it when a moment has passed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from shared.types.block import BlockHeader
from shared.types.identity import Epoch
from shared.types.proof import ProvenBytes

MOMENT_S = 0.1
"""Shortest time between two takings-up [s]: so much behind such a node may be."""
MAX_ROUNDS = 32
"""Rounds that wait, at most."""
ASKED_S = 1.0
"""How long a node that was asked something takes up each round at once [s]."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Finalized rounds, oldest first, and the proof of the newest."""

    headers: tuple[BlockHeader, ...]
    epoch: Epoch
    proven: ProvenBytes


class Bundling:
    """Holds the rounds of an epoch that wait; time is that of the event loop [s]."""

    def __init__(self, time_s: Callable[[], float], wake_in: Callable[[float], None]) -> None:
        """`wake_in` has the node's loop called back after a while [s]."""
        self._time_s, self._wake_in = time_s, wake_in
        self._waiting: Bundle | None = None
        self._due_s = self._asked_until_s = float("-inf")

    @property
    def newest(self) -> BlockHeader | None:
        """Newest round that waits; None where nothing does."""
        return None if self._waiting is None else self._waiting.headers[-1]

    def note_asked(self) -> None:
        """Take note that somebody asks this node, who may know of the newest round."""
        self._asked_until_s = self._time_s() + ASKED_S

    def add(self, fresh: Bundle) -> Bundle | None:
        """Take rounds that became final; give all that are to be taken up now."""
        before, now_s = self._waiting, self._time_s()
        if before is not None:
            fresh = Bundle((*before.headers, *fresh.headers), fresh.epoch, fresh.proven)
        is_full = len(fresh.headers) >= MAX_ROUNDS
        if now_s >= self._due_s or now_s < self._asked_until_s or is_full:
            self._waiting, self._due_s = None, now_s + MOMENT_S
            return fresh
        self._waiting = fresh
        if before is None:
            self._wake_in(self._due_s - now_s)
        return None

    def take(self) -> Bundle | None:
        """Give what waits, to be taken up now."""
        taken, self._waiting = self._waiting, None
        if taken is not None:
            self._due_s = self._time_s() + MOMENT_S
        return taken

    def clear(self) -> None:
        """Forget what waits: the network was rewound."""
        self._waiting = None
