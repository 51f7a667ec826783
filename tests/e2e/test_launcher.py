"""How a network of processes ends, and what is left of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.networks import ROOT, ProcessNetwork, wait_for

PORT_BASE = 22545


@pytest.fixture
def network(tmp_path: Path) -> Iterator[ProcessNetwork]:
    network = ProcessNetwork(tmp_path / "data", PORT_BASE)
    yield network
    network.cli("down")
    network.close()


def pids_of(network: ProcessNetwork) -> set[int]:
    return {process["pid"] for process in network.processes()}


def is_gone(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def test_ctrl_c_ends_a_network_in_the_foreground(network: ProcessNetwork) -> None:
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "qanat", "up", "--foreground"),
            *("--port-base", str(PORT_BASE), *network.cli_options()),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        shown = ""
        for line in process.stdout:
            shown += line
            if "Press Ctrl-C" in line:
                break
        assert "every node is ready" in shown
        pids = pids_of(network)
        began = time.monotonic()
        # As the terminal does: to everybody in the group.
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(15) == 0, rest
    assert "Traceback" not in rest
    assert time.monotonic() - began < 10
    wait_for(lambda: all(map(is_gone, pids)), 5, "every process has ended")
    assert not (network.data / "launcher.json").exists()


def test_killed_launcher_leaves_no_process_and_the_next_one_goes_on(
    network: ProcessNetwork,
) -> None:
    network.up()
    block = network.block_number()
    pids = pids_of(network)
    launcher = json.loads((network.data / "launcher.json").read_text())["pid"]
    os.kill(launcher, signal.SIGKILL)
    wait_for(lambda: all(map(is_gone, pids)), 15, "every process has ended")
    network.up()
    assert network.block_number() >= block


def test_node_is_paused_stopped_and_started_by_name(network: ProcessNetwork) -> None:
    network.up()
    network.cli("node", "pause", "compute-1")
    states = {p["part"]: p["state"] for p in network.processes() if p["name"] == "compute-1"}
    assert states == {"host": "paused", "enclave": "paused"}
    block = network.block_number()
    wait_for(lambda: network.block_number() > block + 1, 30, "the chain goes on without it")
    network.cli("node", "resume", "compute-1")
    network.cli("node", "stop", "compute-1")
    assert network.process("compute-1")["pid"] is None
    block = network.block_number()
    wait_for(lambda: network.block_number() > block + 1, 30, "the chain goes on without it")
    network.cli("node", "start", "compute-1")
    wait_for(lambda: network.process("compute-1")["state"] == "running", 20, "it runs again")
    network.until_level()
