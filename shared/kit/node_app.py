"""
What a node's port says over HTTP: `/health`, `/metrics`, and every method of its contracts.

`POST /v1/<service>/<method>` takes the parameters as a map, in JSON for people and in CBOR
(`application/cbor`) for programs, and answers in kind; a stream is answered item by item, in JSON
lines or a sequence of CBOR items. All else goes to the read API, which is loaded when it is first
asked for: a node that only serves programs does not carry FastAPI.

Errors are `{"error": {"module": ..., "code": ..., "message": ...}}`.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.crypto.signing import Signer
from shared.encoding import cbor
from shared.encoding.contract import Access, find_method, serve_call, serve_stream
from shared.errors import (
    MethodNotFound,
    PeerFailed,
    QanatError,
    Rejected,
)
from shared.kit import limits
from shared.kit.bodies import Bodies, BodyTooLarge, BodyTooSlow
from shared.kit.callers import Caller, NotAdmitted
from shared.kit.dev_controls import (
    DevTokenWrong,
    ForeignRequest,
    verify_dev_token,
    verify_local_request,
)
from shared.kit.service import Service
from shared.kit.signed_requests import (
    BadRequestSignature,
    Message,
    SignedBy,
    SignedRequests,
    sign_answer,
)
from shared.kit.streams import StreamsOfStrangers
from shared.kit.wire_json import dump_json, load_json

log = structlog.get_logger()

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
HealthCheck = Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]
"""Gives whether the service is ready, and what to show."""

HOST_WALL = "QANAT_HOST_WALL"
"""What stands between this host and its node's enclave, as the launcher left it."""
JSON, CBOR = "application/json", "application/cbor"
JSON_LINES, CBOR_SEQUENCE = "application/x-ndjson", "application/cbor-seq"
NO_FIELDS: Mapping[str, str] = {}
MAX_BODIES_BYTES = 32 * limits.MIB
"""Bodies of all requests together that are being read [bytes]."""
MAX_STREAMS = 64
"""Streams that are answered over HTTP at once; programs have frames for that."""


STATUS_OF: dict[type[QanatError], int] = {
    MethodNotFound: 404,
    NotAdmitted: 403,
    BadRequestSignature: 401,
    DevTokenWrong: 401,
    ForeignRequest: 403,
    BodyTooLarge: 413,
    BodyTooSlow: 408,
    PeerFailed: 500,
}


def status_of(error: QanatError) -> int:
    """Give the HTTP status of an error."""
    return STATUS_OF.get(type(error), 400 if isinstance(error, Rejected) else 503)


def describe(error: QanatError) -> dict[str, Any]:
    """Give the body of an error."""
    return {"error": {"module": error.module, "code": error.code, "message": error.message}}


