"""A node's port, open: frames and HTTP, on every address that the node answers on."""

import asyncio
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from shared.crypto.signing import Signer
from shared.kit import limits
from shared.kit.front import Door
from shared.kit.service import Service
from shared.kit.sockets import open_sockets

KEEP_ALIVE_S = 30
"""How long an idle HTTP connection stays [s]."""
MAX_HEAD_BYTES = 16 * 1024
STOP_TIMEOUT_S = 2.0
"""How long answers that are under way may take when the node stops [s]."""


class _HttpConnection(H11Protocol):
    """uvicorn's protocol, which says when it has ended. h11 bounds heads; httptools does not."""

    def __init__(self, on_lost: Callable[[], None], *args: Any) -> None:
        super().__init__(*args)
        self._on_lost = on_lost

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so."""
        super().connection_lost(exc)
        self._on_lost()


class NodeServer:
    """The one port of a node, as a task among others."""

    def __init__(self, door: Door, host: str, port: int, app: Any = None) -> None:
        """
        Take the port at once.

        `app` is the ASGI application that serves what is not an upgrade to frames.

        Raises
        ------
        PortTaken
            Another process has the port.
        """
        self._door, self._state = door, ServerState()
        if app is not None:
            self._config = uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                # A date that is set once would be wrong; nobody here reads it.
                date_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            )
            self._config.load()
            door.make_http = self._new_http
        self._sockets = open_sockets(host, port)
        self.port: int = self._sockets[0].getsockname()[1]
        self._servers: list[asyncio.Server] = []

    def _new_http(self, on_lost: Callable[[], None]) -> asyncio.Protocol:
        loop = asyncio.get_running_loop()
        return _HttpConnection(on_lost, self._config, self._state, {}, loop)

    async def start(self) -> None:
        """Begin to serve."""
        loop = asyncio.get_running_loop()
        for one in self._sockets:
            self._servers.append(await loop.create_server(self._door.new_connection, sock=one))

    async def serve(self) -> None:
        """Serve until cancelled."""
        await self.start()
        try:
            await asyncio.Event().wait()
        finally:
            await self.close()

    async def close(self) -> None:
        """Take no more connections, let answers that are under way finish, and end all."""
        for server in self._servers:
            server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=STOP_TIMEOUT_S)
        self._door.connections.abort_all()
        # Connections hear of their end in the loop's next turn.
        await asyncio.sleep(0)


async def serve_frames(
    service: Service,
    host: str,
    port: int,
    *,
    bounds: limits.Limits = limits.PEER,
    signer: Signer | None = None,
) -> NodeServer:
    """Serve contracts by frames alone: for tests, and for programs that need no HTTP."""
    server = NodeServer(Door(service, signer=signer, bounds=bounds), host, port)
    await server.start()
    return server
