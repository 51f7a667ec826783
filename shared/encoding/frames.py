"""
Frames: how two processes talk over one kept connection.

A frame is a 4-byte big-endian length and one CBOR array. Both ends may ask; a request's id is
chosen by the asker. A stream is a request that is answered by events and ended by a response or a
failure. A body is a byte string: what it holds is its method's business (`contract.py`), and is
read once, by who knows its type. Sans-I/O: sockets feed bytes in and take frames out.

| array | meaning |
|---|---|
| `[0, id, method, body]` | request; with id 0 a notice, which is never answered |
| `[1, id, body]` | response |
| `[2, id, module, code, message, data, may_retry]` | failure; `data` is bytes or null |
| `[3, id, body]` | event of the stream that request `id` opened |
| `[4, id]` | the asker no longer wants the answer |
"""

from collections.abc import Iterator
from dataclasses import dataclass

import evm_native

from shared.errors import QanatError, Rejected, Unavailable, error_from

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""Largest frame [bytes]: room for a full round of 1 MiB with results, far below memory limits."""
LENGTH_BYTES = 4
NOTICE = 0
"""Id of a request whose answer nobody waits for: none is sent."""


class MalformedFrame(Rejected, module="encoding", code=3):
    """The peer does not speak frames; the connection cannot go on."""


@dataclass(slots=True)
class Request:
    """A call of a method; a notice where `id` is `NOTICE`."""

    id: int
    method: str
    body: bytes


@dataclass(slots=True)
class Response:
    """The answer to a request."""

    id: int
    body: bytes


@dataclass(slots=True)
class Failure:
    """The typed error that answers a request."""

    id: int
    module: str
    code: int
    message: str
    data: bytes | None = None
    may_retry: bool = False
    """Whether the error is an `Unavailable`."""

    @classmethod
    def of(cls, id: int, error: QanatError) -> "Failure":  # noqa: A002
        """Wrap an error as the answer to a request."""
        may_retry = isinstance(error, Unavailable)
        return cls(id, error.module, error.code, error.message, error.data, may_retry)

    def error(self) -> QanatError:
        """Rebuild the error that the other side raised."""
        return error_from(self.module, self.code, self.message, self.data, may_retry=self.may_retry)


@dataclass(slots=True)
class Event:
    """One item of a stream."""

    id: int
    body: bytes


@dataclass(slots=True)
class Cancel:
    """The asker withdraws a request or closes a stream."""

    id: int


Frame = Request | Response | Failure | Event | Cancel


_CODEC = evm_native.FrameCodec(Request, Response, Failure, Event, Cancel, MalformedFrame)


def encode_frame(frame: Frame) -> bytes:
    """Bytes of a frame, length included."""
    return _CODEC.encode(frame, MAX_FRAME_BYTES)


def decode_payload(untrusted: bytes) -> Frame:
    """Read the bytes after the length."""
    frame: Frame = _CODEC.decode(untrusted)
    return frame


def frame_length(header: bytes | bytearray, max_bytes: int = MAX_FRAME_BYTES) -> int:
    """Length of the payload from its 4-byte header, checked against the limit."""
    length = int.from_bytes(header, "big")
    if length > max_bytes:
        raise MalformedFrame(f"a frame of {length} bytes is over {max_bytes}")
    return length


class FrameDecoder:
    """Collects bytes and gives the whole frames in them."""

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._buffer = evm_native.FrameBuffer(_CODEC)
        self.max_frame_bytes = max_frame_bytes
        """Largest frame that is taken [bytes]; may change between frames."""

    @property
    def unfinished_bytes(self) -> int:
        """How much of a frame that is not complete waits here [bytes]."""
        return len(self._buffer)

    def feed(self, untrusted: bytes) -> list[Frame]:
        """Take bytes as they arrive; return the frames that are now complete."""
        return [frame for frame, _ in self.feed_sized(untrusted)]

    def feed_sized(self, untrusted: bytes) -> Iterator[tuple[Frame, int]]:
        """
        Take bytes as they arrive; give complete frames, each with its size [bytes].

        Frames are read as they are taken, so that one may change the limit for those behind it.
        """
        self.add(untrusted)
        while (taken := self.take()) is not None:
            yield taken

    def add(self, untrusted: bytes) -> None:
        """Take bytes as they arrive."""
        self._buffer.feed(untrusted)

    def take(self) -> tuple[Frame, int] | None:
        """Give the next frame that is complete, with its size [bytes]."""
        return self._buffer.take(self.max_frame_bytes)
