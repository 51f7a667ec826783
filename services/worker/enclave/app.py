"""The enclave's side of its app's program: unpacks it, has it run, and keeps what it writes."""

import json
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from services.worker.enclave.errors import NoKeys
from services.worker.rules.bundle import AppManifest, Bundle
from services.worker.rules.containers import Services
from shared.encoding.values import to_wire
from shared.types.app_runs import AppRun

LOG_BYTES = 256 * 1024
"""What is kept of what the program wrote, newest last [bytes]."""
READ_BYTES = 64 * 1024
CODE, DATA, TEMPORARY = "code", "data", "tmp"
"""Folders of an app: its files, as measured; what it keeps; what it keeps not."""
SOCKET_NAME = "appd.sock"
"""Of its daemon, beside them."""
LOCK = "lock"
"""Held by who runs the program: one of a former start of the enclave may still be ending."""
APP_HOST, APP_PORTS = "QANAT_APP_HOST", "QANAT_APP_PORTS"
"""
Variables of workers in containers: the address on which programs are to serve in the place of the
loopback, and the ports there that are published, as `8700-8715`.
"""
SUPERVISOR_GONE = 71
"""Exit status of an enclave whose supervisor has ended: both begin again."""


def directory_of_app(enclave_dir: Path) -> Path:
    """Where the app lives, in its enclave's directory."""
    return enclave_dir / "app"


class LogRing:
    """The newest bytes of a stream."""

    def __init__(self, max_bytes: int = LOG_BYTES) -> None:
        self._max_bytes, self._size = max_bytes, 0
        self._parts: deque[bytes] = deque()
        self._lock = threading.Lock()

    def add(self, part: bytes) -> None:
        """Take what was written, and forget the oldest of it."""
        with self._lock:
            self._parts.append(part)
            self._size += len(part)
            while self._size > self._max_bytes:
                oldest = self._parts.popleft()
                surplus = self._size - self._max_bytes
                if surplus < len(oldest):
                    self._parts.appendleft(oldest[surplus:])
                self._size -= min(surplus, len(oldest))

    def read(self) -> bytes:
        """Give what is kept."""
        with self._lock:
            return b"".join(self._parts)


class App:
    """The program of a bundle, run by the supervisor at the other end of three pipes."""

    def __init__(
        self,
        directory: Path,
        commands: int,
        events: int,
        output: int,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        """
        Take the app's directory and this end of the pipes.

        `commands` is written to; `events`, JSON lines of `AppRun`, and `output` are read. `end` is
        called once the supervisor is gone: whoever ended it ended the program, and nothing here
        would start it again.
        """
        self._end = end
        self._directory = directory
        self._commands, self._events, self._output = commands, events, output
        self._log = LogRing()
        self._manifest: AppManifest | None = None
        self._run = AppRun(None, 0, None)
        for read in (self._read_output, self._read_events):
            threading.Thread(target=read, daemon=True).start()

    def unpack(self, bundle: Bundle) -> None:
        """Write the measured files, in the place of what was there."""
        code = self._directory / CODE
        shutil.rmtree(code, ignore_errors=True)
        shutil.rmtree(self._directory / TEMPORARY, ignore_errors=True)
        for folder in (CODE, DATA, TEMPORARY):
            (self._directory / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        for file in bundle.files:
            path = code / file.path
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_bytes(file.content)
        self._manifest = bundle.manifest

    def run(self, variables: Mapping[str, str]) -> None:
        """Have the program or the containers run, and run again whenever they end."""
        if self._manifest is None:
            raise NoKeys("no program is unpacked")
        command: dict[str, object] = {
            "run": f"{CODE}/{self._manifest.entry_point}",
            "memory_mib": self._manifest.memory_mib,
            "variables": dict(variables),
        }
        if self._manifest.containers is not None:
            command["containers"] = to_wire(Services, self._manifest.containers)
        self._command(command)

    def end(self) -> None:
        """Have it ended."""
        self._command({"run": None})

    def status(self) -> AppRun:
        """How it is doing, as the supervisor said last."""
        return self._run

    def logs(self) -> bytes:
        """Give the end of what it wrote."""
        return self._log.read()

    def _command(self, command: Mapping[str, object]) -> None:
        remaining = json.dumps(command).encode() + b"\n"
        while remaining:
            remaining = remaining[os.write(self._commands, remaining) :]

    def _read_output(self) -> None:
        while part := os.read(self._output, READ_BYTES):
            self._log.add(part)

    def _read_events(self) -> None:
        with os.fdopen(self._events, "rb") as events:
            for line in events:
                self._run = AppRun(**json.loads(line))
        self._end(SUPERVISOR_GONE)
