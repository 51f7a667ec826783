"""
Transactions that a pool took and that no round holds yet.

A pool is one node's memory. A node that stops after it took a transaction and before anybody else
heard of it would lose it, so the gateway keeps it until a round shows it, and offers it to other
nodes where that takes long.
"""

from dataclasses import dataclass

from services.gateway.index.rounds import IndexedRound

FIRST_OFFER_S = 1.0
"""How long after its acceptance a transaction is offered again; twice as long each time [s]."""
MAX_OFFERS = 8
"""After these, some four minutes, it waits for something else than a node: for its nonce."""
MAX_TRANSACTIONS = 20_000
"""That are kept; the oldest are left to the pools that have them."""
MAX_BYTES = 32 * 1024 * 1024
"""Their bytes [bytes]."""


@dataclass(slots=True)
class _Kept:
    raw: bytes
    due_s: float
    offers: int = 0


class AcceptedTransactions:
    """A ledger by hash, oldest first; time is that of the event loop [s]."""

    def __init__(self) -> None:
        self._kept: dict[bytes, _Kept] = {}
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, hash_: bytes, raw: bytes, now_s: float) -> None:
        """Keep what a pool took."""
        if hash_ in self._kept:
            return
        self._kept[hash_] = _Kept(raw, now_s + FIRST_OFFER_S)
        self._size_bytes += len(raw)
        while len(self._kept) > MAX_TRANSACTIONS or self._size_bytes > MAX_BYTES:
            self.discard(next(iter(self._kept)))

    def raws(self) -> dict[bytes, bytes]:
        """Give what is kept, raw by hash."""
        return {hash_: kept.raw for hash_, kept in self._kept.items()}

    def discard(self, hash_: bytes) -> None:
        """Let go of a transaction, if it is here."""
        kept = self._kept.pop(hash_, None)
        if kept is not None:
            self._size_bytes -= len(kept.raw)

    def apply_round(self, round_: IndexedRound) -> None:
        """Let go of what a round holds."""
        for transaction in round_.every_transaction():
            self.discard(transaction.record.hash)

    def clear(self) -> None:
        """Forget everything: the network went back in time."""
        self._kept.clear()
        self._size_bytes = 0

    def take_due(self, now_s: float) -> dict[bytes, bytes]:
        """Give what is to be offered again now, raw by hash; each is due later once more."""
        due = {hash_: kept for hash_, kept in self._kept.items() if kept.due_s <= now_s}
        for hash_, kept in due.items():
            kept.offers += 1
            kept.due_s = now_s + FIRST_OFFER_S * 2**kept.offers
            if kept.offers >= MAX_OFFERS:
                self.discard(hash_)
        return {hash_: kept.raw for hash_, kept in due.items()}
