"""
The HTTP edge: FastAPI for `/health`, `/status` and `/metrics`, JSON-RPC beside it at `/`.

The JSON-RPC endpoint stands before the framework's routing: it is the hot path.
"""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import Receive, Scope, Send

from services.gateway import metrics
from services.gateway.node import GatewayNode
from services.gateway.rpc.endpoint import JsonRpcEndpoint
from shared.gateways.hosts import HostRule

RPC_PATH = "/"
ANY_VERB = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class GatewayApp(FastAPI):
    """The application of the HTTP port, and of the WebSocket port."""

    def __init__(self, node: GatewayNode, endpoint: JsonRpcEndpoint) -> None:
        super().__init__(title="Qanat gateway", docs_url=None, redoc_url=None, openapi_url=None)
        self._node, self._endpoint = node, endpoint
        self._hosts = HostRule(node.settings.virtual_hosts)
        self.add_api_route("/health", self._answer_health, methods=ANY_VERB)
        self.add_api_route("/status", self._answer_status, methods=["GET"])
        self.add_api_route("/metrics", self._answer_metrics, methods=["GET"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and not self._hosts.is_allowed(scope["headers"]):
            metrics.http_refusals.labels("403").inc()
            refusal = Response("invalid host specified\n", 403, media_type="text/plain")
            await refusal(scope, receive, send)
        elif scope["path"] == RPC_PATH:
            await self._endpoint(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _answer_health(self, request: Request) -> Response:
        """Ready or not, as the original: empty body, other verbs do not exist."""
        if request.method != "GET":
            return Response(status_code=404)
        status = 200 if self._node.readiness.is_ready else 503
        if "verbose" in request.query_params:
            return JSONResponse(self._node.describe(), status)
        return Response(status_code=status)

    async def _answer_status(self) -> dict[str, Any]:
        """Where the gateway stands, ready or not."""
        return self._node.describe()

    async def _answer_metrics(self) -> Response:
        metrics.is_ready.set(self._node.readiness.is_ready)
        metrics.compute_up.set(sum(node.is_up for node in self._node.nodes.members))
        metrics.durable_round.set(self._node.index.durable_number)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
