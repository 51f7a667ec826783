"""Which ports of a plan are taken, and by whom."""

import contextlib
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qanat.network import NodePlan

LISTENING = "0A"
"""State of a listening socket in `/proc/net/tcp`. Source: Linux include/net/tcp_states.h."""
TABLES = ("tcp", "tcp6")
NODE_COMMANDS = ("services.", "qanat")
"""What stands in the command line of a process of a network."""


@dataclass(frozen=True, slots=True)
class TakenPort:
    """A port that another process listens on."""

    node: str
    port: int
    pid: int | None
    """None where the process is another user's, or the system does not tell."""
    command: str = ""


def describe_taken(taken: Sequence[TakenPort]) -> str:
    """Say to a person who holds which ports, one process after the other, and what to do."""
    parts = []
    for pid in dict.fromkeys(one.pid for one in taken):
        of_pid = [one for one in taken if one.pid == pid]
        text = ", ".join(f"{one.port} (for {one.node})" for one in of_pid)
        command = of_pid[0].command
        if pid is not None:
            text += f" by process {pid}, {command}"
        if any(f"-m {name}" in command for name in NODE_COMMANDS):
            text += f", of another network: `qanat down` there, or `kill {pid}`"
        parts.append(text)
    return "; ".join(parts)


def taken_ports(plans: Sequence[NodePlan], host: str) -> list[TakenPort]:
    """Give each port of the plan that another process listens on."""
    taken = []
    for plan in plans:
        for port in plan.ports:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port))
                except (OSError, OverflowError):
                    pid = _find_listener(port)
                    taken.append(TakenPort(plan.name, port, pid, _command_of(pid)))
    return taken


def _find_listener(port: int) -> int | None:
    inodes = set(_listening_inodes(port))
    for directory in Path("/proc").glob("[0-9]*/fd") if inodes else ():
        if not inodes.isdisjoint(_sockets_of(directory)):
            return int(directory.parent.name)
    return None


def _sockets_of(directory: Path) -> Iterator[str]:
    """Inodes of the sockets that a process has open, as far as it is ours and still there."""
    try:
        entries = list(directory.iterdir())
    except OSError:
        return
    for entry in entries:
        with contextlib.suppress(OSError):
            yield str(entry.readlink()).removeprefix("socket:[").removesuffix("]")


def _listening_inodes(port: int) -> Iterator[str]:
    for table in TABLES:
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _command_of(pid: int | None) -> str:
    if pid is None:
        return ""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return " ".join(word.decode(errors="replace") for word in words[:4] if word)
