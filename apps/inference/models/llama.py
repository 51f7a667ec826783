"""
llama.cpp in a process of its own, on one thread; `chat.py` starts it and speaks to it.

Apart, so that it can be stopped in the middle of a computation (`pace.py`), and left there by who
wants no more of an answer; and in a session of its own: the kernel shares a CPU out by session,
and by what a thread asks for within one only. In a session of more weight, the model would keep
the CPU from who wakes. Where it need not pause it stays in its parent's session.

It takes lines of JSON from a socket: first how to load the model, then requests, each with a
number, and the numbers of those that are not wanted any more. It gives what llama.cpp gives, piece
by piece, under the request's number.

llama.cpp opens an HTTP listener that nobody uses: a socket in a folder of our own, removed at
once, with a key that nobody has, and what would show prompts there is off. Nothing is kept between
requests: an answer hangs on its own prompt alone, and its time tells nothing of another's.
"""

import ctypes
import json
import os
import queue
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apps.inference.models.answered import CONTEXT_TOKENS
from shared.kit.cpu_share import LOWEST, give_way, lower_session

PROMPT_PART_TOKENS = 64
"""So much of a prompt is read between two questions whether to go on: half a second of CPU."""
PR_SET_PDEATHSIG = 1
"""Source: Linux include/uapi/linux/prctl.h."""


def run(descriptor: int) -> None:
    """Serve the socket of this number until the other end closes it."""
    # A terminal sends it to all that run in it; when this ends is for its parent to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        # Stopped, it would see no end of its socket.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    give_way()
    with socket.socket(fileno=descriptor) as connection:
        _Served(connection).run()


class _Served:
    """What both threads know: one computes, one reads what comes meanwhile."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._lines = connection, connection.makefile("rb")
        self._asked: queue.Queue[dict[str, Any]] = queue.Queue()
        self._unwanted = 0
        """This request, and all before it."""

    def run(self) -> None:
        how = json.loads(self._lines.readline() or os._exit(0))
        server = load(Path(how["path"]), how["key"])
        # Only now, so that a busy machine's service starts in time.
        lower_session(LOWEST)
        self._send({"number": 0})
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            asked = self._asked.get()
            number = asked["number"]
            answer = getattr(server, asked["route"])(asked["request"], self._taker(number))
            whole = answer if isinstance(answer, dict) else None
            self._send({"number": number, "chunk": whole, "is_last": True})

    def _read(self) -> None:
        for line in self._lines:
            said = json.loads(line)
            if "unwanted" in said:
                self._unwanted = said["unwanted"]
            else:
                self._asked.put(said)
        os._exit(0)

    def _taker(self, number: int) -> Callable[[dict[str, Any]], bool]:
        def take(chunk: dict[str, Any]) -> bool:
            if self._unwanted >= number:
                return True
            self._send({"number": number, "chunk": chunk})
            return False

        return take

    def _send(self, said: dict[str, Any]) -> None:
        self._connection.sendall(json.dumps(said).encode() + b"\n")


def load(path: Path, key: str) -> Any:
    """Load the weights of a file; `key` is the listener's, of which nobody may know."""
    import xllamacpp

    params: Any = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel, params.n_threads_http = CONTEXT_TOKENS, 1, 1
    params.n_batch = params.n_ubatch = PROMPT_PART_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_prompt, params.cache_ram_mib, params.offline = False, 0, True
    params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = params.ui = False
    params.verbosity = -1
    params.api_keys = [key]
    with tempfile.TemporaryDirectory(prefix="qanat-llm-") as folder:
        # A socket's path has 107 bytes at most, and a worker's folders are deep.
        places = (folder, os.path.relpath(folder))
        params.hostnames = [str(Path(min(places, key=len)) / "unused.sock")]
        return xllamacpp.Server(params)
        # The folder goes, and the socket with it: nobody can reach the listener any more.
