"""
The local port: JSON-RPC over HTTP and WebSocket at `/`, for tools of this machine.

Whoever gets through here signs with the developer's keys. So a request must name this machine as
its `Host`, and a web page is let in only from this machine or by `--allow-origin`; without that it
is not answered at all, since a page that cannot read an answer has still sent a transaction.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from qanat.view.answers import Answers
from qanat.view.gateway import Headers
from qanat.view.rpc import Rpc
from qanat.view.subscriber import Subscriber
from shared.errors import QanatError, Rejected
from shared.gateways.cross_origin import CrossOrigin
from shared.kit.bodies import Bodies
from shared.kit.dev_controls import ForeignRequest, verify_local_request

MAX_BODY_BYTES = 5 * 1024 * 1024
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""Of a WebSocket."""
MAX_BODIES_BYTES = 64 * 1024 * 1024
"""Bodies of all requests together that are being read [bytes]."""
CONTENT_TYPES = frozenset({b"application/json", b"application/json-rpc"})
"""Others are refused: a form of a web page sends them without asking."""
TEXT, JSON = b"text/plain; charset=utf-8", b"application/json"
HANDED_ON = ("x-qanat-profile", "origin", "user-agent")
"""Headers that the gateway sees as the tool sent them: it judges pages by its own rules."""

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]


class ViewEndpoint:
    """The ASGI application."""

    def __init__(
        self, answers: Answers, gateway_ws: str, allowed: tuple[str, ...], profile: str | None
    ) -> None:
        """
        Serve tools.

        Parameters
        ----------
        answers : `Answers`
            What is answered.
        gateway_ws : `str`
            Where the gateway takes WebSockets.
        allowed : tuple of `str`
            Origins of pages that may use this endpoint beside those of this machine.
        profile : `str`, optional
            Asked of the gateway where a tool asks for none.
        """
        self._answers, self._gateway_ws, self._profile = answers, gateway_ws, profile
        self._rpc, self._bodies = Rpc(), Bodies(MAX_BODY_BYTES, MAX_BODIES_BYTES)
        self._allowed = frozenset(one.lower() for one in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request or one WebSocket."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        try:
            self._verify(headers)
            if scope["path"] != "/":
                raise ForeignRequest("nothing is here but JSON-RPC at /")
        except Rejected as error:
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            else:
                await _respond(send, 403, [], error.message.encode() + b"\n", TEXT)
            return
        if scope["type"] == "websocket":
            await self._serve_websocket(headers, receive, send)
            return
        origin = headers.get(b"origin")
        pages = CrossOrigin((origin.decode("latin-1"),) if origin else ())
        extra = pages.answer_headers(headers)
        match scope["method"]:
            case "POST":
                await self._serve_post(headers, extra, receive, send)
            case "OPTIONS":
                await _respond(send, 204, extra + pages.preflight_headers(headers), b"", None)
            case "GET":
                await _respond(send, 200, extra, b"", None)
            case _:
                await _respond(send, 405, extra, b"method not allowed\n", TEXT)

    def _verify(self, headers: Mapping[bytes, bytes]) -> None:
        """Let in tools of this machine, and pages of it or that were allowed."""
        host = headers.get(b"host", b"").decode("latin-1")
        raw = headers.get(b"origin")
        origin = None if raw is None else raw.decode("latin-1")
        is_allowed = origin is not None and origin.lower() in self._allowed
        try:
            verify_local_request(host, None if is_allowed else origin)
        except ForeignRequest as error:
            raise ForeignRequest(
                f"{error.message}: `qanat view` signs with your keys, so it answers tools and "
                "pages of this machine, and pages given by --allow-origin"
            ) from None

    async def _serve_post(
        self, headers: Mapping[bytes, bytes], extra: RawHeaders, receive: Receive, send: Send
    ) -> None:
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind not in CONTENT_TYPES:
            await _respond(send, 415, extra, b"only application/json is supported\n", TEXT)
            return
        try:
            body = await self._bodies.read(receive)
        except QanatError as error:
            await _respond(send, 413, extra, error.message.encode() + b"\n", TEXT)
            return
        handed_on = self._handed_on(headers)
        answer = await self._rpc.answer(
            body, lambda method, params: self._answers.answer(method, params, handed_on)
        )
        await _respond(send, 200, extra, answer, JSON)

    async def _serve_websocket(
        self, headers: Mapping[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        handed_on = self._handed_on(headers)
        subscriber = Subscriber(self._rpc, self._answers, self._gateway_ws, handed_on)
        await subscriber.serve(receive, send)

    def _handed_on(self, headers: Mapping[bytes, bytes]) -> Headers:
        found = {name: headers.get(name.encode()) for name in HANDED_ON}
        given = {name: raw.decode() for name, raw in found.items() if raw and raw.isascii()}
        if self._profile is not None:
            given.setdefault("x-qanat-profile", self._profile)
        return given


async def _respond(
    send: Send, status: int, extra: RawHeaders, body: bytes, content_type: bytes | None
) -> None:
    headers = [
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
        *extra,
    ]
    if content_type is not None:
        headers.append((b"content-type", content_type))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
