"""
Starts a fork server, before anything else is loaded that would have to wait for it.

`qanat/forks.py` asks it for processes once there is an event loop.
"""

import socket
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from qanat.fork_server import TITLE_ROOM


@dataclass(frozen=True, slots=True)
class ForkServer:
    """A fork server that runs, and the socket to it."""

    control: socket.socket
    process: "subprocess.Popen[bytes]"

    def release(self) -> None:
        """Leave it to the process that was forked from this one."""
        self.control.close()


def spawn_fork_server(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    files: Collection[int] = (),
    output: int | None = None,
) -> ForkServer:
    """
    Start a fork server; it loads its program while the caller goes on.

    Parameters
    ----------
    arguments : `Sequence`
        Of the interpreter; the program finds its socket to here on standard input.
    environment : `Mapping`
        Of the server; each process that it forks gets one of its own.
    files : `Collection`
        Descriptors that it inherits, under the same numbers.
    output : `int`, optional
        Descriptor for standard output and error; None inherits them.
    """
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.setblocking(False)
    with theirs:
        process = subprocess.Popen(
            (sys.executable, *arguments, TITLE_ROOM),
            env=dict(environment),
            stdin=theirs.fileno(),
            stdout=output,
            stderr=output,
            pass_fds=files,
            start_new_session=True,
        )
    return ForkServer(control, process)
