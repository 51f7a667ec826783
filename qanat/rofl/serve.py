"""The daemon on its sockets, until a signal ends it."""

import asyncio
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import uvicorn

from services.worker.appd.app import build_appd
from services.worker.appd.instance import AppInstance
from shared.errors import Rejected
from shared.kit.sockets import open_sockets

LOOPBACK = "127.0.0.1"


class SocketTaken(Rejected, module="appd", code=9):
    """The path is another file, or a daemon listens on it."""


async def serve_appd(
    instance: AppInstance,
    path: Path,
    port: int | None,
    tell: Callable[[tuple[str, ...]], None],
    *,
    with_signals: bool = True,
) -> None:
    """
    Serve an instance on a Unix socket that its owner alone may use, and on loopback if asked.

    `tell` gets the addresses, which accept connections from then on.

    Raises
    ------
    SocketTaken, PortTaken
        There is something else.
    """
    opened = [open_unix_socket(path)]
    places = [str(path)]
    try:
        if port is not None:
            loopback = open_sockets(LOOPBACK, port)
            opened += loopback
            places.append(f"http://{LOOPBACK}:{loopback[0].getsockname()[1]}")
        config = uvicorn.Config(
            build_appd(instance), log_config=None, access_log=False, lifespan="off", ws="none"
        )
        server = uvicorn.Server(config)
        # The public serve() would take the signals and raise them again once it has ended.
        for number in (signal.SIGINT, signal.SIGTERM) if with_signals else ():
            asyncio.get_running_loop().add_signal_handler(
                number, setattr, server, "should_exit", True
            )
        # Who connects from now on waits in the backlog until the first line of the server runs.
        tell(tuple(places))
        await server._serve(opened)  # noqa: SLF001
    finally:
        for one in opened:
            one.close()
        remove(path)


def remove(path: Path) -> None:
    """Remove a socket's file; another daemon may have done so."""
    path.unlink(missing_ok=True)


def open_unix_socket(path: Path) -> socket.socket:
    """Listen on a path; a socket that nobody answers is put away, or raise `SocketTaken`."""
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise SocketTaken(f"{path} is another file")
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                raise SocketTaken(f"another daemon listens on {path}")
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(str(path))
        # Before anybody can connect: the socket is the only boundary.
        path.chmod(0o600)
        listening.listen()
    except BaseException:
        listening.close()
        raise
    return listening
