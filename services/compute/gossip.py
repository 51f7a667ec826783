"""Transactions of peers that wait unchecked: bounded in number and bytes, since peers fill it."""

from collections.abc import Iterable, Iterator

MAX_ITEMS = 20_000
"""Transactions that are kept; the oldest make room, their node has them still."""
MAX_BYTES = 16 * 1024 * 1024
"""Their bytes; the oldest make room [bytes]."""


class Gossip:
    """An ordered set of raw transactions, oldest first."""

    def __init__(self) -> None:
        self._raws: dict[bytes, None] = {}
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._raws)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._raws)

    def __contains__(self, raw: bytes) -> bool:
        return raw in self._raws

    def add(self, raws: Iterable[bytes]) -> None:
        """Keep transactions; what is older makes room."""
        for raw in raws:
            if raw not in self._raws and len(raw) <= MAX_BYTES:
                self._raws[raw] = None
                self.size_bytes += len(raw)
        while len(self._raws) > MAX_ITEMS or self.size_bytes > MAX_BYTES:
            self.discard(next(iter(self._raws)))

    def discard(self, raw: bytes) -> None:
        """Let go of a transaction, if it is here."""
        if raw in self._raws:
            del self._raws[raw]
            self.size_bytes -= len(raw)

    def take_all(self) -> tuple[bytes, ...]:
        """Take all of them out."""
        raws = tuple(self._raws)
        self.clear()
        return raws

    def clear(self) -> None:
        """Forget everything."""
        self._raws.clear()
        self.size_bytes = 0
