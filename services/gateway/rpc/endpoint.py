"""
The JSON-RPC endpoint: a raw ASGI application for `/`, over HTTP and WebSocket.

Raw, because a framework's request objects cost more than the answer to `eth_chainId`. Limits and
refusals follow go-ethereum's HTTP server.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.gateway import metrics
from services.gateway.config import LOOPBACK
from services.gateway.encryption import ASKER
from services.gateway.index.rounds import IndexedRound
from services.gateway.node import GatewayNode
from services.gateway.rpc.callers import Callers, without_controls
from services.gateway.rpc.dispatch import Dispatcher, answer_with
from services.gateway.rpc.errors import InvalidRequest
from services.gateway.rpc.methods import Method
from services.gateway.rpc.subscriptions import NewRound
from services.gateway.rpc.websocket import WebSocketConnection
from shared.gateways.cross_origin import CrossOrigin
from shared.kit.dev_controls import load_dev_token
from shared.kit.node_app import Receive, Scope, Send

MAX_BODY_BYTES = 5 * 1024 * 1024
"""Source: go-ethereum rpc/http.go."""
CONTENT_TYPES = frozenset(
    {b"application/json", b"application/json-rpc", b"application/jsonrequest"}
)
"""Others are refused: a form of a foreign web page must not reach the node."""
BAD_TYPE = (
    b"invalid content type, only application/json is supported: "
    b"curl says so by -H 'content-type: application/json'\n"
)
WELCOME = (
    b"JSON-RPC of Qanat, a devnet (TEE: MOCK). Requests come by POST, or over a WebSocket; "
    b"rpc.discover has the methods, /status how this gateway stands.\n"
)
"""For who looks with a browser, or asks whether anybody is there."""
ALLOWED = (b"allow", b"GET, HEAD, OPTIONS, POST")
TEXT = b"text/plain; charset=utf-8"
PROFILE = b"x-qanat-profile"
"""In a request, the profile that it asks for; in a response, the one that answered."""
MAX_PROFILE_BYTES = 32
"""Of a profile's name that an error repeats."""
JSON = b"application/json"
DENIAL = "websocket.http.response"
"""Extension of ASGI: a handshake is answered by an HTTP response."""
Headers = list[tuple[bytes, bytes]]
Peer = tuple[str, int] | None
"""Address and port of who asks, if known."""


@dataclass(frozen=True, slots=True)
class Answering:
    """Who answers a POST, and how."""

    dispatcher: Dispatcher
    headers: Headers
    """Of answers, beside their type and length."""


