"""
The opening handshake of WebSocket: a broken one is answered at once.

uvicorn's WebSocket protocol answers the faults that it reads as faults of the handshake. A request
that its parser cannot read at all - no GET, too many headers, a line that is too long, characters
that no header has - it leaves without an answer.
"""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from services.gateway import metrics

REFUSAL = (
    b"HTTP/1.1 400 Bad Request\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\n"
    b"connection: close\r\n"
    b"\r\n"
    b"%b"
)


class HandshakeProtocol(WebSocketsSansIOProtocol):
    """The WebSocket protocol of both ports."""

    def handle_connect(self, event: Request) -> None:
        """Go on with a handshake, or refuse it."""
        if all(key.isascii() for key in event.headers.get_all("Sec-WebSocket-Key")):
            super().handle_connect(event)
        else:
            self._refuse("Sec-WebSocket-Key is not base64")

    def data_received(self, data: bytes) -> None:
        """Read on, or refuse bytes that are no handshake."""
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            cause = self.conn.handshake_exc.__cause__ or self.conn.handshake_exc
            self._refuse(str(cause))

    def _refuse(self, fault: str) -> None:
        self.handshake_initiated = True
        metrics.http_refusals.labels("400").inc()
        text = f"bad WebSocket handshake: {fault}\n".encode("ascii", "replace")
        self.close_sent = True
        self.transport.write(REFUSAL % (len(text), text))
        self.transport.close()
