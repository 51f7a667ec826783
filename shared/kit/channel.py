"""
Connections between processes: frames over TCP or a Unix socket, both ends may ask.

A `Channel` is one live connection. A `Link` is a client's lasting relation to a server: it connects
when first used, and again after the connection broke; what was under way then fails with
`PeerUnavailable`, and the caller decides whether to ask again. Nothing that the other side does
takes more memory than the channel's `Limits` say: who does not read, or asks for too much at once,
is cut off.
"""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from shared.crypto.signing import BadSignature
from shared.encoding import frames
from shared.encoding.contract import Access, find_method, serve_call, serve_stream
from shared.errors import (
    MethodNotFound,
    PeerBusy,
    PeerFailed,
    PeerUnavailable,
    QanatError,
    Unavailable,
)
from shared.kit import limits, metrics
from shared.kit.callers import STRANGER, Admits, Caller, Transcript
from shared.kit.dialing import ANONYMOUS, Credentials, Dialing, Dialogue, Granted
from shared.kit.limits import BoundedQueue, Limits, UnfinishedFrames
from shared.kit.streams import ITEMS_A_TURN, StreamsOfStrangers

log = structlog.get_logger()
T = TypeVar("T")

CONNECT_TIMEOUT_S = 2.0
"""How long a connection attempt on a local network may take [s]."""
REDIAL_PAUSE_S = 1.0
"""How long a server that was cut off for not reading is left alone [s]."""
MAX_WAITING_NOTICES = 64
"""Notices that may wait for a connection; more are lost, as notices may be."""


SELECT_PART = "@part"
"""Notice by which a client says, first of all, which part of a service it asks."""
MAX_PART_CHARACTERS = 128
PROVE = "@prove"
"""Notice by which a client proves the key that it named; before anything that needs it."""


class PartUnknown(Unavailable, module="peer", code=3):
    """The server has no such part, or not yet: a host does not serve this ParaTime."""


