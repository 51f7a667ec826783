"""
What streams may cost a server: strangers share one allowance, and nobody holds the loop.

A stream begins with all history that its reader asks for. Taken as fast as the reader can read, a
few hundred of them would leave no time for anything else.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import PeerBusy

MAX_STREAMS_OF_STRANGERS = 256
"""That one server has open at once."""
BYTES_PER_S = 4 * 1024 * 1024
"""What strangers get together [bytes/s]."""
BURST_BYTES = 1024 * 1024
"""What they may get at once after a pause [bytes]."""
ITEM_BYTES = 4096
"""What an item counts for beside its bytes: to load and encode it costs more than to send it."""
ITEMS_A_TURN = 32
"""Items that a stream may send before other tasks have their turn."""


class StreamsOfStrangers:
    """Counts the open ones, and slows all of them down to the rate that they may have together."""

    def __init__(
        self,
        max_streams: int = MAX_STREAMS_OF_STRANGERS,
        bytes_per_s: float = BYTES_PER_S,
        burst_bytes: float = BURST_BYTES,
    ) -> None:
        self._max_streams, self._bytes_per_s = max_streams, bytes_per_s
        self._burst_bytes = self._left_bytes = burst_bytes
        self._counted_at_s = 0.0
        self._open = 0

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Count a stream for as long as it is open; raises `PeerBusy` where there are too many."""
        if self._open >= self._max_streams:
            raise PeerBusy(f"{self._open} streams of clients without a node's key are open here")
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def pay(self, size_bytes: int) -> None:
        """Count an item, and wait where all of them together have had more than their rate."""
        now_s = asyncio.get_running_loop().time()
        gained = (now_s - self._counted_at_s) * self._bytes_per_s
        self._counted_at_s = now_s
        self._left_bytes = min(self._left_bytes + gained, self._burst_bytes)
        self._left_bytes -= ITEM_BYTES + size_bytes
        if self._left_bytes < 0:
            await asyncio.sleep(-self._left_bytes / self._bytes_per_s)
