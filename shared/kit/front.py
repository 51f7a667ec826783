"""
The one port of a node: every connection begins as HTTP/1.1.

The head of the first request decides. One that asks to upgrade to frames becomes a `Channel` on the
same socket; anything else is served by uvicorn, which gets the bytes as they came. So HTTP costs
nothing on a connection of frames (RFC 9110 section 7.8).
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import cast

import structlog

from shared.crypto.signing import Signer
from shared.errors import QanatError, Rejected
from shared.kit import limits, metrics
from shared.kit.cable import Cable, CableCut
from shared.kit.callers import Caller, Transcript, new_nonce
from shared.kit.channel import Channel
from shared.kit.dev_controls import ForeignRequest, verify_dev_token, verify_local_request
from shared.kit.dialing import FRAME_BYTES, FRAMES_PATH, NODE, NONCE, PROTOCOL, SIGNATURE
from shared.kit.heads import Head, HeadReader, MalformedHead, encode_head
from shared.kit.limits import UnfinishedFrames
from shared.kit.service import Service
from shared.kit.streams import StreamsOfStrangers

log = structlog.get_logger()

HEAD_TIMEOUT_S = 5.0
"""How long the head of the first request may take [s]."""
MAX_CONNECTIONS = 1024
"""Connections of one node; below the 1024 files that many systems allow would be of no use."""

HttpFactory = Callable[[Callable[[], None]], asyncio.Protocol]
"""Makes the protocol of an HTTP connection; it calls what it is given when the connection ends."""


class BadUpgrade(Rejected, module="http", code=2):
    """The request for an upgrade lacks what it needs."""


@dataclass(slots=True)
class Door:
    """What a node's port opens to, and for whom."""

    service: Service
    signer: Signer | None = None
    """Key by which the node proves itself; None where it has none."""
    dev_token: str | None = field(default=None, repr=False)
    names: Collection[str] = ()
    """Names by which other nodes call this machine."""
    make_http: HttpFactory | None = None
    """Serves what is no upgrade; None refuses it."""
    bounds: limits.Limits = limits.STRANGER
    """Of clients that have not proven a key."""
    cable: Cable | None = None
    """Carries the frames of other nodes, and may be cut."""
    unfinished: UnfinishedFrames = field(default_factory=UnfinishedFrames)
    strangers: StreamsOfStrangers = field(default_factory=StreamsOfStrangers)
    connections: "Connections" = field(default_factory=lambda: Connections(MAX_CONNECTIONS))

    def new_connection(self) -> asyncio.Protocol:
        """Begin a connection: the factory of asyncio's servers."""
        return Front(self)


class Connections:
    """
    All connections of a port.

    Where there are too many, the oldest one goes that no node has proven its key on and that asks
    nothing: who only holds connections open keeps nobody out.
    """

    def __init__(self, max_connections: int) -> None:
        self._max = max_connections
        self._open: dict[Front, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, front: "Front") -> None:
        """Take a new one, at the cost of an old one where there are too many."""
        self._open[front] = None
        metrics.connections.set(len(self._open))
        if len(self._open) > self._max:
            idle = next((one for one in self._open if one is not front and one.is_idle), front)
            log.warning("connection_cut_off", cause="too_many_connections")
            metrics.dropped_connections.labels("too_many_connections").inc()
            idle.abort()

    def remove(self, front: "Front") -> None:
        """Forget one that has ended."""
        self._open.pop(front, None)
        metrics.connections.set(len(self._open))

    def abort_all(self) -> None:
        """End all of them: the node stops."""
        for front in list(self._open):
            front.abort()


