"""
Connections between processes: frames over TCP or a Unix socket, both ends may ask.

A `Channel` is one live connection. Nothing that the other side does takes more memory than the
channel's `Limits` say: who does not read, or asks for too much at once, is cut off.
"""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, cast

import structlog

from shared.crypto.signing import BadSignature
from shared.encoding import frames
from shared.encoding.contract import Access, find_method, serve_call, serve_stream
from shared.errors import PeerBusy, PeerFailed, PeerUnavailable, QanatError
from shared.kit import limits, metrics
from shared.kit.cable import Cable
from shared.kit.callers import STRANGER, Caller, Transcript
from shared.kit.limits import BoundedQueue, Limits, UnfinishedFrames
from shared.kit.service import Service
from shared.kit.streams import ITEMS_A_TURN, StreamsOfStrangers

log = structlog.get_logger()

SELECT_PART = "@part"
"""Notice by which a client says, first of all, which part of a service it asks."""
MAX_PART_BYTES = 128
WRITE_BYTES = 64 * 1024
"""So much is written at once, before the loop's turn ends [bytes]."""
PROVE = "@prove"
"""Notice by which a client proves the key that it named; before anything that needs it."""


class Channel(asyncio.Protocol):
    """One connection. Calls the other side, and answers its calls by a `Service`."""

    def __init__(
        self,
        peer: str,
        service: Service | None = None,
        bounds: Limits = limits.STRANGER,
        unfinished: UnfinishedFrames | None = None,
        *,
        strangers: StreamsOfStrangers | None = None,
        caller: Caller = STRANGER,
        transcript: Transcript | None = None,
        on_lost: Callable[[], None] | None = None,
        cable: Cable | None = None,
        peer_frame_bytes: int = frames.MAX_FRAME_BYTES,
    ) -> None:
        """
        Make one end of a connection.

        Parameters
        ----------
        peer : `str`
            Name of the other side, for errors and logs.
        service : `Service`, optional
            Answers what the other side asks.
        bounds : `Limits`
            What the connection may cost.
        unfinished : `UnfinishedFrames`, optional
            Shared by all clients of a server.
        strangers : `StreamsOfStrangers`, optional
            The same; without it nobody counts as one.
        caller : `Caller`
            What is known of the other side; it may prove a key later.
        transcript : `Transcript`, optional
            What the other side must sign to prove its key.
        on_lost : callable, optional
            Called when the connection has ended.
        cable : `Cable`, optional
            Carries the connection, and may be cut.
        peer_frame_bytes : `int`
            Largest frame that the other side takes [bytes].
        """
        self.peer = peer
        self._service = service or Service()
        self._caller, self._transcript, self._on_lost = caller, transcript, on_lost
        self._peer_frame_bytes, self._cable = peer_frame_bytes, cable
        self._part = ""
        self._is_known = False
        self._bounds = bounds
        self._decoder = frames.FrameDecoder(bounds.frame_bytes)
        self._unfinished, self._strangers = unfinished, strangers
        self._ids = itertools.count(1)
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._streams: dict[int, BoundedQueue[frames.Frame | None]] = {}
        self._serving: dict[int, asyncio.Task[None]] = {}
        self._noticed: set[asyncio.Task[None]] = set()
        self._under_way_bytes = 0
        self._open_streams = 0
        self._transport: asyncio.Transport | None = None
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0
        self._writable = asyncio.Event()
        self.first_words: bytes | None = None
        """Proof of this end's key, which goes before all else."""
        self.was_slow = False
        """Whether it was cut off because the other side did not read."""
        self.closed = asyncio.Event()

    # -- asyncio's side ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; latency matters more than packet counts on these connections."""
        transport = cast("asyncio.Transport", transport)
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._writable.set()
        if self._cable is not None:
            self._cable.add(self, transport)
        if self.first_words is not None:
            self.notify(PROVE, self.first_words)

    def pause_writing(self) -> None:
        """Hold streams while the other side is slow."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let streams go on."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Fail what was under way in both directions."""
        self.closed.set()
        self._writable.set()
        if self._cable is not None:
            self._cable.remove(self)
        for future in self._calls.values():
            if not future.done():
                future.set_exception(PeerUnavailable(f"{self.peer} closed the connection"))
        self._calls.clear()
        for queue in self._streams.values():
            queue.put(None)
        for task in self._serving.values():
            task.cancel()
        if self._unfinished is not None:
            self._unfinished.note(self, 0)
        if self._on_lost is not None:
            self._on_lost()

    def data_received(self, data: bytes) -> None:
        """Dispatch whole frames; a peer that does not speak frames is cut off."""
        try:
            for frame, size_bytes in self._decoder.feed_sized(data):
                self._dispatch(frame, size_bytes)
        except frames.MalformedFrame as error:
            self._cut_off("malformed_frame", error.message)
            return
        if self._unfinished is not None:
            self._unfinished.note(self, self._decoder.unfinished_bytes)

    def _dispatch(self, frame: frames.Frame, size_bytes: int) -> None:
        match frame:
            case frames.Request(id=frames.NOTICE, method=method) if method == SELECT_PART:
                self._select_part(frame.body)
            case frames.Request(id=frames.NOTICE, method=method) if method == PROVE:
                self._take_proof(frame.body)
            case frames.Request():
                self._take_up(frame, size_bytes)
            case frames.Cancel(id=id_):
                serving = self._serving.get(id_)
                if serving is not None:
                    serving.cancel()
            case frames.Event(id=id_):
                self._push(id_, frame, size_bytes)
            case frames.Response(id=id_, body=body):
                future = self._calls.pop(id_, None)
                if future is None:
                    self._push(id_, frame, size_bytes)
                elif not future.done():
                    future.set_result(body)
            case frames.Failure(id=id_):
                future = self._calls.pop(id_, None)
                if future is None:
                    self._push(id_, frame, size_bytes)
                elif not future.done():
                    future.set_exception(frame.error())

    def _select_part(self, untrusted: bytes) -> None:
        if len(untrusted) <= MAX_PART_BYTES:
            self._part = untrusted.decode(errors="replace")
        else:
            self._cut_off("malformed_frame", "the name of a part is a short text")

    def _take_proof(self, untrusted: bytes) -> None:
        """Learn who the client is."""
        transcript, self._transcript = self._transcript, None
        if transcript is None:
            self._cut_off("unproven_key", "no key was named that could be proven now")
            return
        try:
            transcript.verify_client(untrusted)
        except BadSignature as error:
            self._cut_off("unproven_key", error.message)
            return
        key = transcript.client_key
        self._caller = replace(self._caller, node_key=key)
        self.peer = f"node {key.hex()[:8]}"
        self._is_known = self._service.knows(key)
        if self._is_known:
            self._bounds = limits.PEER
            self._decoder.max_frame_bytes = limits.PEER.frame_bytes

    def _take_up(self, request: frames.Request, size_bytes: int) -> None:
        """Begin to serve a request, if the limits allow."""
        id_ = request.id
        under_way = len(self._serving) + len(self._noticed)
        if under_way >= self._bounds.requests or self._under_way_bytes > self._bounds.request_bytes:
            metrics.refused_requests.inc()
            if id_ != frames.NOTICE:
                busy = PeerBusy(f"{under_way} requests of this connection are under way")
                self._try_send(frames.Failure.of(id_, busy))
            return
        if id_ in self._serving:
            self._cut_off("malformed_frame", f"request {id_} is under way already")
            return
        task = asyncio.get_running_loop().create_task(self._serve(request))
        self._under_way_bytes += size_bytes
        if id_ == frames.NOTICE:
            self._noticed.add(task)
        else:
            self._serving[id_] = task

        def end(task: asyncio.Task[None]) -> None:
            self._under_way_bytes -= size_bytes
            if id_ == frames.NOTICE:
                self._noticed.discard(task)
            else:
                del self._serving[id_]

        task.add_done_callback(end)

    def _push(self, id_: int, frame: frames.Frame, size_bytes: int) -> None:
        queue = self._streams.get(id_)
        if queue is not None and not queue.offer(frame, size_bytes):
            # What arrived so far is still read; the reader then asks for the rest anew.
            self._cut_off("stream_reader_too_slow", f"{len(queue)} items wait")

    # -- asking --------------------------------------------------------------------------------

    async def call(self, method: str, body: bytes) -> bytes:
        """Send a request and wait for its response."""
        id_ = next(self._ids)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._calls[id_] = future
        try:
            self._send(frames.Request(id_, method, body))
            return await future
        except asyncio.CancelledError:
            self._try_send(frames.Cancel(id_))
            raise
        finally:
            self._calls.pop(id_, None)

    def notify(self, method: str, body: bytes) -> None:
        """
        Send a message that is not answered.

        One that is refused there, or that finds the connection closed, is not heard of here.
        """
        self._try_send(frames.Request(frames.NOTICE, method, body))

    async def stream(self, method: str, body: bytes) -> AsyncIterator[bytes]:
        """Open a stream and give the bodies of its events until it ends."""
        id_ = next(self._ids)
        queue: BoundedQueue[frames.Frame | None] = BoundedQueue(
            limits.STREAM_ITEMS, self._bounds.stream_bytes
        )
        self._streams[id_] = queue
        try:
            self._send(frames.Request(id_, method, body))
            while True:
                frame = await queue.take()
                match frame:
                    case frames.Event(body=item):
                        yield item
                    case frames.Failure():
                        raise frame.error()
                    case frames.Response():
                        return
                    case _:
                        raise PeerUnavailable(f"{self.peer} closed the connection")
        finally:
            self._streams.pop(id_, None)
            self._try_send(frames.Cancel(id_))

    # -- answering -----------------------------------------------------------------------------

    async def _serve(self, request: frames.Request) -> None:
        answer: frames.Frame
        try:
            service = self._service.part(self._part) if self._part else self._service
            contract, implementation = service.find(request.method)
            method = find_method(contract, request.method)
            if method.access is not Access.PUBLIC:
                self._caller.verify_may(
                    method.access, method.name, admits=service.admits, knows=service.knows
                )
            if method.is_stream:
                await self._serve_stream(contract, implementation, request)
                answer = frames.Response(request.id, b"")
            else:
                body = await serve_call(contract, implementation, request.method, request.body)
                answer = frames.Response(request.id, body)
        except QanatError as error:
            answer = frames.Failure.of(request.id, error)
        except Exception:
            log.exception("request_failed", peer=self.peer, method=request.method)
            bug = PeerFailed(f"{request.method} failed by a bug; see the log of the peer")
            answer = frames.Failure.of(request.id, bug)
        if request.id == frames.NOTICE:
            return
        try:
            self._send(answer)
        except frames.MalformedFrame as error:
            # Larger than a frame may be: the asker must not wait for it for ever.
            self._try_send(frames.Failure.of(request.id, error))
        except PeerUnavailable as error:
            log.debug("answer_lost", peer=self.peer, reason=error.message)

    async def _serve_stream(
        self, contract: type, implementation: Any, request: frames.Request
    ) -> None:
        if self._open_streams >= self._bounds.streams:
            raise PeerBusy(f"{self._open_streams} streams of this connection are open")
        strangers = None if self._is_known else self._strangers
        self._open_streams += 1
        try:
            with nullcontext() if strangers is None else strangers.opened():
                await self._send_items(
                    request.id,
                    serve_stream(contract, implementation, request.method, request.body),
                    strangers,
                )
        finally:
            self._open_streams -= 1

    async def _send_items(
        self, id_: int, items: AsyncIterator[bytes], strangers: StreamsOfStrangers | None
    ) -> None:
        count = 0
        async for body in items:
            if not self._writable.is_set():
                await self._until_read()
            if not self.is_open:
                return
            size_bytes = self._send(frames.Event(id_, body))
            count += 1
            if strangers is not None:
                await strangers.pay(size_bytes)
            elif count % ITEMS_A_TURN == 0:
                # History is here at once; others want their turn.
                await asyncio.sleep(0)

    async def _until_read(self) -> None:
        """Wait for a slow reader, with patience that ends."""
        try:
            async with asyncio.timeout(self._bounds.reader_patience_s):
                await self._writable.wait()
        except TimeoutError:
            self._cut_off("slow_reader", "a stream waits for its reader")

    @property
    def is_idle_stranger(self) -> bool:
        """Say whether nobody that is known is at the other side, and nothing is asked."""
        return not self._is_known and not (self._serving or self._noticed)

    @property
    def is_open(self) -> bool:
        """Say whether anything can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def _send(self, frame: frames.Frame) -> int:
        """Send a frame; its size [bytes]."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise PeerUnavailable(f"{self.peer} is not connected")
        unsent_bytes = transport.get_write_buffer_size() + self._outbox_bytes
        if unsent_bytes > self._bounds.unsent_bytes:
            self._cut_off("slow_reader", f"{unsent_bytes} bytes wait to be read")
            raise PeerUnavailable(f"{self.peer} does not read what it is sent")
        encoded = frames.encode_frame(frame)
        if len(encoded) > self._peer_frame_bytes:
            raise frames.MalformedFrame(
                f"{self.peer} takes {self._peer_frame_bytes} bytes at once, not {len(encoded)}"
            )
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append(encoded)
        self._outbox_bytes += len(encoded)
        if self._outbox_bytes >= WRITE_BYTES:
            self._flush()
        return len(encoded)

    def _flush(self) -> None:
        """Write what was sent in one turn of the loop: a write costs as much as many frames."""
        outbox, self._outbox, self._outbox_bytes = self._outbox, [], 0
        if outbox and self._transport is not None:
            self._transport.write(outbox[0] if len(outbox) == 1 else b"".join(outbox))

    def _try_send(self, frame: frames.Frame) -> None:
        """Send where that is possible; nobody here waits for it."""
        try:
            self._send(frame)
        except QanatError as error:
            log.debug("frame_lost", peer=self.peer, reason=error.message)

    def close(self) -> None:
        """Close the connection once everything is sent."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def drop(self, reason: str) -> None:
        """Cut the connection off at once; what waits to be sent is lost."""
        self._cut_off(reason, "too much is held for all connections together")

    def _cut_off(self, reason: str, detail: str) -> None:
        if not self.is_open:
            return
        assert self._transport is not None  # noqa: S101
        metrics.dropped_connections.labels(reason).inc()
        log.warning("connection_cut_off", peer=self.peer, cause=reason, detail=detail)
        self.was_slow = reason == "slow_reader"
        self._transport.abort()


async def adopt_socket(sock: socket.socket, peer: str, service: Service | None = None) -> Channel:
    """Speak frames over an inherited, connected socket, as a host does with its enclave."""
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    _, channel = await loop.connect_accepted_socket(
        lambda: Channel(peer, service, limits.ENCLAVE), sock
    )
    return channel
