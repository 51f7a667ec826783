"""
A client's lasting relation to a server.

A `Link` connects when first used, and again after the connection broke; what was under way then
fails with `PeerUnavailable`, and the caller decides whether to ask again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import structlog

from shared.encoding import frames
from shared.errors import PeerUnavailable, Unavailable
from shared.kit import limits
from shared.kit.cable import Cable
from shared.kit.channel import SELECT_PART, Channel
from shared.kit.dialing import ANONYMOUS, Credentials, Dialing, Dialogue, Granted
from shared.kit.service import Service

log = structlog.get_logger()
T = TypeVar("T")

CONNECT_TIMEOUT_S = 2.0
"""How long a connection attempt on a local network may take [s]."""
REDIAL_PAUSE_S = 1.0
"""How long a server that was cut off for not reading is left alone [s]."""
MAX_WAITING_NOTICES = 64
"""Notices that may wait for a connection; more are lost, as notices may be."""


class Link:
    """A client's lasting relation to one server. Is a `Transport` of contracts."""

    def __init__(
        self,
        peer: str,
        address: str,
        service: Service | None = None,
        *,
        part: str = "",
        credentials: Credentials = ANONYMOUS,
        expected: frozenset[bytes] | None = None,
        cable: Cable | None = None,
    ) -> None:
        """
        Name a server.

        Parameters
        ----------
        peer : `str`
            Its name, for errors.
        address : `str`
            `host:port`, or the path of a Unix socket, where frames begin without an upgrade.
        service : `Service`, optional
            Answers what the server asks.
        part : `str`
            Part of the server that is asked.
        credentials : `Credentials`
            What this process proves of itself.
        expected : `frozenset`, optional
            Node keys of which the server must prove one; None believes the address.
        cable : `Cable`, optional
            Leads to it, and may be cut.
        """
        self.peer, self.address, self._part = peer, address, part
        self._credentials, self._expected = credentials, expected
        self._service, self._cable = service, cable
        self._channel: Channel | None = None
        self._connecting = asyncio.Lock()
        self._notifying: set[asyncio.Task[None]] = set()
        self._not_before = 0.0

    async def _connected(self) -> Channel:
        channel = self._channel
        if channel is not None and channel.is_open:
            return channel
        async with self._connecting:
            channel = self._channel
            if channel is None or not channel.is_open:
                self._spare_slow(channel)
                channel = self._channel = await self._connect()
            return channel

    def _spare_slow(self, channel: Channel | None) -> None:
        """Leave a server that did not read alone for a while: it would only be cut off again."""
        now_s = asyncio.get_running_loop().time()
        if channel is not None and channel.was_slow:
            channel.was_slow = False
            self._not_before = now_s + REDIAL_PAUSE_S
        if now_s < self._not_before:
            raise PeerUnavailable(f"{self.peer} does not read what it is sent")

    async def _connect(self) -> Channel:
        if self._cable is not None:
            self._cable.verify_whole()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                channel = await (self._open_unix() if "/" in self.address else self._upgrade())
        except (OSError, TimeoutError) as error:
            reason = str(error) or "timed out"
            raise PeerUnavailable(
                f"{self.peer} does not answer at {self.address}: {reason}"
            ) from error
        if self._part:
            channel.notify(SELECT_PART, self._part.encode())
        return channel

    async def _open_unix(self) -> Channel:
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(
            lambda: Channel(self.peer, self._service, limits.DIALED), self.address
        )
        return channel

    async def _upgrade(self) -> Channel:
        dialogue = Dialogue(self.peer, self.address, self._credentials, self._expected)
        host, _, port = self.address.rpartition(":")
        transport, dialing = await asyncio.get_running_loop().create_connection(
            lambda: Dialing(dialogue, self._begin), host.strip("[]"), int(port)
        )
        try:
            return await dialing.done
        except BaseException:
            transport.abort()
            raise

    def _begin(self, granted: Granted) -> Channel:
        # Who proves a key may send more than the server says to strangers.
        is_stranger = granted.client_proof is None
        channel = Channel(
            self.peer,
            self._service,
            limits.DIALED,
            cable=self._cable,
            peer_frame_bytes=granted.frame_bytes if is_stranger else frames.MAX_FRAME_BYTES,
        )
        channel.first_words = granted.client_proof
        return channel

    async def call(self, method: str, body: bytes) -> bytes:
        """Send a request, connecting first where that is needed."""
        return await (await self._connected()).call(method, body)

    def notify(self, method: str, body: bytes) -> None:
        """Send a message that is not answered; lost where the server cannot be reached."""
        channel = self._channel
        if channel is not None and channel.is_open:
            channel.notify(method, body)
            return
        if len(self._notifying) >= MAX_WAITING_NOTICES:
            return
        task = asyncio.get_running_loop().create_task(self._notify_later(method, body))
        self._notifying.add(task)
        task.add_done_callback(self._notifying.discard)

    async def _notify_later(self, method: str, body: bytes) -> None:
        try:
            (await self._connected()).notify(method, body)
        except PeerUnavailable as error:
            log.debug("notice_lost", peer=self.peer, method=method, reason=error.message)

    async def stream(self, method: str, body: bytes) -> AsyncIterator[bytes]:
        """Open a stream, connecting first where that is needed."""
        channel = await self._connected()
        async for item in channel.stream(method, body):
            yield item

    def close(self) -> None:
        """Close the connection if there is one."""
        if self._channel is not None:
            self._channel.close()


async def until_available(
    attempt: Callable[[], Awaitable[T]], *, delay_s: float = 0.02, max_delay_s: float = 0.5
) -> T:
    """Repeat an attempt while its peer is unavailable, with a growing pause in between [s]."""
    while True:
        try:
            return await attempt()
        except Unavailable as error:
            log.debug("peer_awaited", reason=error.message)
        await asyncio.sleep(delay_s)
        delay_s = min(2 * delay_s, max_delay_s)