class Front(asyncio.Protocol):
    """One connection, until it is known what it speaks."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._reader = HeadReader()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next: asyncio.Protocol | None = None

    @property
    def is_idle(self) -> bool:
        """Say whether nobody would miss it."""
        channel = self._next
        return not isinstance(channel, Channel) or channel.is_idle_stranger

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio's side ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a head, but not for long."""
        transport = cast("asyncio.Transport", transport)
        self._transport = transport
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(HEAD_TIMEOUT_S, transport.abort)
        self._door.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget it: it ended before it became anything."""
        self._stop_timer()
        self._forget()

    def _forget(self) -> None:
        self._door.connections.remove(self)

    def data_received(self, data: bytes) -> None:
        """Read the head and become what it asks for."""
        try:
            found = self._reader.feed(data)
            if found is None:
                return
            self._stop_timer()
            head, rest = found
            if _asks_for_frames(head):
                self._become_frames(head, rest)
            else:
                self._become_http()
        except QanatError as error:
            self._refuse(error)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- becoming ------------------------------------------------------------------------------

    def _become_http(self) -> None:
        if self._door.make_http is None:
            raise BadUpgrade(f"only `Upgrade: {PROTOCOL}` is spoken here")
        self._hand_over(self._door.make_http(self._forget), self._reader.received)

    def _become_frames(self, head: Head, rest: bytes) -> None:
        assert self._transport is not None  # noqa: S101
        if head.first_line != f"GET {FRAMES_PATH} HTTP/1.1":
            raise BadUpgrade(f"frames begin with GET {FRAMES_PATH} HTTP/1.1")
        door = self._door
        if door.cable is not None:
            door.cable.verify_whole()
        fields = {
            "Connection": "Upgrade",
            "Upgrade": PROTOCOL,
            FRAME_BYTES: str(door.bounds.frame_bytes),
        }
        caller = Caller(has_dev_token=self._verify_dev(head))
        transcript = None
        if NODE in head.fields:
            transcript = self._open_transcript(head)
            fields |= {NODE: transcript.server_key.hex(), NONCE: transcript.server_nonce.hex()}
            if door.signer is not None:
                fields[SIGNATURE] = transcript.prove_server(door.signer).hex()
        self._transport.write(encode_head("HTTP/1.1 101 Switching Protocols", fields))
        channel = Channel(
            "a client",
            door.service,
            door.bounds,
            door.unfinished,
            strangers=door.strangers,
            caller=caller,
            transcript=transcript,
            on_lost=self._forget,
            cable=door.cable,
        )
        self._hand_over(channel, rest)

    def _verify_dev(self, head: Head) -> bool:
        """Say whether dev controls are open; raises where it was tried and is refused."""
        authorization = head.fields.get("authorization")
        if authorization is None:
            return False
        verify_dev_token(authorization, self._door.dev_token)
        verify_local_request(head.fields.get("host"), head.fields.get("origin"), self._door.names)
        return True

    def _open_transcript(self, head: Head) -> Transcript:
        signer = self._door.signer
        try:
            client_nonce = bytes.fromhex(head.fields[NONCE])
            client_key = bytes.fromhex(head.fields[NODE])
        except (KeyError, ValueError) as error:
            raise BadUpgrade(f"{NODE} and {NONCE} are 32 bytes each, in hex") from error
        if len(client_nonce) != 32 or len(client_key) != 32:
            raise BadUpgrade(f"{NODE} and {NONCE} are 32 bytes each, in hex")
        server_key = bytes(32) if signer is None else signer.public_key
        return Transcript(client_nonce, new_nonce(), client_key, server_key)

    def _hand_over(self, protocol: asyncio.Protocol, received: bytes) -> None:
        """Let another protocol go on, with nothing in between."""
        assert self._transport is not None  # noqa: S101
        self._next = protocol
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if received:
            protocol.data_received(received)

    def _refuse(self, error: QanatError) -> None:
        assert self._transport is not None  # noqa: S101
        if isinstance(error, MalformedHead):
            status = (
                "431 Request Header Fields Too Large"
                if "longer" in error.message
                else ("400 Bad Request")
            )
        elif isinstance(error, CableCut):
            status = "503 Service Unavailable"
        else:
            status = "403 Forbidden" if isinstance(error, ForeignRequest) else "400 Bad Request"
        body = f"{error.message}\n".encode()
        fields = {
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
        self._transport.write(encode_head(f"HTTP/1.1 {status}", fields) + body)
        self._transport.close()


def _asks_for_frames(head: Head) -> bool:
    return head.is_upgrade and head.fields.get("upgrade", "").lower() == PROTOCOL
