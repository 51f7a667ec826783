"""The networks that are measured: Qanat, and the plain devnets that a user could pick instead."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from tests.bench import machine
from tests.support.networks import ROOT, ProcessNetwork
from tests.support.node_clients import missing_node

PEERS = Path(__file__).parent / "peers"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 10


DEFAULT = (ROOT / "networks" / "default.toml").read_text()


class CannotRun(Exception):
    """The contestant is not installed, or did not start; the others are measured without it."""


class Contestant(Protocol):
    """One network that answers Ethereum's JSON-RPC."""

    name: str
    chain_id: int
    http_port: int
    encrypts: bool
    """Whether clients may encrypt calldata to it."""

    def start(self) -> None:
        """Start afresh and return as soon as it answers, or raise `CannotRun`."""
        ...

    def stop(self) -> None:
        """Stop it and forget its chain."""
        ...

    def parts(self) -> dict[str, list[int]]:
        """Every process that belongs to it, by what it is: of `PARTS`, or the peer's name."""
        ...


class Qanat:
    """This network, started by `qanat up`."""

    name, chain_id, encrypts = "qanat", 0x5AFD, True

    def __init__(self, http_port: int, network_text: Callable[[Path], str] | None = None) -> None:
        """Be the default network, or one whose file is made in a folder of the run."""
        self.http_port, self._network_text = http_port, network_text
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._network: ProcessNetwork | None = None

    def start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="qanat-bench-")
        folder, file = Path(self._folder.name), None
        if self._network_text is not None:
            file = folder / "network.toml"
            file.write_text(self._network_text(folder))
        self._network = ProcessNetwork(folder / "data", self.http_port, file)
        self._network.up()

    def halt(self) -> None:
        """Stop it and keep its chain."""
        assert self._network is not None
        self._network.down()

    def resume(self) -> None:
        """Start again on the chain that was kept."""
        assert self._network is not None
        self._network.up()

    def parts(self) -> dict[str, list[int]]:
        assert self._network is not None
        return self._network.pids_by_part()

    @property
    def data(self) -> Path:
        """Where the network keeps its data."""
        assert self._network is not None
        return self._network.data

    def disk_mib(self) -> float:
        """Size of what the network keeps on the disk [MiB]."""
        assert self._network is not None
        files = (path for path in self._network.data.rglob("*") if path.is_file())
        return sum(path.stat().st_blocks * 512 for path in files) / 2**20

    def stop(self) -> None:
        if self._network is not None:
            self._network.down()
            self._network.close()
        if self._folder is not None:
            self._folder.cleanup()
        self._network = self._folder = None


def with_nodes(size: int) -> str:
    """Give the default network file with so many compute nodes."""
    names = ", ".join(f'"compute-{number}"' for number in range(size))
    return re.sub(r'nodes = \["compute-0".*\]', f"nodes = [{names}]", DEFAULT)


def with_one_worker() -> str:
    """Give the default network file with one compute node, worker and backup in one."""
    text = re.sub(r"\nworkers = \d+", "\nworkers = 1", with_nodes(1))
    return re.sub(r"\nbackup_workers = \d+", "\nbackup_workers = 1", text)


class Peer:
    """A devnet from the npm registry, in one process of its own."""

    chain_id, encrypts = 31337, False

    def __init__(self, name: str, http_port: int, command: Sequence[str]) -> None:
        self.name, self.http_port = name, http_port
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            cwd=PEERS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"HARDHAT_DISABLE_TELEMETRY_PROMPT": "true"},
            start_new_session=True,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(self.http_port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise CannotRun(f"{self.name} did not start: {' '.join(self._command)}")
            time.sleep(0.005)

    def parts(self) -> dict[str, list[int]]:
        assert self._process is not None
        return {self.name: machine.descendants(self._process.pid)}

    def stop(self) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._process = None


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def install_peers() -> None:
    """Install what `peers/package-lock.json` names, unless it is there; or raise `CannotRun`."""
    reason = missing_node()
    if reason is not None:
        raise CannotRun(reason)
    installed = PEERS / "node_modules" / ".package-lock.json"
    lock = PEERS / "package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    command = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=PEERS, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotRun(f"`{' '.join(command)}` failed: {done.stderr.strip()}")


def hardhat(http_port: int) -> Peer:
    """Give Hardhat's own node."""
    node = shutil.which("node") or "node"
    script = "node_modules/hardhat/dist/src/cli.js"
    return Peer("hardhat", http_port, [node, script, "node", "--port", str(http_port)])


def anvil(http_port: int) -> Peer:
    """Give Foundry's node."""
    script = "node_modules/.bin/anvil"
    return Peer("anvil", http_port, [script, "--port", str(http_port), "--silent"])


def is_port_taken(port: int) -> bool:
    """Say whether somebody listens where a contestant would."""
    return _answers(port)
