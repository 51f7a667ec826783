"""An app daemon beside a network, for stories of apps that run as processes."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from shared.errors import Unavailable

PATIENCE_S = 60.0
"""How long a process may take to serve [s]."""
STOP_S = 10.0
POLL_S = 0.05


class WorkerDied(Unavailable, module="demo", code=3):
    """A process of the demo ended, or does not come up."""


@contextlib.contextmanager
def running_appd(folder: Path, seed: str) -> Iterator[Path]:
    """Run an app daemon with keys from a seed; gives its socket. Raises `WorkerDied`."""
    socket = folder / "appd.sock"
    command = ["qanat", "rofl", "appd", "--socket", str(socket), "--seed", seed]
    with _running(command, folder / "appd.log") as process:
        _until(socket.exists, process, folder / "appd.log")
        yield socket


@contextlib.contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a module with its output in a file, and end it."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until(condition: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            last = log.read_text().strip().rpartition("\n")[2]
            raise WorkerDied(f"{log.stem} does not come up: {last or 'it says nothing'}")
        time.sleep(POLL_S)
