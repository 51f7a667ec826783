"""The host's side of its launcher: enclaves of apps, started as needed."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import structlog

from services.worker import metrics
from services.worker.enclave.protocol import WorkerEnclaveApi
from shared.errors import Rejected, Unavailable
from shared.kit import instance_socket
from shared.kit.enclave_host import EnclaveHost
from shared.kit.instance_socket import InstanceEnded, StartInstance, StopInstance

log = structlog.get_logger()


class LauncherGone(Unavailable, module="worker", code=20):
    """The launcher does not answer; this host ends with it."""


class Launching:
    """Asks for enclaves; each name is in use until its enclave has ended."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._ended: dict[str, asyncio.Future[str]] = {}
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    async def start(
        self, name: str, bundle: Path, appd_port: int, *served: tuple[type, Any]
    ) -> EnclaveHost[WorkerEnclaveApi]:
        """
        Have an enclave started, and take over the socket to it.

        Parameters
        ----------
        name : `str`
            Of the instance; none of this name runs.
        bundle : `Path`
            File with the app's bundle.
        appd_port : `int`
            Loopback port of its daemon, or 0.
        served : `tuple`
            Contracts of the enclave's own messages, each with the object that answers.

        Raises
        ------
        LauncherGone
            The launcher has ended.
        """
        await self.until_ended(name)
        self._ended[name] = asyncio.get_running_loop().create_future()
        ours, theirs = socket.socketpair()
        try:
            with theirs, bundle.open("rb") as file:
                asked = StartInstance(name, appd_port)
                instance_socket.send(self._socket, asked, (theirs.fileno(), file.fileno()))
        except OSError as error:
            ours.close()
            self._ended.pop(name)
            raise LauncherGone(f"instance {name} cannot be started: {error}") from error
        metrics.enclave_starts.inc()
        return await EnclaveHost.adopt(ours.detach(), WorkerEnclaveApi, *served)

    async def stop(self, name: str, *, forget: bool = False) -> None:
        """Have an enclave ended, and what it kept removed where it is to be forgotten; wait."""
        try:
            instance_socket.send(self._socket, StopInstance(name, forget))
        except OSError as error:
            raise LauncherGone(f"instance {name} cannot be stopped: {error}") from error
        await self.until_ended(name)

    async def until_ended(self, name: str) -> str:
        """Wait until no enclave has this name; why the last one ended."""
        ended = self._ended.get(name)
        return "" if ended is None else await asyncio.shield(ended)

    def _read(self) -> None:
        try:
            received = instance_socket.receive(self._socket)
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, Rejected) as error:
            log.warning("launcher_not_understood", reason=str(error))
            return
        match received:
            case None:
                # The launcher ends its hosts; nothing is left to hear.
                asyncio.get_running_loop().remove_reader(self._socket)
            case InstanceEnded(name, reason), _:
                ended = self._ended.pop(name, None)
                if ended is not None:
                    ended.set_result(reason)
            case _, files:
                for file in files:
                    os.close(file)
