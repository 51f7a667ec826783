"""uvicorn as a task among others: the gateway's ports, which speak HTTP and WebSocket only."""

import asyncio
from typing import Any

import uvicorn

from shared.kit.sockets import open_sockets


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
        """Take the port at once; `PortTaken` where another process has it."""
        # A date that is set once would be wrong; nobody here reads it.
        options = {"date_header": False} | options
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", **options)
        self._server = _QuietServer(config)
        self._sockets = open_sockets(host, port)
        self.port: int = self._sockets[0].getsockname()[1]

    async def serve(self) -> None:
        """Serve until cancelled, then finish open requests."""
        # The public serve() would take the signals.
        task = asyncio.create_task(self._server._serve(self._sockets))  # noqa: SLF001
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            self._server.should_exit = True
            self._server.stopping.set()
            await task
            raise
