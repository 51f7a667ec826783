"""
Connections on which a client only posts requests, as libraries and test suites do.

A general server reads the same head again for each of them, and makes a scope, an event, a cycle
and three messages: most of what a small answer costs. Here a head that was read once is known.
What is not a plain POST of JSON to `/` is left to uvicorn, with the bytes as they came, and so is
the rest of its connection.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.gateway.encryption import ASKER, Asker
from services.gateway.rpc.dispatch import Dispatcher
from services.gateway.rpc.endpoint import JSON, Answering, Peer
from shared.kit.heads import END, MAX_HEAD_BYTES

log = structlog.get_logger()

FIRST_LINE = b"POST / HTTP/1.1"
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
"""Name and value. Source: RFC 9110 section 5."""
NOT_PLAIN = frozenset(
    {
        b"expect",
        b"transfer-encoding",
        b"upgrade",
        b"x-forwarded-for",  # by which uvicorn tells who asks through a proxy
        b"x-forwarded-proto",
    }
)
"""Fields by which a request says that it is more than its head and its body."""
MAX_BODY_BYTES = 64 * 1024
"""Longer ones are left to uvicorn, and so are longer heads."""
MAX_KNOWN_HEADS = 16
"""Of a connection; a client changes nothing but the length of its bodies."""
IDLE_S = 120.0
"""How long a client may take to begin a request, to end it, and to read the answer [s]."""
OK = b"HTTP/1.1 200 OK\r\n%bcontent-length: "
FAILED = b"HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


Admit = Callable[[Mapping[bytes, bytes], Peer], Answering | None]
"""Say who answers a request, by its headers and its peer; None where it is refused."""


@dataclass(frozen=True, slots=True)
class _Head:
    """A head that was read."""

    body_bytes: int
    dispatcher: Dispatcher
    asker: Asker
    begin: bytes
    """Of an answer, up to its length."""


def read_plain_head(head: bytes) -> dict[bytes, bytes] | None:
    """
    Read the head of a plain POST, without its end; None where it is anything else.

    What two readers of HTTP might read differently is not plain: a field that comes twice, or
    characters that no field has.
    """
    first, *lines = head.split(b"\r\n")
    if first != FIRST_LINE:
        return None
    headers: dict[bytes, bytes] = {}
    for line in lines:
        field = FIELD.fullmatch(line)
        if field is None:
            return None
        name = field[1].lower()
        if name in headers or name in NOT_PLAIN:
            return None
        headers[name] = field[2].rstrip(b" \t")
    length = headers.get(b"content-length", b"")
    is_kept = headers.get(b"connection", b"keep-alive").lower() == b"keep-alive"
    if not is_kept or not length.isdigit() or len(length) > 6 or int(length) > MAX_BODY_BYTES:
        return None
    return headers


class PostProtocol(asyncio.Protocol):
    """One connection, until something else than plain posts comes."""

    def __init__(self, admit: Admit, **of_uvicorn: Any) -> None:
        """Take what uvicorn gives its protocols, for the one that may go on."""
        self._admit, self._of_uvicorn = admit, of_uvicorn
        self._connections: set[asyncio.Protocol] = of_uvicorn["server_state"].connections
        self._transport: asyncio.Transport | None = None
        self._peer: Peer = None
        self._known: dict[bytes, _Head] = {}
        self._received = b""
        self._answering: asyncio.Task[None] | None = None
        self._is_full = self._is_paused = self._is_ending = False
        self._heard_s = 0.0
        self._idle: asyncio.TimerHandle | None = None

    # -- asyncio's side ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request."""
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self._peer = (str(name[0]), int(name[1])) if isinstance(name, tuple) else None
        self._connections.add(self)
        self._note_activity()
        self._wait_idle(IDLE_S)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget it; what is being answered runs on, as a transaction may be under way."""
        self._forget()

    def data_received(self, data: bytes) -> None:
        """Take bytes; answer what is whole, one after the other."""
        if self._received:
            self._received += data
        else:
            self._received = data
            self._note_activity()
        if self._answering is None:
            self._next()
        elif len(self._received) > MAX_HEAD_BYTES + MAX_BODY_BYTES and not self._is_paused:
            self._is_paused = True
            self._stream().pause_reading()

    def pause_writing(self) -> None:
        """Answer no more until the client has read."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_full = False
        if self._answering is None:
            self._next()

    # -- uvicorn's side ------------------------------------------------------------------------

    def shutdown(self) -> None:
        """End, once what is being answered has its answer."""
        self._is_ending = True
        if self._answering is None:
            self._stream().close()

    # ------------------------------------------------------------------------------------------

    def _stream(self) -> asyncio.Transport:
        assert self._transport is not None  # noqa: S101 - asyncio's order
        return self._transport

    def _next(self) -> None:
        """Begin with the next request, where it is whole and the client reads its answers."""
        if self._is_full or not self._received or self._stream().is_closing():
            return
        end = self._received.find(END, 0, MAX_HEAD_BYTES + len(END))
        if end < 0:
            if len(self._received) > MAX_HEAD_BYTES or not _may_become_plain(self._received):
                self._hand_over()
            return
        head = self._known.get(self._received[:end]) or self._read(self._received[:end])
        if head is None:
            self._hand_over()
            return
        start = end + len(END)
        whole = start + head.body_bytes
        if len(self._received) < whole:
            return
        body = self._received[start:whole]
        self._received = self._received[whole:]
        if self._is_paused:
            self._is_paused = False
            self._stream().resume_reading()
        self._answering = asyncio.get_running_loop().create_task(self._answer(head, body))

    def _read(self, raw: bytes) -> _Head | None:
        headers = read_plain_head(raw)
        if headers is None:
            return None
        answering = self._admit(headers, self._peer)
        if answering is None:
            return None
        fields = [*answering.headers, (b"content-type", JSON)]
        begin = OK % b"".join(b"%b: %b\r\n" % field for field in fields)
        asker = (self._peer, headers)
        head = _Head(int(headers[b"content-length"]), answering.dispatcher, asker, begin)
        if len(self._known) < MAX_KNOWN_HEADS:
            self._known[raw] = head
        return head

    async def _answer(self, head: _Head, body: bytes) -> None:
        stream = self._stream()
        ASKER.set(head.asker)
        try:
            answer = await head.dispatcher.answer(body)
            if not stream.is_closing():
                stream.write(b"%b%d\r\n\r\n%b" % (head.begin, len(answer), answer))
        except Exception:
            log.exception("http_failed")
            self._is_ending = True
            stream.write(FAILED)
        finally:
            self._answering = None
        self._note_activity()
        if self._is_ending:
            stream.close()
        elif self._received:
            self._next()

    # -- ends ----------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        """Let uvicorn go on, with what came and was not answered."""
        stream, received = self._stream(), self._received
        self._forget()
        protocol = HttpToolsProtocol(**self._of_uvicorn)
        stream.set_protocol(protocol)
        protocol.connection_made(stream)
        if self._is_paused:
            stream.resume_reading()
        protocol.data_received(received)

    def _forget(self) -> None:
        self._connections.discard(self)
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _note_activity(self) -> None:
        self._heard_s = asyncio.get_running_loop().time()

    def _wait_idle(self, seconds: float) -> None:
        self._idle = asyncio.get_running_loop().call_later(seconds, self._look_idle)

    def _look_idle(self) -> None:
        """End the connection where nothing happened for long: one timer, not one a request."""
        left_s = self._heard_s + IDLE_S - asyncio.get_running_loop().time()
        if left_s > 0 or self._answering is not None:
            self._wait_idle(max(left_s, 1.0))
        elif self._stream().get_write_buffer_size():
            self._stream().abort()  # who does not read would keep it open for ever
        else:
            self._stream().close()


def _may_become_plain(begun: bytes) -> bool:
    """Say whether a head that is not whole begins as that of a plain POST."""
    line = FIRST_LINE + b"\r\n"
    return begun[: len(line)] == line[: len(begun)]
