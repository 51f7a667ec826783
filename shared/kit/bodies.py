"""Reads the body of an HTTP request within bounds: its bytes, its time, and all bodies together."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from shared.errors import PeerBusy, Rejected

TIMEOUT_S = 10.0
"""How long the body of a request may take [s]."""
Receive = Callable[[], Awaitable[Any]]
"""As ASGI has it."""


class BodyTooLarge(Rejected, module="http", code=3):
    """The body is longer than a request may be."""


class BodyTooSlow(Rejected, module="http", code=4):
    """The body did not come in time."""


class BodyCut(Rejected, module="http", code=7):
    """The request ended before its body did."""


class Bodies:
    """Every body that one application reads."""

    def __init__(self, max_bytes: int, all_bytes: int) -> None:
        """Bound one body, and all that are being read at once."""
        self._max_bytes, self._all_bytes = max_bytes, all_bytes
        self._bytes = 0

    async def read(self, receive: Receive, max_bytes: int | None = None) -> bytes:
        """
        Read one body.

        Parameters
        ----------
        receive : callable
            Of the ASGI request.
        max_bytes : `int`, optional
            For this one, instead of what holds for all.

        Raises
        ------
        BodyTooLarge, BodyTooSlow, BodyCut, PeerBusy
            A bound is passed, or the client has gone; nothing of it stays.
        """
        most = self._max_bytes if max_bytes is None else max_bytes
        body = bytearray()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise BodyCut("the request ended early")
                    part = message.get("body", b"")
                    body += part
                    self._bytes += len(part)
                    if len(body) > most:
                        raise BodyTooLarge(f"a body has at most {most} bytes")
                    if self._bytes > self._all_bytes:
                        raise PeerBusy("too many bodies are being read")
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise BodyTooSlow(f"the body did not come within {TIMEOUT_S:g} s") from None
        finally:
            self._bytes -= len(body)
