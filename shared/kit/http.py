"""
The HTTP side of a host process: `/health`, `/metrics`, and whatever routes a service adds.

Errors cross HTTP as `{"error": {module, code, message}}`.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from shared.errors import QanatError, Rejected

HOST_WALL = "QANAT_HOST_WALL"
"""What stands between this host and its node's enclave, as the launcher left it."""

HealthCheck = Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]
"""Gives whether the service is ready, and what to show."""


def build_app(health: HealthCheck, routes: Sequence[BaseRoute] = ()) -> Starlette:
    """Make the application of a host process."""

    async def answer_health(_: Request) -> Response:
        is_ready, details = await health()
        shown = details | {"ready": is_ready, "host_wall": os.environ.get(HOST_WALL, "absent")}
        return JSONResponse(shown, 200 if is_ready else 503)

    async def answer_metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[Route("/health", answer_health), Route("/metrics", answer_metrics), *routes],
        exception_handlers={QanatError: _answer_error},
    )


async def _answer_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, QanatError)  # noqa: S101 - registered for this class only
    status = 400 if isinstance(error, Rejected) else 503
    body = {"module": error.module, "code": error.code, "message": error.message}
    return JSONResponse({"error": body}, status)


class _QuietServer(uvicorn.Server):
    """
    Waits to be told to stop.

    uvicorn looks ten times a second whether it should, and sets the date for its headers. In a host
    that is idle this was a quarter of all that it did.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()

    async def main_loop(self) -> None:
        """Set the headers of all answers once, then wait."""
        await self.on_tick(0)
        await self.stopping.wait()


class HttpServer:
    """uvicorn as a task among others: signals stay with the process's own main loop."""

    def __init__(self, app: Any, host: str, port: int, **options: Any) -> None:
        """Take the port at once; `OSError` where another process has it."""
        # A date that is set once would be wrong; nobody here reads it.
        options = {"date_header": False} | options
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", **options)
        self._server = _QuietServer(config)
        self._socket = socket.create_server((host, port), backlog=1024)
        # Accepted connections inherit this. asyncio sets it only on sockets that name their
        # protocol; without it an answer in two writes waits 40 ms for the client's delayed ACK.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._socket.getsockname()[1]

    async def serve(self) -> None:
        """Serve until cancelled, then finish open requests."""
        # The public serve() would take the signals.
        task = asyncio.create_task(self._server._serve([self._socket]))  # noqa: SLF001
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            self._server.should_exit = True
            self._server.stopping.set()
            await task
            raise
