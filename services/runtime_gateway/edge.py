"""
What every request must pass before the application sees it: its host, its page, its size, its time.

The rules are those of the gateway of an EVM.
"""

from collections.abc import Awaitable, Callable

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import QanatError, Rejected
from shared.gateways.cross_origin import CrossOrigin
from shared.gateways.hosts import HostRule
from shared.kit.bodies import Bodies, BodyTooLarge, BodyTooSlow

MAX_BODY_BYTES = 512 << 10
"""A transaction has at most 128 KiB, which is twice as many hex digits."""
MAX_BODIES_BYTES = 32 << 20
"""Bodies of all requests together that are being read [bytes]."""


class ForeignHost(Rejected, module="runtime_gateway", code=6):
    """The request names a host that is not this gateway."""


class NoJson(Rejected, module="runtime_gateway", code=7):
    """The content type is another one than JSON: a form of a foreign page must not come in."""


STATUS_OF: dict[type[QanatError], int] = {
    BodyTooLarge: 413,
    BodyTooSlow: 408,
    ForeignHost: 403,
    NoJson: 415,
}


def answer_error(error: QanatError) -> JSONResponse:
    """Give the response that says what is wrong."""
    status = STATUS_OF.get(type(error), 400 if isinstance(error, Rejected) else 503)
    body = {"module": error.module, "code": error.code, "message": error.message}
    return JSONResponse({"error": body}, status)


class Edge:
    """Stands before an application."""

    def __init__(
        self, app: ASGIApp, hosts: tuple[str, ...] = ("*",), origins: tuple[str, ...] = ("*",)
    ) -> None:
        """`hosts` may be named, and pages of `origins` may read; `*` is any."""
        self._app, self._hosts, self._origins = app, HostRule(hosts), CrossOrigin(origins)
        self._bodies = Bodies(MAX_BODY_BYTES, MAX_BODIES_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        headers = dict(scope["headers"])
        extra = self._origins.answer_headers(headers)

        async def send_with_origin(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        try:
            if not self._hosts.is_allowed(scope["headers"]):
                raise ForeignHost("this gateway has another name")
            if scope["method"] == "OPTIONS":
                extra += self._origins.preflight_headers(headers)
                await send_with_origin(_empty())
                await send({"type": "http.response.body", "body": b""})
                return
            body = b""
            if scope["method"] == "POST":
                kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
                if kind != b"application/json":
                    raise NoJson("a request is `application/json`")
                body = await self._bodies.read(receive)
        except QanatError as error:
            await answer_error(error)(scope, receive, send_with_origin)
            return
        await self._app(scope, _given(body, receive), send_with_origin)


def _empty() -> Message:
    return {"type": "http.response.start", "status": 204, "headers": []}


def _given(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Give the body that was read once, and then what comes: that the client has gone."""
    is_given = False

    async def give() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give
