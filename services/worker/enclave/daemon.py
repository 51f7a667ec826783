"""
The app daemon inside an enclave.

Its sockets are opened before the enclave gives up the network; from then on it can take
connections on them and make no others. It serves only while there are keys.
"""

import asyncio
import os
import socket
import threading
from pathlib import Path

import uvicorn

from services.worker.appd.app import build_appd
from services.worker.appd.instance import AppInstance
from services.worker.enclave.app import SOCKET_NAME

LOOPBACK = "127.0.0.1"
BACKLOG = 64
STOP_TIMEOUT_S = 5.0
"""How long requests under way may take when it ends [s]."""
NEEDED_CALLS = frozenset({"accept", "accept4", "listen"})
"""Of those that enclaves give up. Nothing can be listened on but what is bound already."""


class Daemon:
    """Serves an instance on sockets that are open."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._sockets = sockets
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def begin(self, instance: AppInstance) -> None:
        """Serve; whoever has connected already is answered now."""
        config = uvicorn.Config(
            build_appd(instance),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=int(STOP_TIMEOUT_S),
        )
        self._server = server = uvicorn.Server(config)
        # The server closes what it is given.
        copies = [one.dup() for one in self._sockets]
        # Its `serve` takes signals, which are no thread's.
        self._thread = threading.Thread(
            target=lambda: asyncio.run(server._serve(copies)),  # noqa: SLF001
            daemon=True,
        )
        self._thread.start()

    def end(self) -> None:
        """Stop serving."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(STOP_TIMEOUT_S + 1)
        self._server = self._thread = None


def open_sockets(directory: Path, port: int) -> list[socket.socket]:
    """Listen on a Unix socket in a directory, its owner's alone, and on a loopback port or none."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    (directory / SOCKET_NAME).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    # By its name alone: a socket's path has at most 107 bytes, and data directories may be deep.
    os.chdir(directory)
    try:
        listening.bind(SOCKET_NAME)
    finally:
        os.chdir(before)
    (directory / SOCKET_NAME).chmod(0o600)
    listening.listen(BACKLOG)
    opened = [listening]
    if port:
        loopback = socket.socket()
        loopback.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        loopback.bind((LOOPBACK, port))
        loopback.listen(BACKLOG)
        opened.append(loopback)
    for one in opened:
        one.setblocking(False)
    return opened
