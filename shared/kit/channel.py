"""
Connections between processes: frames over TCP or a Unix socket, both ends may ask.

A `Channel` is one live connection. A `Link` is a client's lasting relation to a server: it connects
when first used, and again after the connection broke; what was under way then fails with
`PeerUnavailable`, and the caller decides whether to ask again.
"""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import structlog

from shared.encoding import frames
from shared.encoding.contract import find_method, serve_call, serve_stream
from shared.errors import MethodNotFound, PeerFailed, PeerUnavailable, QanatError, Unavailable

log = structlog.get_logger()
T = TypeVar("T")

CONNECT_TIMEOUT_S = 2.0
"""How long a connection attempt on a local network may take [s]."""
STREAM_ITEMS = 4096
"""Items of one stream that may wait for a slow reader; a reader further behind is cut off."""


SELECT_PART = "@part"
"""Notice by which a client says, first of all, which part of a service it asks."""


class PartUnknown(Unavailable, module="peer", code=3):
    """The server has no such part, or not yet: a host does not serve this ParaTime."""


class Service:
    """
    The contracts that one server answers: every method name belongs to one of them.

    A server may have parts with the same contracts, as a host has that serves several ParaTimes.
    Who names no part is answered by the only one.
    """

    def __init__(
        self, *served: tuple[type, Any], parts: Mapping[str, "Service"] | None = None
    ) -> None:
        """`parts` is kept, not copied: they may open one after the other."""
        self._served = served
        self._parts = {} if parts is None else parts

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

    def __init__(self, peer: str, service: Service | None = None) -> None:
        self.peer = peer
        self._service = service or Service()
        self._part = ""
        self._decoder = frames.FrameDecoder()
        self._ids = itertools.count(1)
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._streams: dict[int, asyncio.Queue[frames.Frame | None]] = {}
        self._serving: dict[int, asyncio.Task[None]] = {}
        self._noticed: set[asyncio.Task[None]] = set()
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
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
            queue.put_nowait(None)
        for task in self._serving.values():
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Dispatch whole frames; a peer that does not speak frames is cut off."""
        try:
            arrived = self._decoder.feed(data)
        except frames.MalformedFrame as error:
            log.warning("frame_malformed", peer=self.peer, reason=error.message)
            self.close()
            return
        for frame in arrived:
            self._dispatch(frame)

    def _dispatch(self, frame: frames.Frame) -> None:
        match frame:
            case frames.Request(id=frames.NOTICE, method=method) if method == SELECT_PART:
                self._part = str(frame.body)
            case frames.Request(id=frames.NOTICE):
                task = asyncio.get_running_loop().create_task(self._serve(frame))
                self._noticed.add(task)
                task.add_done_callback(self._noticed.discard)
            case frames.Request(id=id_):
                task = asyncio.get_running_loop().create_task(self._serve(frame))
                self._serving[id_] = task
                task.add_done_callback(lambda _: self._serving.pop(id_, None))
            case frames.Cancel(id=id_):
                serving = self._serving.get(id_)
                if serving is not None:
                    serving.cancel()
            case frames.Event(id=id_):
                self._push(id_, frame)
            case frames.Response(id=id_, body=body):
                future = self._calls.pop(id_, None)
                if future is None:
                    self._push(id_, frame)
                elif not future.done():
                    future.set_result(body)
            case frames.Failure(id=id_):
                future = self._calls.pop(id_, None)
                if future is None:
                    self._push(id_, frame)
                elif not future.done():
                    future.set_exception(frame.error())

    def _push(self, id_: int, frame: frames.Frame) -> None:
        queue = self._streams.get(id_)
        if queue is None:
            return
        if queue.full():
            log.warning("stream_reader_too_slow", peer=self.peer, waiting=queue.qsize())
            self.close()
            return
        queue.put_nowait(frame)

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
            if not self.closed.is_set():
                self._send(frames.Cancel(id_))
            raise
        finally:
            self._calls.pop(id_, None)

    def notify(self, method: str, body: Any) -> None:
        """Send a message that is not answered; one that is refused there is not heard of here."""
        self._send(frames.Request(frames.NOTICE, method, body))

    async def stream(self, method: str, body: Any) -> AsyncIterator[Any]:
        """Open a stream and give the bodies of its events until it ends."""
        id_ = next(self._ids)
        queue: asyncio.Queue[frames.Frame | None] = asyncio.Queue(STREAM_ITEMS)
        self._streams[id_] = queue
        try:
            self._send(frames.Request(id_, method, body))
            while True:
                frame = await queue.get()
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
            if not self.closed.is_set():
                self._send(frames.Cancel(id_))

    # -- answering -----------------------------------------------------------------------------

    async def _serve(self, request: frames.Request) -> None:
        answer: frames.Frame
        try:
            service = self._service.part(self._part) if self._part else self._service
            contract, implementation = service.find(request.method)
            if find_method(contract, request.method).is_stream:
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
        if request.id != frames.NOTICE and not self.closed.is_set():
            self._send(answer)

    async def _serve_stream(
        self, contract: type, implementation: Any, request: frames.Request
    ) -> None:
        items = serve_stream(contract, implementation, request.method, request.body)
        async for body in items:
            await self._writable.wait()
            if self.closed.is_set():
                return
            self._send(frames.Event(request.id, body))

    def _send(self, frame: frames.Frame) -> None:
        if self._transport is None or self.closed.is_set():
            raise PeerUnavailable(f"{self.peer} is not connected")
        self._transport.write(frames.encode_frame(frame))

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


class Link:
    """A client's lasting relation to one server. Is a `Transport` of contracts."""

    def __init__(
        self, peer: str, address: str, service: Service | None = None, *, part: str = ""
    ) -> None:
        """
        Name the peer (for errors) and its address.

        `address` is `host:port`, or the path of a Unix socket; `part` names the part of the server
        that is asked.
        """
        self.peer, self.address, self._part = peer, address, part
        self._service = service
        self._channel: Channel | None = None
        self._connecting = asyncio.Lock()
        self._notifying: set[asyncio.Task[None]] = set()

    async def _connected(self) -> Channel:
        channel = self._channel
        if channel is not None and not channel.closed.is_set():
            return channel
        async with self._connecting:
            channel = self._channel
            if channel is None or channel.closed.is_set():
                channel = self._channel = await self._connect()
            return channel

    async def _connect(self) -> Channel:
        loop = asyncio.get_running_loop()

        def new_channel() -> Channel:
            return Channel(self.peer, self._service)

        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                if "/" in self.address:
                    _, channel = await loop.create_unix_connection(new_channel, self.address)
                else:
                    host, _, port = self.address.rpartition(":")
                    _, channel = await loop.create_connection(new_channel, host, int(port))
        except (OSError, TimeoutError) as error:
            reason = str(error) or "timed out"
            raise PeerUnavailable(
                f"{self.peer} does not answer at {self.address}: {reason}"
            ) from error
        if self._part:
            channel.notify(SELECT_PART, self._part)
        return channel

    async def call(self, method: str, body: Any) -> Any:
        """Send a request, connecting first where that is needed."""
        return await (await self._connected()).call(method, body)

    def notify(self, method: str, body: Any) -> None:
        """Send a message that is not answered; lost where the server cannot be reached."""
        channel = self._channel
        if channel is not None and not channel.closed.is_set():
            channel.notify(method, body)
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


async def serve_frames(
    service: Service, host: str, port: int, *, on_channel: Callable[[Channel], None] | None = None
) -> asyncio.Server:
    """
    Serve contracts on a TCP port.

    Raises
    ------
    OSError
        The port is taken; the caller says so to the person.
    """

    def new_channel() -> Channel:
        channel = Channel("a client", service)
        if on_channel is not None:
            on_channel(channel)
        return channel

    return await asyncio.get_running_loop().create_server(new_channel, host, port)


async def adopt_socket(sock: socket.socket, peer: str, service: Service | None = None) -> Channel:
    """Speak frames over an inherited, connected socket, as a host does with its enclave."""
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    _, channel = await loop.connect_accepted_socket(lambda: Channel(peer, service), sock)
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
