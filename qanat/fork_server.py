"""
The beginning of a process that loads a program once and forks for each process that runs it.

Fourteen processes that import the same modules take seconds of CPU and hold them fourteen times.
A fork server imports, and waits; each process that it forks has everything loaded, and shares the
memory. It forks before any secret, connection or thread is there, and reads nothing but requests of
the launcher.

This module is also the first code in an enclave's process (`qanat.cpu.bootstrap`), so it may use
the standard library only.
"""

import ctypes
import gc
import json
import os
import select
import socket
import sys
from collections.abc import Sequence
from typing import Any

MAX_MESSAGE_BYTES = 64 * 1024
MAX_FILES = 64
TITLE_ROOM = " " * 160
"""An argument of a fork server that leaves its processes room for their own command lines."""
M_ARENA_MAX = -8
"""Source: glibc malloc.h."""
ARENAS = 2
"""Of malloc; by default each thread may have one of its own, up to eight a core."""


def serve(control: socket.socket) -> None:
    """
    Fork for each request of the launcher; returns in each new process, and never in this one.

    Parameters
    ----------
    control : `socket`
        To the launcher, of kind SOCK_SEQPACKET; it is standard input. Requests have `environment`,
        `files` (by the name of a variable, how many of the files that come along it names),
        `command` and `output` (whether the first file is for standard output and error). Answers:
        `started` with the process id, in the order of requests; `ended` with the process id and
        its exit `status`, at any time.
    """
    _limit_arenas()
    gc.collect()
    # What was imported stays for ever: collections would look at it, and unshare its pages.
    gc.freeze()
    children: dict[int, int] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            try:
                if ready != control.fileno():
                    poll.unregister(ready)
                    _report_end(control, ready, children.pop(ready))
                    continue
                request, files = _receive(control)
                pid = os.fork()
                if pid == 0:
                    control.close()
                    for child in children:
                        os.close(child)
                    _become(request, files)
                    return
                for file in files:
                    os.close(file)
                watched = os.pidfd_open(pid)
                children[watched] = pid
                poll.register(watched, select.POLLIN)
                control.send(json.dumps({"started": pid}).encode())
            except (ConnectionError, EOFError):
                # The launcher is gone. Hosts notice by themselves, and enclaves notice their hosts.
                sys.exit()


def _receive(control: socket.socket) -> tuple[dict[str, Any], list[int]]:
    message, files, _, _ = socket.recv_fds(
        control, MAX_MESSAGE_BYTES, MAX_FILES, socket.MSG_CMSG_CLOEXEC
    )
    if not message:
        raise EOFError
    return json.loads(message), files


def _report_end(control: socket.socket, watched: int, pid: int) -> None:
    os.close(watched)
    _, status = os.waitpid(pid, 0)
    status = os.waitstatus_to_exitcode(status)
    control.send(json.dumps({"ended": pid, "status": status}).encode())


def _become(request: dict[str, Any], files: list[int]) -> None:
    os.setsid()
    # The socket to the launcher was standard input.
    nothing = os.open(os.devnull, os.O_RDONLY)
    if nothing != 0:
        os.dup2(nothing, 0)
        os.close(nothing)
    remaining = list(files)
    if request["output"]:
        output = remaining.pop(0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
    os.environ.clear()
    os.environ.update(request["environment"])
    for name, count in request["files"].items():
        os.environ[name] = ",".join(map(str, remaining[:count]))
        del remaining[:count]
    show_command(request["command"])


def show_command(words: Sequence[str]) -> None:
    """Let people who look at processes see another command line, as far as there is room."""
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as stat:  # noqa: PTH123
        fields = stat.read().rpartition(")")[2].split()
    # Fields 48 and 49, `arg_start` and `arg_end`. Source: man 5 proc_pid_stat.
    begin, end = int(fields[45]), int(fields[46])
    text = "\0".join(words).encode()[: end - begin - 1]
    ctypes.memset(begin, 0, end - begin)
    ctypes.memmove(begin, text, len(text))


def _limit_arenas() -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, ARENAS)
