"""
The HTTP edge: JSON-RPC at `/`, `/health`, `/status`, `/metrics`, and the read API with `/docs`.

JSON-RPC stands before everything: it is the hot path. The read API is loaded when it is first asked
for; a gateway that only serves clients does not carry FastAPI.
"""

import asyncio
from collections.abc import Callable, Mapping

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.gateway import metrics
from services.gateway.node import GatewayNode
from services.gateway.rpc.endpoint import Answering, JsonRpcEndpoint, Peer
from shared.gateways.hosts import HostRule
from shared.kit.node_app import App, Receive, Scope, Send

RPC_PATH = "/"
JSON, TEXT = "application/json", "text/plain; charset=utf-8"
READ_PATHS = ("/docs", "/openapi.json", "/v1/")
"""Beginnings of paths that the read API answers."""


class GatewayApp:
    """The application of the HTTP port, and of the WebSocket port."""

    def __init__(
        self, node: GatewayNode, endpoint: JsonRpcEndpoint, load_pages: Callable[[], App]
    ) -> None:
        """`load_pages` makes the read API; it is called at most once, on a thread."""
        self._node, self._endpoint, self._load_pages = node, endpoint, load_pages
        self._hosts = HostRule(node.settings.virtual_hosts)
        self._pages: asyncio.Future[App] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and not self._hosts.is_allowed(scope["headers"]):
            metrics.http_refusals.labels("403").inc()
            await _respond(send, 403, TEXT, b"invalid host specified\n")
        elif scope["path"] == RPC_PATH:
            await self._endpoint(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._serve_page(scope, receive, send)

    def admit_post(self, headers: Mapping[bytes, bytes], peer: Peer) -> Answering | None:
        """Give who answers a POST of JSON to `RPC_PATH`; None where it is refused."""
        if not self._hosts.is_allowed(list(headers.items())):
            return None
        return self._endpoint.admit(headers, peer)

    async def _serve_page(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, is_get = scope["path"], scope["method"] == "GET"
        if path == "/health" and is_get:
            # Empty body, as the original; other verbs do not exist.
            status = 200 if self._node.readiness.is_ready else 503
            is_verbose = b"verbose" in scope["query_string"]
            shown = orjson.dumps(self._node.describe()) if is_verbose else b""
            await _respond(send, status, JSON if is_verbose else None, shown)
        elif path == "/status" and is_get:
            await _respond(send, 200, JSON, orjson.dumps(self._node.describe()))
        elif path == "/metrics" and is_get:
            await _respond(send, 200, CONTENT_TYPE_LATEST, self._render_metrics())
        elif path.startswith(READ_PATHS):
            await self._node.awake.renew()
            await (await self._loaded())(scope, receive, send)
        else:
            await _respond(send, 404, TEXT, b"nothing is here\n")

    def _render_metrics(self) -> bytes:
        metrics.is_ready.set(self._node.readiness.is_ready)
        metrics.compute_up.set(sum(node.is_up for node in self._node.nodes.members))
        metrics.durable_round.set(self._node.index.durable_number)
        return generate_latest()

    async def _loaded(self) -> App:
        if self._pages is None:
            # On a thread: it takes half a second, in which clients must not wait.
            self._pages = asyncio.ensure_future(asyncio.to_thread(self._load_pages))
        return await asyncio.shield(self._pages)


async def _respond(send: Send, status: int, media_type: str | None, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body)), (b"x-content-type-options", b"nosniff")]
    if media_type is not None:
        headers.append((b"content-type", media_type.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
