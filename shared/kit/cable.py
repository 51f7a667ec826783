"""
What lies between this node and all others, where somebody may cut it or slow it down.

A cable knows every connection of frames that the node has with another process, whoever began it.
An undisturbed one costs nothing: a delay is a protocol of its own, put between a connection and its
channel while it lasts. HTTP is not touched, so whoever cut a node still reaches it.
"""

import asyncio
from collections import deque
from typing import Protocol

import structlog

from shared.errors import PeerUnavailable, Rejected

log = structlog.get_logger()

MAX_DELAY_MS = 60_000
MAX_HELD_BYTES = 4 * 1024 * 1024
"""What one connection may have on its way [bytes]; the other side waits with more."""


class CableCut(PeerUnavailable, module="control", code=3):
    """The node's cable is cut: nothing comes from other nodes, and nothing reaches them."""


class DelayImpossible(Rejected, module="control", code=4):
    """The delay is negative, or so long that nobody waits for it."""


class Carried(Protocol):
    """A channel, as its cable sees it."""

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        ...

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear that the connection ended."""
        ...

    def pause_writing(self) -> None:
        """Hold what can wait."""
        ...

    def resume_writing(self) -> None:
        """Go on."""
        ...


class Cable:
    """All connections between this node and others. Fulfils `CableControlApi`."""

    def __init__(self) -> None:
        self._is_cut = False
        self._delay_ms = 0
        self._carried: dict[Carried, tuple[asyncio.Transport, Delay | None]] = {}

    # -- what the control plane asks ------------------------------------------------------------

    async def cut(self) -> None:
        """End all connections with other nodes, and make none until the cable is healed."""
        self._is_cut = True
        for transport, _ in list(self._carried.values()):
            transport.abort()
        log.warning("fault_cable_cut", connections=len(self._carried))

    async def slow(self, delay_ms: int) -> None:
        """Hold all that arrives from other nodes for a while [ms]."""
        if not 0 <= delay_ms <= MAX_DELAY_MS:
            raise DelayImpossible(f"the delay must be 0 to {MAX_DELAY_MS} ms")
        self._delay_ms = delay_ms
        for carried, (transport, delay) in list(self._carried.items()):
            self._carried[carried] = transport, self._delayed(carried, transport, delay)
        log.warning("fault_cable_slow", delay_ms=delay_ms, connections=len(self._carried))

    async def heal(self) -> None:
        """Make the cable whole and quick again."""
        self._is_cut = False
        await self.slow(0)

    async def fetch_cable(self) -> tuple[bool, int]:
        """Say whether the cable is cut, and its delay [ms]."""
        return self._is_cut, self._delay_ms

    # -- what connections ask -------------------------------------------------------------------

    def verify_whole(self) -> None:
        """Verify that a connection may begin, or raise `CableCut`."""
        if self._is_cut:
            raise CableCut("the cable between this node and all others is cut")

    def add(self, carried: Carried, transport: asyncio.Transport) -> None:
        """Carry a connection from now on."""
        self._carried[carried] = transport, self._delayed(carried, transport, None)
        if self._is_cut:
            # It was begun before the cut, and is ready only now.
            transport.abort()

    def remove(self, carried: Carried) -> None:
        """Forget a connection that has ended."""
        self._carried.pop(carried, None)

    def _delayed(
        self, carried: Carried, transport: asyncio.Transport, delay: "Delay | None"
    ) -> "Delay | None":
        if delay is None:
            if not self._delay_ms:
                return None
            delay = Delay(carried, transport)
            transport.set_protocol(delay)
        delay.seconds = self._delay_ms / 1000
        return delay


class Delay(asyncio.Protocol):
    """
    Stands before a channel and gives it what arrives later, in order.

    It stays for the rest of the connection: what is on its way may not be overtaken.
    """

    def __init__(self, carried: Carried, transport: asyncio.Transport) -> None:
        self._carried, self._transport = carried, transport
        self._held: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self.seconds = 0.0

    def data_received(self, data: bytes) -> None:
        """Hold what arrived."""
        loop = asyncio.get_running_loop()
        if not self.seconds and not self._held:
            self._carried.data_received(data)
            return
        self._held.append((loop.time() + self.seconds, data))
        self._held_bytes += len(data)
        if self._held_bytes > MAX_HELD_BYTES:
            self._transport.pause_reading()
        if self._timer is None:
            self._wait()

    def _wait(self) -> None:
        due, _ = self._held[0]
        self._timer = asyncio.get_running_loop().call_at(due, self._hand_on)

    def _hand_on(self) -> None:
        self._timer = None
        _, data = self._held.popleft()
        self._held_bytes -= len(data)
        if self._held_bytes <= MAX_HELD_BYTES and not self._transport.is_closing():
            self._transport.resume_reading()
        self._carried.data_received(data)
        if self._held and not self._transport.is_closing():
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Lose what is on its way, as with a broken cable."""
        if self._timer is not None:
            self._timer.cancel()
        self._held.clear()
        self._carried.connection_lost(exc)

    def pause_writing(self) -> None:
        """Tell the channel."""
        self._carried.pause_writing()

    def resume_writing(self) -> None:
        """Tell the channel."""
        self._carried.resume_writing()