class JsonRpcEndpoint:
    """Answers requests by the method table; knows every WebSocket that is open."""

    def __init__(self, node: GatewayNode, tables: Mapping[str, Mapping[str, Method]]) -> None:
        """Take the methods of each profile, by name."""
        self._node = node
        self._tables = {
            (profile.encode(), may_control): table if may_control else without_controls(table)
            for profile, table in tables.items()
            for may_control in (True, False)
        }
        self._dispatchers = {
            key: Dispatcher(table, node.awake) for key, table in self._tables.items()
        }
        self._callers = Callers(
            load_dev_token(node.settings.data_dir),
            only_loopback=node.settings.dev_control_peers == LOOPBACK,
        )
        self._origins = CrossOrigin(node.settings.cors_origins)
        self._profile = node.settings.profile.encode()
        self._connections: set[WebSocketConnection] = set()
        node.index.listen(self._push)
        node.index.listen_to_rewinds(self._push_rewind)
        node.submitter.listen(self._push_pending)

    def _push(self, round_: IndexedRound) -> None:
        if self._connections:
            # Who listens may ask for nothing else.
            self._node.awake.note()
        new = NewRound(round_, self._node.fees.min_price_wei)
        for connection in self._connections:
            connection.push(new)

    def _push_rewind(self, _number: int, dropped: list[IndexedRound]) -> None:
        for connection in self._connections:
            connection.push_rewind(dropped)

    def _push_pending(self, tx_hash: bytes) -> None:
        for connection in self._connections:
            connection.push_pending(tx_hash)

    def _profile_of(self, headers: Mapping[bytes, bytes]) -> bytes:
        """Give the profile that a request asks for, or the network's; see `_is_known`."""
        return headers.get(PROFILE, b"").lower() or self._profile

    def _is_known(self, profile: bytes) -> bool:
        """Say whether there is a profile: who names another means something, and hears of it."""
        return (profile, True) in self._tables

    def _unknown_profile(self, profile: bytes) -> bytes:
        """Give the answer to a request that names a profile that is none."""
        known = " and ".join(sorted({name.decode() for name, _ in self._tables}))
        shown = profile[:MAX_PROFILE_BYTES].decode("latin-1")
        return answer_with(
            InvalidRequest(f"unknown profile {shown!r} in x-qanat-profile: there are {known}")
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request or one WebSocket."""
        if scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        peer = scope.get("client")
        ASKER.set((peer, headers))
        profile = self._profile_of(headers)
        if not self._is_known(profile):
            metrics.http_refusals.labels("400").inc()
            extra = self._origins.answer_headers(headers)
            await _respond(send, 400, extra, self._unknown_profile(profile), JSON)
            return
        answering = self._answering(headers, peer, profile)
        extra = answering.headers
        match scope["method"]:
            case "POST":
                await self._serve_post(headers, answering, receive, send)
            case "OPTIONS":
                extra += self._origins.preflight_headers(headers)
                await _respond(send, 204, extra, b"", None)
            case "GET" | "HEAD" if not scope["query_string"]:
                await _respond(send, 200, extra, WELCOME, TEXT)
            case _:
                await _refuse(send, 405, [*extra, ALLOWED], b"method not allowed\n")

    async def _serve_post(
        self, headers: dict[bytes, bytes], answering: Answering, receive: Receive, send: Send
    ) -> None:
        extra = answering.headers
        if not _is_json(headers):
            await _refuse(send, 415, extra, BAD_TYPE)
            return
        body = await _read_body(headers, receive)
        if body is None:
            await _refuse(send, 413, extra, b"content length too large (>%d)\n" % MAX_BODY_BYTES)
            return
        answer = await answering.dispatcher.answer(body)
        await _respond(send, 200, extra, answer, JSON)

    def admit(self, headers: Mapping[bytes, bytes], peer: Peer) -> Answering | None:
        """Give who answers a POST with these headers; None where it is refused."""
        profile = self._profile_of(headers)
        if not _is_json(headers) or not self._is_known(profile):
            return None
        return self._answering(headers, peer, profile)

    def _answering(self, headers: Mapping[bytes, bytes], peer: Peer, profile: bytes) -> Answering:
        """Give who answers in a profile that there is, and the headers, some for web pages."""
        dispatcher = self._dispatchers[profile, self._callers.may_control(headers, peer)]
        exposed = [(b"access-control-expose-headers", PROFILE)] if b"origin" in headers else []
        origin_headers = self._origins.answer_headers(headers)
        return Answering(dispatcher, [*origin_headers, (PROFILE, profile), *exposed])

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        headers = dict(scope["headers"])
        ASKER.set((scope.get("client"), headers))
        if not self._origins.is_allowed(headers.get(b"origin")):
            await send({"type": "websocket.close", "code": 1008})
            return
        profile = self._profile_of(headers)
        if not self._is_known(profile):
            await _refuse_websocket(scope, send, self._unknown_profile(profile))
            return
        await send({"type": "websocket.accept", "headers": [(PROFILE, profile)]})
        table = self._tables[profile, self._callers.may_control(headers, scope.get("client"))]
        connection = WebSocketConnection(table, self._node.awake)
        self._connections.add(connection)
        try:
            await connection.serve(receive, send)
        finally:
            self._connections.discard(connection)


def _is_json(headers: Mapping[bytes, bytes]) -> bool:
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return kind in CONTENT_TYPES


async def _read_body(headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
    """Give the body, or None where it is over the limit; no more than that is ever held."""
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > MAX_BODY_BYTES:
        return None
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body if len(body) <= MAX_BODY_BYTES else None
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            return None
    return b"".join(parts)


async def _respond(
    send: Send, status: int, extra: Headers, body: bytes, content_type: bytes | None
) -> None:
    headers = [(b"content-length", b"%d" % len(body)), *extra]
    if content_type is not None:
        headers.append((b"content-type", content_type))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _refuse_websocket(scope: Scope, send: Send, body: bytes) -> None:
    """Refuse a handshake; with the reason, where the server can send one."""
    metrics.http_refusals.labels("400").inc()
    if DENIAL not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", JSON)]
    await send({"type": f"{DENIAL}.start", "status": 400, "headers": headers})
    await send({"type": f"{DENIAL}.body", "body": body})


async def _refuse(send: Send, status: int, extra: Headers, text: bytes) -> None:
    metrics.http_refusals.labels(str(status)).inc()
    await _respond(send, status, extra, text, TEXT)
