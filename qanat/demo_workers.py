"""The processes of `qanat demo data-market --gateway`: an app daemon and two workers."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
def running_workers(
    folder: Path, socket: Path, gateway: str, market: str
) -> Iterator[Sequence[str]]:
    """Run both workers of a market; gives their URLs. Raises `WorkerDied`."""
    with contextlib.ExitStack() as stack:
        both = (running_worker(folder, socket, gateway, market, number) for number in (0, 1))
        started = [stack.enter_context(one) for one in both]
        yield [one.url() for one in started]


@dataclass(frozen=True, slots=True)
class RunningWorker:
    """A worker's process."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def url(self) -> str:
        """Wait until it says where it serves. Raises `WorkerDied`."""
        found: list[str] = []

        def look() -> bool:
            for line in self.log.read_text().splitlines():
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if event.get("event") == "serving":
                        found.append(event["url"])
            return bool(found)

        _until(look, self.process, self.log)
        return found[-1]


@contextlib.contextmanager
def running_worker(
    folder: Path, socket: Path, gateway: str, market: str, number: int
) -> Iterator[RunningWorker]:
    """Run one worker on a free port; what it seals, and its log, are in the folder."""
    log = folder / f"worker-{number}.log"
    # Of this run alone: an earlier one served elsewhere.
    log.unlink(missing_ok=True)
    command = ["apps.data_market.worker", "--appd", str(socket), "--gateway", gateway]
    command += ["--market", market, "--worker", str(number), "--port", "0"]
    command += ["--store", str(folder / f"worker-{number}")]
    with _running(command, log) as process:
        yield RunningWorker(process, log)


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
