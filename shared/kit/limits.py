"""
What a connection may cost: bytes and items, whoever is at the other end.

Every buffer that the other side can fill is bounded here. Numbers are chosen by what honest peers
send: a round of 1 MiB, its diff of 16 MiB, a transaction of 128 KiB.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from shared.encoding.frames import MAX_FRAME_BYTES

T = TypeVar("T")
MIB = 1024 * 1024

STREAM_ITEMS = 4096
"""Items of one stream that may wait for a slow reader; a reader further behind is cut off."""


def split(raws: Iterable[bytes], *, max_items: int, max_bytes: int) -> Iterator[tuple[bytes, ...]]:
    """Split byte strings into messages; one that is too large by itself is a message of its own."""
    part: list[bytes] = []
    size_bytes = 0
    for raw in raws:
        if part and (len(part) >= max_items or size_bytes + len(raw) > max_bytes):
            yield tuple(part)
            part, size_bytes = [], 0
        part.append(raw)
        size_bytes += len(raw)
    if part:
        yield tuple(part)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one connection."""

    frame_bytes: int
    """Largest frame that is read [bytes]."""
    unsent_bytes: int
    """What may wait for the other side to read it, before one more frame [bytes]."""
    stream_bytes: int
    """What may wait of one stream that was opened here [bytes]."""
    requests: int
    """Requests of the other side that may be under way."""
    request_bytes: int
    """Bytes of these, before one more [bytes]."""
    streams: int
    """Streams of the other side that may be open."""
    reader_patience_s: float = 20.0
    """How long a stream may wait for its reader before the connection is cut off [s]."""


ENCLAVE = Limits(MAX_FRAME_BYTES, 128 * MIB, 64 * MIB, 65_536, 128 * MIB, 1_024)
"""Host and enclave of one node: they live and die together."""
DIALED = Limits(MAX_FRAME_BYTES, 8 * MIB, 32 * MIB, 1_024, 16 * MIB, 16)
"""A server that this process chose to ask: its answers are large, its requests are none."""
PEER = Limits(16 * MIB, 8 * MIB, 32 * MIB, 4_096, 32 * MIB, 1_024)
"""A client that has proven the key of a registered node."""
STRANGER = Limits(MIB, 8 * MIB, MIB, 4_096, 16 * MIB, 16)
"""Anybody: eight transactions of 128 KiB a frame, and as many frames as one likes."""


class Droppable(Protocol):
    """A connection that can be cut off."""

    def drop(self, reason: str) -> None:
        """Cut the connection off at once; what waits to be sent is lost."""
        ...


class UnfinishedFrames:
    """
    Bounds what all clients of a server have sent of frames that are not complete.

    Over the limit the connection goes whose frame has been unfinished for longest: an honest one
    is complete within milliseconds.
    """

    def __init__(self, max_bytes: int = 64 * MIB) -> None:
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._by_owner: OrderedDict[Droppable, int] = OrderedDict()

    def note(self, owner: Droppable, size_bytes: int) -> None:
        """Take how much of a frame waits in a connection; 0 where none does."""
        before = self._by_owner.get(owner, 0)
        self._size_bytes += size_bytes - before
        if size_bytes:
            self._by_owner[owner] = size_bytes
        elif before:
            del self._by_owner[owner]
        while self._size_bytes > self._max_bytes:
            oldest, held = self._by_owner.popitem(last=False)
            self._size_bytes -= held
            oldest.drop("unfinished_frames")


class BoundedQueue(Generic[T]):
    """A queue with one reader, bounded in items and bytes."""

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self._max_items, self._max_bytes = max_items, max_bytes
        self._items: deque[tuple[T, int]] = deque()
        self.size_bytes = 0
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def offer(self, item: T, size_bytes: int) -> bool:
        """Put an item in, or say that there is no room; an empty queue has room for any."""
        is_full = len(self._items) >= self._max_items or (
            self._items and self.size_bytes + size_bytes > self._max_bytes
        )
        if is_full:
            return False
        self.put(item, size_bytes)
        return True

    def put(self, item: T, size_bytes: int = 0) -> None:
        """Put an item in, whether there is room or not: for what ends the queue."""
        self._items.append((item, size_bytes))
        self.size_bytes += size_bytes
        self._arrived.set()

    def clear(self) -> None:
        """Forget what waits."""
        self._items.clear()
        self.size_bytes = 0

    async def take(self) -> T:
        """Wait for the next item."""
        while not self._items:
            self._arrived.clear()
            await self._arrived.wait()
        item, size_bytes = self._items.popleft()
        self.size_bytes -= size_bytes
        return item