@dataclass(slots=True)
class NodeApp:
    """The ASGI application of a node."""

    name: str
    """Of the service, as it stands in paths."""
    service: Service
    health: HealthCheck
    load_pages: Callable[[], App] | None = None
    """Makes the read API; called at most once, on a thread."""
    dev_token: str | None = field(default=None, repr=False)
    names: Collection[str] = ()
    """Names by which other nodes call this machine."""
    signer: Signer | None = None
    """Key by which the node proves itself to who signs requests; None takes none of these."""
    _signed: SignedRequests | None = None
    _pages: asyncio.Future[App] | None = None
    _bodies: Bodies = field(
        default_factory=lambda: Bodies(limits.PEER.frame_bytes, MAX_BODIES_BYTES)
    )
    _streams: StreamsOfStrangers = field(default_factory=lambda: StreamsOfStrangers(MAX_STREAMS))

    def __post_init__(self) -> None:
        """Begin to remember nonces."""
        if self.signer is not None:
            self._signed = SignedRequests(self.signer.public_key, self.service.knows)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await self._answer(scope, receive, send)
        except QanatError as error:
            await _respond(send, status_of(error), JSON, dump_json(describe(error)))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        verb, path = scope["method"], scope["path"]
        match path.split("/"):
            case ["", "health"] if verb in ("GET", "HEAD"):
                is_ready, details = await self.health()
                shown = details | {
                    "ready": is_ready,
                    "host_wall": os.environ.get(HOST_WALL, "absent"),
                }
                body = dump_json(shown)
                await _respond(send, 200 if is_ready else 503, JSON, body)
            case ["", "metrics"] if verb in ("GET", "HEAD"):
                await _respond(send, 200, CONTENT_TYPE_LATEST, generate_latest())
            case ["", "v1", self.name, method] if verb == "POST":
                await self._call(method, scope, receive, send)
            case _ if self.load_pages is not None:
                await (await self._loaded())(scope, receive, send)
            case _:
                raise MethodNotFound(f"nothing is at {verb} {path}")

    async def _loaded(self) -> App:
        if self._pages is None:
            assert self.load_pages is not None  # noqa: S101
            # On a thread: it takes half a second, in which the node must not stand still.
            self._pages = asyncio.ensure_future(asyncio.to_thread(self.load_pages))
        return await asyncio.shield(self._pages)

    # -- methods of contracts ------------------------------------------------------------------

    async def _call(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        fields = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        service = self._find_part(scope)
        contract, implementation = service.find(name)
        method = find_method(contract, name)
        signed = self._verify_signature(scope, fields)
        if method.access is not Access.PUBLIC:
            caller = self._caller(fields, method.access, signed)
            caller.verify_may(method.access, name, admits=service.admits, knows=service.knows)
        is_binary = fields.get("content-type", "").partition(";")[0].strip() == CBOR
        is_stranger = signed is None and method.access is not Access.DEV_CONTROL
        bounds = limits.STRANGER if is_stranger else limits.PEER
        raw = await self._bodies.read(receive, bounds.frame_bytes)
        if signed is not None:
            signed.verify_body(raw)
        body = raw if is_binary and raw else cbor.encode_loosely(load_json(raw) if raw else {})
        try:
            if method.is_stream:
                with self._streams.opened():
                    items = serve_stream(contract, implementation, name, body)
                    pay = self._streams.pay
                    await _respond_stream(receive, send, items, pay, is_binary=is_binary)
            else:
                result = await serve_call(contract, implementation, name, body)
                shown = result if is_binary else dump_json(cbor.decode_loosely(result))
                proof = {}
                if signed is not None and self.signer is not None:
                    proof = sign_answer(self.signer, signed.nonce, 200, shown)
                await _respond(send, 200, CBOR if is_binary else JSON, shown, proof)
        except QanatError:
            raise
        except Exception:
            log.exception("request_failed", method=name)
            raise PeerFailed(f"{name} failed by a bug; see the log of the node") from None

    def _verify_signature(self, scope: Scope, fields: dict[str, str]) -> SignedBy | None:
        """Say who signed the request; None where nobody tried."""
        if self._signed is None or "signature-input" not in fields:
            return None
        query = scope["query_string"].decode("latin-1")
        return self._signed.verify(Message(fields, scope["method"], scope["path"], query))

    def _find_part(self, scope: Scope) -> Service:
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("runtime")
        return self.service.part(asked[0]) if asked else self.service

    def _caller(self, fields: dict[str, str], access: Access, signed: SignedBy | None) -> Caller:
        if access is Access.DEV_CONTROL:
            verify_local_request(fields.get("host"), fields.get("origin"), self.names)
            verify_dev_token(fields.get("authorization"), self.dev_token)
            return Caller(has_dev_token=True)
        return Caller() if signed is None else Caller(signed.node_key)


async def _respond(
    send: Send, status: int, media_type: str, body: bytes, extra: Mapping[str, str] = NO_FIELDS
) -> None:
    await _begin(send, status, media_type, len(body), extra)
    await send({"type": "http.response.body", "body": body})


async def _begin(
    send: Send,
    status: int,
    media_type: str,
    length: int | None = None,
    extra: Mapping[str, str] = NO_FIELDS,
) -> None:
    headers = [
        (b"content-type", media_type.encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    headers += [(name.lower().encode(), value.encode()) for name, value in extra.items()]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _respond_stream(
    receive: Receive,
    send: Send,
    items: AsyncIterator[bytes],
    pay: Callable[[int], Awaitable[None]],
    *,
    is_binary: bool,
) -> None:
    """Send each item as it comes; an error after the first is the last line."""

    async def feed() -> None:
        try:
            async for item in items:
                await send_item(item)
        except QanatError as error:
            last: Any = describe(error)
            await send_item(cbor.encode_loosely(last))

    async def send_item(item: bytes) -> None:
        raw = item if is_binary else dump_json(cbor.decode_loosely(item)) + b"\n"
        await send({"type": "http.response.body", "body": raw, "more_body": True})
        await pay(len(raw))

    await _begin(send, 200, CBOR_SEQUENCE if is_binary else JSON_LINES)
    feeding = asyncio.create_task(feed())
    leaving = asyncio.create_task(_until_gone(receive))
    try:
        await asyncio.wait({feeding, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        feeding.cancel()
        await asyncio.gather(feeding, leaving, return_exceptions=True)
    if not feeding.cancelled() and feeding.exception() is not None:
        log.error("request_failed", reason=repr(feeding.exception()))
    await send({"type": "http.response.body", "body": b""})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
