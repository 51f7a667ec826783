"""
A host that lies: it sends an enclave whatever it likes, and owns every file of it.

The enclave is the real program, as it is started in its process; messages go through the frames and
the codec of the wire, so that nothing reaches the program that could not come through its socket.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from shared.encoding import cbor, frames
from shared.encoding.contract import find_method, serve_call_now
from shared.errors import PeerFailed, QanatError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
"""Anything that the codec of the wire carries."""


class LyingHost:
    """The host of one enclave, over all its starts."""

    def __init__(self, contract: type, start: Callable[[], Any], directory: Path) -> None:
        self.contract, self.directory = contract, directory
        self._start = start
        self.program: Any = start()

    def restart(self) -> None:
        """End the enclave and start it anew over the files that are there now."""
        self.stop()
        self.program = self._start()

    def stop(self) -> None:
        close = getattr(self.program, "close", None)
        if close is not None:
            close()

    def ask(self, method: str, *args, **kwargs):
        """Send a message that is well formed."""
        found = find_method(self.contract, method)
        return found.decode_result(self._send(method, found.encode_arguments(args, kwargs)))

    def send(self, method: str, body):
        """Send any message. A bug of the program shows as `PeerFailed`."""
        self._send(method, cbor.encode_loosely(body))

    def _send(self, method: str, body: bytes) -> bytes:
        encoded = frames.encode_frame(frames.Request(1, method, body))
        request = frames.decode_payload(encoded[frames.LENGTH_BYTES :])
        assert isinstance(request, frames.Request)
        try:
            return serve_call_now(self.contract, self.program, request.method, request.body)
        except QanatError:
            raise
        except Exception as bug:
            raise PeerFailed(f"a bug: {bug!r}") from bug


def flipped(value: bytes, position: int = -1) -> bytes:
    """The same bytes with one bit changed."""
    changed = bytearray(value)
    changed[position] ^= 1
    return bytes(changed)
