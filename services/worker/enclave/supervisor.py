"""
The process that runs an app's program: starts it, walls it in, starts it again when it ends.

It is forked from the enclave before that has a secret, because an enclave that has confined itself
starts no programs and reaches no engine. It ends with the enclave, and its program with it. One
thread, one `poll`.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import time
from pathlib import Path
from typing import Any, NoReturn

from services.worker.enclave.app import LOCK
from services.worker.enclave.app_process import become_app, give_up_dumps
from services.worker.enclave.container_process import become_containers
from services.worker.rules.containers import Services
from shared.encoding.values import from_wire

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
STEADY_S = 10.0
"""A program that ran this long ended for a new reason: its pause starts small again [s]."""
GRACE_S, CONTAINERS_GRACE_S = 2.0, 10.0
"""How long a program, or all containers, may take to end after SIGTERM [s]."""
MAX_COMMAND_BYTES = 4 << 20
READ_BYTES = 64 * 1024


class Supervisor:
    """Keeps one program running."""

    def __init__(
        self, directory: Path, data_root: Path, commands: int, events: int, output: int
    ) -> None:
        """Take the app's directory, what it is to be kept from, and this end of the pipes."""
        self._directory, self._data_root = directory, data_root
        self._commands, self._events, self._output = commands, events, output
        self._poll = select.poll()
        self._poll.register(commands, select.POLLIN)
        self._buffer = b""
        self._wanted: dict[str, Any] | None = None
        self._pid, self._pidfd = 0, -1
        self._pause_s, self._next_start_s, self._began_s = FIRST_PAUSE_S, 0.0, 0.0
        self._starts = 0
        self._exit_status: int | None = None

    def serve(self) -> None:
        """Run until the enclave is gone."""
        with (self._directory / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                while self._turn():
                    pass
            finally:
                self._end_program()

    def _turn(self) -> bool:
        wait_ms = None
        if self._wanted is not None and not self._pid:
            wait_ms = max(0.0, self._next_start_s - time.monotonic()) * 1000
        for ready, _ in self._poll.poll(wait_ms):
            if ready == self._pidfd:
                self._note_end()
            elif not self._read_commands():
                return False
        if self._wanted is not None and not self._pid and time.monotonic() >= self._next_start_s:
            self._start()
        return True

    def _read_commands(self) -> bool:
        part = os.read(self._commands, READ_BYTES)
        self._buffer += part
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            command = json.loads(line)
            self._end_program()
            self._wanted = command if command["run"] else None
            self._pause_s, self._next_start_s = FIRST_PAUSE_S, 0.0
            self._tell()
        return bool(part) and len(self._buffer) <= MAX_COMMAND_BYTES

    def _start(self) -> None:
        assert self._wanted is not None  # noqa: S101 - the caller has looked
        pid = os.fork()
        if pid == 0:
            for file in (self._commands, self._events):
                os.close(file)
            self._become(self._wanted)
        self._pid, self._pidfd = pid, os.pidfd_open(pid)
        self._poll.register(self._pidfd, select.POLLIN)
        self._began_s = time.monotonic()
        self._starts += 1
        self._tell()

    def _become(self, wanted: dict[str, Any]) -> NoReturn:
        variables = wanted["variables"]
        if "containers" in wanted:
            services = from_wire(Services, wanted["containers"])
            become_containers(
                self._directory, self._data_root, services, variables, output=self._output
            )
        become_app(
            self._directory,
            self._data_root,
            wanted["run"],
            variables,
            memory_mib=wanted["memory_mib"],
            output=self._output,
        )

    def _note_end(self) -> None:
        """Take note that the program has ended, and what it left running with it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        self._poll.unregister(self._pidfd)
        os.close(self._pidfd)
        self._pid, self._pidfd = 0, -1
        self._exit_status = os.waitstatus_to_exitcode(status)
        now_s = time.monotonic()
        if now_s - self._began_s > STEADY_S:
            self._pause_s = FIRST_PAUSE_S
        self._next_start_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._tell()

    def _end_program(self) -> None:
        if not self._pid:
            return
        has_containers = self._wanted is not None and "containers" in self._wanted
        first_s = CONTAINERS_GRACE_S if has_containers else GRACE_S
        for number, grace_s in ((signal.SIGTERM, first_s), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, number)
            ended = select.poll()
            ended.register(self._pidfd, select.POLLIN)
            if ended.poll(None if grace_s is None else grace_s * 1000):
                break
        self._note_end()

    def _tell(self) -> None:
        event = {
            "pid": self._pid or None,
            "restarts": max(0, self._starts - 1),
            "exit_status": self._exit_status,
        }
        # The enclave may be gone, which the next turn notices.
        with contextlib.suppress(OSError):
            os.write(self._events, json.dumps(event).encode() + b"\n")


def fork_supervisor(directory: Path, data_root: Path, keep_out: list[int]) -> tuple[int, int, int]:
    """
    Fork the supervisor; gives the enclave's ends of `commands`, `events` and `output`.

    Parameters
    ----------
    directory : `Path`
        The app's.
    data_root : `Path`
        Directory of the network, of which the program sees its own part only.
    keep_out : `list`
        Files of the enclave that are none of the supervisor's business.
    """
    commands_in, commands_out = os.pipe()
    events_in, events_out = os.pipe()
    output_in, output_out = os.pipe()
    if os.fork():
        for file in (commands_in, events_out, output_out):
            os.close(file)
        return commands_out, events_in, output_in
    # SIGTERM is the enclave's; this process ends when that one has.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for file in (*keep_out, commands_out, events_in, output_in):
        os.close(file)
    try:
        give_up_dumps()
        Supervisor(directory, data_root, commands_in, events_out, output_out).serve()
    finally:
        os._exit(0)
