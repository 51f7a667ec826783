"""
Asking without an event loop: a blocking client of a contract, over a socket.

Enclaves are plain threads. They ask the mock CPU over one socket, strictly one question at a time,
and their host over another, which `shared.tee.runtime` reads.
"""

import socket
import threading
from typing import Any, Protocol, TypeVar, cast

from shared.encoding import frames
from shared.encoding.contract import methods_of
from shared.errors import PeerUnavailable

P = TypeVar("P")


class SyncTransport(Protocol):
    """Carries one request to the other side and waits for the answer."""

    def call(self, method: str, body: bytes) -> bytes:
        """Return the body of the response, or raise the error of the other side."""
        ...


class SocketTransport:
    """A socket on which only this side asks."""

    def __init__(self, sock: socket.socket, peer: str) -> None:
        self._sock, self._peer = sock, peer
        self._lock = threading.Lock()
        self._next_id = 1

    def call(self, method: str, body: bytes) -> bytes:
        """Ask, and wait; threads take turns."""
        with self._lock:
            id_, self._next_id = self._next_id, self._next_id + 1
            try:
                self._sock.sendall(frames.encode_frame(frames.Request(id_, method, body)))
                frame = read_frame(self._sock)
            except OSError as error:
                raise PeerUnavailable(f"{self._peer}: {error}") from error
        match frame:
            case frames.Response(id=answered, body=answer) if answered == id_:
                return answer
            case frames.Failure(id=answered) if answered == id_:
                raise frame.error()
            case None:
                raise PeerUnavailable(f"{self._peer} closed the connection")
            case _:
                raise frames.MalformedFrame(f"{self._peer} answered something else")


def read_frame(sock: socket.socket) -> frames.Frame | None:
    """Read one frame; None at the end of the stream."""
    header = _read_exactly(sock, frames.LENGTH_BYTES)
    if header is None:
        return None
    payload = _read_exactly(sock, frames.frame_length(header))
    return None if payload is None else frames.decode_payload(bytes(payload))


def _read_exactly(sock: socket.socket, length: int) -> bytearray | None:
    buffer = bytearray(length)
    view, filled = memoryview(buffer), 0
    while filled < length:
        count = sock.recv_into(view[filled:])
        if count == 0:
            return None
        filled += count
    return buffer


def sync_client_of(contract: type[P], transport: SyncTransport) -> P:
    """Make an object that fulfils a contract without streams by asking and waiting."""
    return cast("P", _SyncClient(contract, transport))


class _SyncClient:
    def __init__(self, contract: type, transport: SyncTransport) -> None:
        self._contract, self._transport = contract, transport

    def __getattr__(self, name: str) -> Any:
        method = methods_of(self._contract).get(name)
        if method is None or method.is_stream:
            raise AttributeError(name)
        transport = self._transport

        def call(*args: Any, **kwargs: Any) -> Any:
            return method.decode_result(transport.call(name, method.encode_arguments(args, kwargs)))

        # Kept on the instance: the next use of this method does not come here.
        self.__dict__[name] = call
        return call
