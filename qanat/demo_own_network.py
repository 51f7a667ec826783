"""A network for one story: made on free ports, with two workers, and gone after it."""

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qanat.launcher.ports import taken_ports
from qanat.layout import DataLayout
from qanat.network import load_network, plan_nodes
from qanat.network.workers import add_workers
from qanat.observe import Running, find_running
from qanat.options import DEFAULT_NETWORK
from qanat.stop import PATIENCE_S, stop_network
from qanat.unwinding import deaf, unwinding
from shared.errors import Unavailable

HOST = "127.0.0.1"
FIRST_PORT_BASE, LAST_PORT_BASE, STEP = 20_545, 60_545, 500
WORKERS = 2
LAST_WRITES_S = 5.0
"""How long programs of apps may take to end after the network has [s]."""


class NetworkNotStarted(Unavailable, module="demo", code=6):
    """The story's own network does not come up."""


@dataclass(frozen=True, slots=True)
class OwnNetwork:
    """It runs."""

    running: Running
    gateway: str


@contextlib.contextmanager
def own_network(
    progress: Callable[[str], None], first_port_base: int = FIRST_PORT_BASE
) -> Iterator[OwnNetwork]:
    """
    Run a network with two workers below a temporary directory, on free ports from a port on.

    Whoever ends this process by SIGTERM, or by closing its terminal, ends the network with it, as
    Ctrl-C does; while that goes on, which takes seconds, the process hears none of them.

    Raises
    ------
    NetworkNotStarted
        No ports are free, or it is not ready in time; says what its start said.
    """
    with unwinding():
        made = tempfile.TemporaryDirectory(prefix="qanat-demo-")
        folder = Path(made.name)
        layout = DataLayout(folder / "data")
        try:
            file = add_workers(DEFAULT_NETWORK, WORKERS, folder / "network.toml")
            port_base = _free_ports(file, first_port_base)
            progress("starting a network of its own, with two workers (mock TEE)")
            _start(["--network", str(file), "--port-base", str(port_base)], layout)
            yield OwnNetwork(find_running(layout, file, port_base), f"http://{HOST}:{port_base}")
        finally:
            # Deaf first: whoever reads that the network goes may well press Ctrl-C again.
            with deaf():
                progress("taking the network down")
                try:
                    stop_network(layout)
                finally:
                    _remove(made)


def _remove(made: "tempfile.TemporaryDirectory[str]") -> None:
    """Remove a directory to which an app may write for a moment after its enclave has ended."""
    deadline = time.monotonic() + LAST_WRITES_S
    while True:
        try:
            made.cleanup()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _free_ports(file: Path, first_port_base: int) -> int:
    network = load_network(file)
    for port_base in range(first_port_base, LAST_PORT_BASE, STEP):
        if not taken_ports(plan_nodes(network, port_base), HOST):
            return port_base
    raise NetworkNotStarted(f"no free ports from {first_port_base} to {LAST_PORT_BASE}")


def _start(options: list[str], layout: DataLayout) -> None:
    command = [sys.executable, "-m", "qanat", "up", *options, "--data", str(layout.root)]
    # In a session of its own: of Ctrl-C it hears by this process, which waits for its end.
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as starting:
        try:
            said = starting.communicate()[1]
        except BaseException:
            with deaf():
                _interrupt(starting)
            raise
    if starting.returncode:
        raise NetworkNotStarted(f"`qanat up`: {said.strip().rpartition(chr(10))[2]}")


def _interrupt(starting: "subprocess.Popen[str]") -> None:
    """Let `qanat up` end what it has started, and itself."""
    starting.send_signal(signal.SIGINT)
    try:
        starting.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        starting.kill()
