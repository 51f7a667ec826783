"""How a network of processes ends, and what is left of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_python_clients import connect, deploy, send
from tests.support.networks import ROOT, ProcessNetwork, port_base, wait_for

PORT_BASE = port_base(22545)


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


@pytest.mark.long
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
        assert process.wait(60) == 0, rest
    assert "Traceback" not in rest
    assert time.monotonic() - began < 30
    wait_for(lambda: all(map(is_gone, pids)), 60, "every process has ended")
    assert not (network.data / "launcher.json").exists()


def test_killed_launcher_leaves_no_process_and_the_next_one_goes_on(
    network: ProcessNetwork,
) -> None:
    network.up()
    block = network.block_number()
    pids = pids_of(network)
    launcher = json.loads((network.data / "launcher.json").read_text())["pid"]
    os.kill(launcher, signal.SIGKILL)
    wait_for(lambda: all(map(is_gone, pids)), 60, "every process has ended")
    network.up()
    assert network.block_number() >= block


@pytest.mark.long
def test_network_comes_back_when_what_forks_its_hosts_is_killed(network: ProcessNetwork) -> None:
    network.up()
    before = {p["pid"] for p in network.processes()}
    server = json.loads((network.data / "launcher.json").read_text())["fork_servers"][0]
    os.kill(server, signal.SIGKILL)
    wait_for(
        lambda: not before & {p["pid"] for p in network.processes() if p["part"] == "host"},
        60,
        "every host is a new one",
    )
    network.until_ready(60)
    network.until_level(60)


@pytest.mark.long
def test_node_is_paused_stopped_and_started_by_name(network: ProcessNetwork) -> None:
    network.up()
    network.cli("node", "pause", "compute-1")
    states = {p["part"]: p["state"] for p in network.processes() if p["name"] == "compute-1"}
    assert states == {"host": "paused", "enclave": "paused"}
    block = network.block_number()
    wait_for(lambda: network.block_number() > block + 1, 60, "the chain goes on without it")
    network.cli("node", "resume", "compute-1")
    network.cli("node", "stop", "compute-1")
    assert network.process("compute-1")["pid"] is None
    block = network.block_number()
    wait_for(lambda: network.block_number() > block + 1, 60, "the chain goes on without it")
    network.cli("node", "start", "compute-1")
    wait_for(lambda: network.process("compute-1")["state"] == "running", 60, "it runs again")
    network.until_level()


@pytest.mark.long
def test_node_that_is_cut_off_falls_behind_and_catches_up(network: ProcessNetwork) -> None:
    network.up()
    network.cli("node", "cut", "compute-1")
    stood = network.roots()["compute-1"][0]
    assert stood is not None
    wait_for(lambda: network.block_number() > stood + 3, 60, "the chain goes on without it")
    # It is asked over HTTP, which stays. A round under way at the cut may have been its last.
    behind = network.roots()["compute-1"][0]
    assert behind is not None
    assert behind <= stood + 1
    network.cli("node", "heal", "compute-1")
    network.until_level(60)
    network.cli("node", "slow", "compute-1", "--ms", "60")
    network.cli("node", "slow", "keymanager-0", "--ms", "60")
    web3 = connect(network, encrypted=True)
    vault = deploy(web3, "Vault")
    assert send(web3, vault.functions.store(b"in spite of it"))["status"] == 1
    network.cli("node", "heal", "compute-1")
    network.cli("node", "heal", "keymanager-0")
    network.until_level(60)


@pytest.mark.long
def test_gateway_has_no_cable_and_who_lacks_the_token_cuts_nothing(network: ProcessNetwork) -> None:
    network.up()
    with pytest.raises(AssertionError, match="cut or slow the nodes that it asks"):
        network.cli("node", "cut", "gateway")
    asked = httpx.post(f"http://127.0.0.1:{PORT_BASE + 58}/v1/compute/cut", json={})
    assert asked.status_code == 401
    assert "dev-token" in asked.json()["error"]["message"]
    network.until_ready()


@pytest.mark.long
def test_network_is_dumped_while_it_runs_and_goes_on_elsewhere(
    network: ProcessNetwork, tmp_path: Path
) -> None:
    network.up()
    web3 = connect(network, encrypted=True)
    vault = deploy(web3, "Vault")
    stored = send(web3, vault.functions.store(b"before the dump"))
    file, data = tmp_path / "network.dump", tmp_path / "elsewhere"
    network.cli("dump", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    # It went on, and what comes now is not in the file.
    assert send(web3, vault.functions.store(b"after the dump"))["status"] == 1
    network.cli("down")
    command = [sys.executable, "-m", "qanat", "load", str(file), "--data", str(data)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    loaded = ProcessNetwork(data, PORT_BASE, data / "network.toml")
    try:
        loaded.up()
        loaded.until_level(60)
        assert (
            connect(loaded, encrypted=True).eth.get_transaction_receipt(stored["transactionHash"])
            == stored
        )
        assert vault.functions.reveal().call() == b"before the dump"
        assert send(web3, vault.functions.store(b"elsewhere"))["status"] == 1
    finally:
        loaded.down()
        loaded.close()
