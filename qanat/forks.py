"""
The launcher's side of a fork server: asks for processes, and learns how they end.

`qanat/fork_server.py` is the other side.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from qanat.fork_server import MAX_MESSAGE_BYTES
from qanat.fork_spawn import ForkServer
from shared.errors import Unavailable

RETRY_S = 0.01
"""Pause before a request is sent again to a fork server that has not read the last ones [s]."""
STATUS_UNKNOWN = 1
"""Exit status of a process whose fork server ended first."""


class ForkServerGone(Unavailable, module="launcher", code=20):
    """The process that forks others has ended; its log says why."""


class RunningProcess(Protocol):
    """What a process is to its launcher, whichever way it was started."""

    @property
    def pid(self) -> int:
        """Process id."""
        ...

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        ...

    async def wait(self) -> int:
        """Wait until it has ended; its exit status."""
        ...

    def terminate(self) -> None:
        """Ask it to end."""
        ...

    def kill(self) -> None:
        """End it."""
        ...


class ForkedProcess:
    """A process of a fork server. Is a `RunningProcess`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._status.result() if self._status.done() else None

    async def wait(self) -> int:
        """Wait until it has ended; its exit status."""
        return await asyncio.shield(self._status)

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._signal(signal.SIGKILL)

    def end(self, status: int) -> None:
        """Take note that it has ended."""
        if not self._status.done():
            self._status.set_result(status)

    def _signal(self, number: signal.Signals) -> None:
        if not self._status.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Forks:
    """Processes of one fork server."""

    def __init__(self, server: ForkServer) -> None:
        self._server, self._control = server.process, server.control
        self.pid = server.process.pid
        self._asked: deque[asyncio.Future[ForkedProcess]] = deque()
        self._processes: dict[int, ForkedProcess] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.is_gone = False
        self.has_forked = False
        """Whether it ever forked a process: what it loads is sound."""

    async def start(
        self,
        environment: Mapping[str, str],
        *,
        command: Sequence[str],
        files: Mapping[str, Sequence[int]],
        output: Path | None,
    ) -> ForkedProcess:
        """
        Fork a process.

        Parameters
        ----------
        environment : `Mapping`
            All its variables, but those of `files`.
        command : `Sequence`
            What its command line shows.
        files : `Mapping`
            Descriptors to inherit; the variable of this name lists their numbers there.
        output : `Path`, optional
            Takes standard output and error; None is the server's own.

        Raises
        ------
        ForkServerGone
            The server has ended.
        """
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
            loop.add_reader(self._control, self._read)
        with contextlib.ExitStack() as stack:
            descriptors = [file for listed in files.values() for file in listed]
            if output is not None:
                descriptors.insert(0, stack.enter_context(output.open("ab")).fileno())
            message = json.dumps(
                {
                    "environment": dict(environment),
                    "files": {name: len(listed) for name, listed in files.items()},
                    "command": list(command),
                    "output": output is not None,
                }
            ).encode()
            await self._send(message, descriptors)
            answer: asyncio.Future[ForkedProcess] = loop.create_future()
            self._asked.append(answer)
        return await answer

    def close(self) -> None:
        """End the server; the processes that it forked have ended before."""
        self._lose()

    async def _send(self, message: bytes, descriptors: Sequence[int]) -> None:
        while not self.is_gone:
            try:
                socket.send_fds(self._control, [message], descriptors)
            except BlockingIOError:
                await asyncio.sleep(RETRY_S)
            except ConnectionError:
                self._lose()
            else:
                return
        raise ForkServerGone(f"fork server {self.pid} has ended")

    def _read(self) -> None:
        while not self.is_gone:
            try:
                message = self._control.recv(MAX_MESSAGE_BYTES)
            except BlockingIOError:
                return
            except ConnectionError:
                message = b""
            if message:
                self._note(json.loads(message))
            else:
                self._lose()

    def _note(self, answer: Mapping[str, int]) -> None:
        if (pid := answer.get("started")) is not None:
            self.has_forked = True
            process = self._processes[pid] = ForkedProcess(pid)
            asked = self._asked.popleft()
            if asked.cancelled():
                process.kill()
            else:
                asked.set_result(process)
        else:
            self._processes.pop(answer["ended"]).end(answer["status"])

    def _lose(self) -> None:
        if self.is_gone:
            return
        self.is_gone = True
        if self._loop is not None:
            self._loop.remove_reader(self._control)
        self._control.close()
        for asked in self._asked:
            if not asked.done():
                asked.set_exception(ForkServerGone(f"fork server {self.pid} has ended"))
        for process in self._processes.values():
            process.end(STATUS_UNKNOWN)
        # It ends by itself. Where this process was forked from the one that started it, it is no
        # child of ours, and nothing is done here.
        self._server.kill()
        self._server.wait()
