"""The daemon as an application: both dialects, bounded bodies, refusals in plain text."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.worker.appd.dstack_api import dstack_routes
from services.worker.appd.errors import NotReached
from services.worker.appd.instance import AppInstance
from services.worker.appd.rofl_api import rofl_routes
from shared.errors import QanatError
from shared.gateways.hosts import HostRule
from shared.kit.bodies import Bodies, BodyTooLarge, BodyTooSlow

MAX_BODY_BYTES = 2 << 20
MAX_BODIES_BYTES = 16 << 20
"""Bodies of all requests together that are being read [bytes]."""
STATUS_OF: dict[type[QanatError], int] = {NotReached: 403, BodyTooLarge: 413, BodyTooSlow: 408}
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def build_appd(instance: AppInstance) -> ASGIApp:
    """Make the application of one instance."""
    app = FastAPI(
        title="appd",
        description="What an attested app asks of its worker. The TEE is a MOCK.",
        version="1",
    )
    app.add_exception_handler(QanatError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.include_router(rofl_routes(instance))
    dstack = dstack_routes(instance)
    app.include_router(dstack)
    app.include_router(dstack, prefix="/prpc", include_in_schema=False)
    return _Edge(app)


class _Edge:
    """
    Stands before the application: bounds the body, and hears loopback names only.

    A page of a foreign origin reaches a loopback port by a name of its own (DNS rebinding), and a
    form of it comes without JSON; keys must answer neither.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._hosts = app, HostRule(LOOPBACK_NAMES)
        self._bodies = Bodies(MAX_BODY_BYTES, MAX_BODIES_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            self._verify_origin(scope)
            body = await self._bodies.read(receive)
        except QanatError as error:
            status = STATUS_OF.get(type(error), 503)
            await PlainTextResponse(error.message, status)(scope, receive, send)
            return
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)

    def _verify_origin(self, scope: Scope) -> None:
        if not self._hosts.is_allowed(scope["headers"]) or b"origin" in dict(scope["headers"]):
            raise NotReached("this daemon answers programs on this machine, not pages")


async def _answer_error(_: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(error.message if isinstance(error, QanatError) else "", 400)


async def _answer_invalid(_: Request, error: Exception) -> PlainTextResponse:
    # Never the input: it may hold what an app keeps secret.
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    texts = [
        f"{'.'.join(str(part) for part in fault['loc'] if part != 'body')}: {fault['msg']}"
        for fault in faults
    ]
    return PlainTextResponse("invalid argument: " + "; ".join(texts), 400)