class Service:
    """
    The contracts that one server answers: every method name belongs to one of them.

    A server may have parts with the same contracts, as a host has that serves several ParaTimes.
    Who names no part is answered by the only one.
    """

    def __init__(
        self,
        *served: tuple[type, Any],
        parts: Mapping[str, "Service"] | None = None,
        admits: Admits | None = None,
        knows: Admits | None = None,
    ) -> None:
        """
        Serve objects by their contracts.

        `parts` is kept, not copied: they may open one after the other. `admits` says whose key may
        ask what is for peers; without it nobody may, but what a part admits. `knows` says who
        is no stranger beside these: he gets the limits of a node, and no more rights.
        """
        self._served = served
        self._parts = {} if parts is None else parts
        self._admits, self._knows = admits, knows

    def admits(self, node_key: bytes) -> bool:
        """Say whether a node may ask what is for peers."""
        if self._admits is not None:
            return self._admits(node_key)
        return any(part.admits(node_key) for part in self._parts.values())

    def knows(self, node_key: bytes) -> bool:
        """Say whether the owner of a key is no stranger."""
        return self.admits(node_key) or (self._knows is not None and self._knows(node_key))

    def part(self, name: str) -> "Service":
        """Give a part, or raise `PartUnknown`."""
        found = self._parts.get(name)
        if found is None:
            raise PartUnknown(f"no part {name!r} is served here")
        return found

    def find(self, method: str) -> tuple[type, Any]:
        """Give the contract that has the method, and the object that fulfils it."""
        for contract, implementation in self._served:
            try:
                find_method(contract, method)
            except MethodNotFound:
                continue
            return contract, implementation
        if len(self._parts) == 1:
            (only,) = self._parts.values()
            return only.find(method)
        names = ", ".join(contract.__name__ for contract, _ in self._served)
        raise MethodNotFound(f"no method {method!r} in {names or 'an empty service'}")


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
        peer_frame_bytes : `int`
            Largest frame that the other side takes [bytes].
        """
        self.peer = peer
        self._service = service or Service()
        self._caller, self._transcript, self._on_lost = caller, transcript, on_lost
        self._peer_frame_bytes = peer_frame_bytes
        self._part = ""
        self._is_known = False
        self._bounds = bounds
        self._decoder = frames.FrameDecoder(bounds.frame_bytes)
        self._unfinished, self._strangers = unfinished, strangers
        self._ids = itertools.count(1)
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._streams: dict[int, BoundedQueue[frames.Frame | None]] = {}
        self._serving: dict[int, asyncio.Task[None]] = {}
        self._noticed: set[asyncio.Task[None]] = set()
        self._under_way_bytes = 0
        self._open_streams = 0
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self.first_words: bytes | None = None
        """Proof of this end's key, which goes before all else."""
        self.was_slow = False
        """Whether it was cut off because the other side did not read."""
        self.closed = asyncio.Event()

    # -- asyncio's side ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; latency matters more than packet counts on these connections."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._writable.set()
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

    def _select_part(self, untrusted: Any) -> None:
        if isinstance(untrusted, str) and len(untrusted) <= MAX_PART_CHARACTERS:
            self._part = untrusted
        else:
            self._cut_off("malformed_frame", "the name of a part is a short text")

    def _take_proof(self, untrusted: Any) -> None:
        """Learn who the client is."""
        transcript, self._transcript = self._transcript, None
        if transcript is None or not isinstance(untrusted, bytes):
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

    async def call(self, method: str, body: Any) -> Any:
        """Send a request and wait for its response."""
        id_ = next(self._ids)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls[id_] = future
        try:
            self._send(frames.Request(id_, method, body))
            return await future
        except asyncio.CancelledError:
            self._try_send(frames.Cancel(id_))
            raise
        finally:
            self._calls.pop(id_, None)

    def notify(self, method: str, body: Any) -> None:
        """
        Send a message that is not answered.

        One that is refused there, or that finds the connection closed, is not heard of here.
        """
        self._try_send(frames.Request(frames.NOTICE, method, body))

    async def stream(self, method: str, body: Any) -> AsyncIterator[Any]:
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
                answer = frames.Response(request.id, None)
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
        self, id_: int, items: AsyncIterator[Any], strangers: StreamsOfStrangers | None
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
        unsent_bytes = transport.get_write_buffer_size()
        if unsent_bytes > self._bounds.unsent_bytes:
            self._cut_off("slow_reader", f"{unsent_bytes} bytes wait to be read")
            raise PeerUnavailable(f"{self.peer} does not read what it is sent")
        encoded = frames.encode_frame(frame)
        if len(encoded) > self._peer_frame_bytes:
            raise frames.MalformedFrame(
                f"{self.peer} takes {self._peer_frame_bytes} bytes at once, not {len(encoded)}"
            )
        transport.write(encoded)
        return len(encoded)

    def _try_send(self, frame: frames.Frame) -> None:
        """Send where that is possible; nobody here waits for it."""
        try:
            self._send(frame)
        except QanatError as error:
            log.debug("frame_lost", peer=self.peer, reason=error.message)

    def close(self) -> None:
        """Close the connection once everything is sent."""
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
        """
        self.peer, self.address, self._part = peer, address, part
        self._credentials, self._expected = credentials, expected
        self._service = service
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
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                channel = await (self._open_unix() if "/" in self.address else self._upgrade())
        except (OSError, TimeoutError) as error:
            reason = str(error) or "timed out"
            raise PeerUnavailable(
                f"{self.peer} does not answer at {self.address}: {reason}"
            ) from error
        if self._part:
            channel.notify(SELECT_PART, self._part)
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
            peer_frame_bytes=granted.frame_bytes if is_stranger else frames.MAX_FRAME_BYTES,
        )
        channel.first_words = granted.client_proof
        return channel

    async def call(self, method: str, body: Any) -> Any:
        """Send a request, connecting first where that is needed."""
        return await (await self._connected()).call(method, body)

    def notify(self, method: str, body: Any) -> None:
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

    async def _notify_later(self, method: str, body: Any) -> None:
        try:
            (await self._connected()).notify(method, body)
        except PeerUnavailable as error:
            log.debug("notice_lost", peer=self.peer, method=method, reason=error.message)

    async def stream(self, method: str, body: Any) -> AsyncIterator[Any]:
        """Open a stream, connecting first where that is needed."""
        channel = await self._connected()
        async for item in channel.stream(method, body):
            yield item

    def close(self) -> None:
        """Close the connection if there is one."""
        if self._channel is not None:
            self._channel.close()


async def adopt_socket(sock: socket.socket, peer: str, service: Service | None = None) -> Channel:
    """Speak frames over an inherited, connected socket, as a host does with its enclave."""
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    _, channel = await loop.connect_accepted_socket(
        lambda: Channel(peer, service, limits.ENCLAVE), sock
    )
    return channel


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
