"""
Handing a client's transactions to whoever schedules next, and to the others only where that fails.

A proposal carries its batch, so the rest of the committee gets a transaction with the round that
runs it. The node that took a transaction from a client offers it to each new scheduler until a
round holds it, and to everybody when that takes long: the scheduler may be down.
"""

import asyncio
from collections.abc import Iterable, Sequence

from services.compute.peers import Peers
from shared.kit.limits import split
from shared.types.identity import NodeId

PATIENCE_S = 0.25
"""How long a transaction may wait before every peer hears of it [s]."""
MAX_FORWARDED = 20_000
"""Transactions that are followed; the oldest are left to the pools that have them."""
MAX_FORWARDED_BYTES = 32 * 1024 * 1024
"""Their bytes, also where the pool has let go of them [bytes]."""
MAX_MESSAGE_BYTES = 2 * 1024 * 1024
"""Transactions of one message to a peer [bytes]: far below the size of a frame."""


class Forwarder:
    """Follows the transactions that clients gave to this node."""

    def __init__(self, node_id: NodeId, peers: Peers) -> None:
        self._node_id, self._peers = node_id, peers
        self._told: dict[bytes, set[bytes]] = {}
        self._size_bytes = 0
        self._impatient: dict[bytes, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, raws: Sequence[bytes], scheduler: NodeId | None) -> None:
        """Take what entered the pool from a client, and offer it to a scheduler."""
        for raw in raws:
            if raw not in self._told:
                self._size_bytes += len(raw)
            self._told[raw] = {self._node_id}
        while len(self._told) > MAX_FORWARDED or self._size_bytes > MAX_FORWARDED_BYTES:
            self._let_go(next(iter(self._told)))
        self.offer(scheduler)
        self._wait()

    def offer(self, scheduler: NodeId | None) -> None:
        """Offer a scheduler what it has not heard of."""
        if not self._told or scheduler is None or scheduler == self._node_id:
            return
        raws = tuple(raw for raw, told in self._told.items() if scheduler not in told)
        for part in split(raws, max_items=MAX_FORWARDED, max_bytes=MAX_MESSAGE_BYTES):
            if self._peers.send_transactions(part, scheduler):
                for raw in part:
                    self._told[raw].add(scheduler)

    def settle(self, raws: Iterable[bytes]) -> None:
        """Let go of what a round holds."""
        for raw in raws:
            self._let_go(raw)
            self._impatient.pop(raw, None)

    def clear(self) -> None:
        """Forget everything: the network was rewound."""
        self._told.clear()
        self._size_bytes = 0
        self._impatient.clear()

    def _wait(self) -> None:
        if self._timer is None and self._told:
            # What is new now is told to everybody one patience later at the earliest.
            self._impatient = dict.fromkeys(self._told)
            self._timer = asyncio.get_running_loop().call_later(PATIENCE_S, self._tell_everybody)

    def _tell_everybody(self) -> None:
        self._timer = None
        raws = tuple(raw for raw in self._impatient if raw in self._told)
        self._impatient.clear()
        for part in split(raws, max_items=MAX_FORWARDED, max_bytes=MAX_MESSAGE_BYTES):
            self._peers.broadcast_transactions(part)
            for raw in part:
                # The pools of all peers have it now; each will propose it in its turn.
                self._let_go(raw)
        self._wait()

    def _let_go(self, raw: bytes) -> None:
        if self._told.pop(raw, None) is not None:
            self._size_bytes -= len(raw)
