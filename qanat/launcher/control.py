"""The launcher's side of the control plane: a Unix socket in the data directory."""

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from qanat.cables import ask_cable
from qanat.launcher.node import NodeSupervisor
from qanat.layout import DataLayout
from shared.api.control import LauncherControlApi
from shared.errors import Rejected
from shared.kit.channel import Channel
from shared.kit.service import Service


class NoSuchNode(Rejected, module="launcher", code=6):
    """The launcher runs no node of this name."""


class LauncherControl:
    """Fulfils `LauncherControlApi`."""

    def __init__(self, nodes: Mapping[str, NodeSupervisor], dev_token: str | None = None) -> None:
        """`dev_token` is for what a node does itself; None where the network has none."""
        self._nodes, self._dev_token = nodes, dev_token

    async def pause(self, node: str) -> None:
        """Stop the clock of a node's processes."""
        self._find(node).pause()

    async def resume(self, node: str) -> None:
        """Let a paused node go on."""
        self._find(node).resume()

    async def stop(self, node: str) -> None:
        """End a node's processes and leave them ended."""
        await self._find(node).stop()

    async def start(self, node: str) -> None:
        """Start a node that was stopped."""
        self._find(node).start()

    async def cut(self, node: str) -> None:
        """Cut a node off from all others."""
        await ask_cable(self._find(node).plan, self._dev_token, lambda cable: cable.cut())

    async def slow(self, node: str, delay_ms: int) -> None:
        """Hold all that arrives at a node from others for a while [ms]."""
        plan = self._find(node).plan
        await ask_cable(plan, self._dev_token, lambda cable: cable.slow(delay_ms))

    async def heal(self, node: str) -> None:
        """End what `cut` and `slow` did."""
        await ask_cable(self._find(node).plan, self._dev_token, lambda cable: cable.heal())

    def _find(self, name: str) -> NodeSupervisor:
        node = self._nodes.get(name)
        if node is None:
            raise NoSuchNode(f"no node {name!r}; there are {', '.join(self._nodes)}")
        return node


async def serve_control(layout: DataLayout, control: LauncherControl) -> asyncio.Server:
    """Listen on the socket of the data directory, which only its owner may open."""
    layout.control_socket.unlink(missing_ok=True)
    service = Service((LauncherControlApi, control))
    before = os.umask(0o177)
    try:
        with reachable(layout.control_socket) as path:
            return await asyncio.get_running_loop().create_unix_server(
                lambda: Channel("a client", service), path
            )
    finally:
        os.umask(before)


@contextmanager
def reachable(socket: Path) -> Iterator[str]:
    """
    Give a path that is short enough for a socket, while the context is open.

    A socket's path has at most 107 bytes (Linux sockaddr_un); data directories may be deeper.
    """
    if not sys.platform.startswith("linux"):
        yield str(socket)
        return
    directory = os.open(socket.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{socket.name}"
    finally:
        os.close(directory)
