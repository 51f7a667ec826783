"""A network for one story: made on free ports, with two workers, and gone after it."""

import contextlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qanat.launcher.ports import taken_ports
from qanat.layout import DataLayout
from qanat.network import load_network, plan_nodes
from qanat.network.workers import add_workers
from qanat.observe import Running, find_running
from qanat.options import DEFAULT_NETWORK
from qanat.stop import stop_network
from shared.errors import Unavailable

HOST = "127.0.0.1"
FIRST_PORT_BASE, LAST_PORT_BASE, STEP = 20_545, 60_545, 500
WORKERS = 2


class NetworkNotStarted(Unavailable, module="demo", code=6):
    """The story's own network does not come up."""


@dataclass(frozen=True, slots=True)
class OwnNetwork:
    """It runs."""

    running: Running
    gateway: str


@contextlib.contextmanager
def own_network(progress: Callable[[str], None]) -> Iterator[OwnNetwork]:
    """
    Run a network with two workers below a temporary directory.

    Whoever ends this process by SIGTERM, or by closing its terminal, ends the network with it, as
    Ctrl-C does.

    Raises
    ------
    NetworkNotStarted
        No ports are free, or it is not ready in time; says what its start said.
    """
    with _unwinding_at_the_end(), tempfile.TemporaryDirectory(prefix="qanat-demo-") as made:
        folder = Path(made)
        file = add_workers(DEFAULT_NETWORK, WORKERS, folder / "network.toml")
        port_base, layout = _free_ports(file), DataLayout(folder / "data")
        progress("starting a network of its own, with two workers (mock TEE)")
        try:
            _start(["--network", str(file), "--port-base", str(port_base)], layout)
            yield OwnNetwork(find_running(layout, file, port_base), f"http://{HOST}:{port_base}")
        finally:
            stop_network(layout)


@contextlib.contextmanager
def _unwinding_at_the_end() -> Iterator[None]:
    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_ports(file: Path) -> int:
    network = load_network(file)
    for port_base in range(FIRST_PORT_BASE, LAST_PORT_BASE, STEP):
        if not taken_ports(plan_nodes(network, port_base), HOST):
            return port_base
    raise NetworkNotStarted(f"no free ports from {FIRST_PORT_BASE} on")


def _start(options: list[str], layout: DataLayout) -> None:
    command = [sys.executable, "-m", "qanat", "up", *options, "--data", str(layout.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NetworkNotStarted(f"`qanat up`: {done.stderr.strip().rpartition(chr(10))[2]}")
