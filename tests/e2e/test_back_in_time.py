"""The whole network goes back to a snapshot, again and again, whatever happens meanwhile."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from web3.exceptions import TransactionNotFound

from qanat.layout import DataLayout
from qanat.observe import find_running
from shared.api.consensus import ConsensusStatus, consensus_client
from shared.kit.channel import Link
from tests.e2e.test_python_clients import connect, deploy, send
from tests.support.networks import ROOT, ProcessNetwork, wait_for

CYCLES = 12
EPOCH_CHANGES = {2, 3, 8}
"""Cycles whose void future begins another epoch: it is lived again with other keys."""
DEAD_CYCLE, KILLED_CYCLE = 5, 7
NODES = {"compute-0", "compute-1", "compute-2", "compute-3", "keymanager-0", "keymanager-1"}


class Consensus:
    """Asks the network's consensus service, as a node would."""

    def __init__(self, network: ProcessNetwork) -> None:
        layout = DataLayout(network.data)
        running = find_running(layout, network.network_file, network.http_port)
        (self._plan,) = running.plans_of("consensus")

    def status(self) -> ConsensusStatus:
        async def fetch() -> ConsensusStatus:
            link = Link("consensus", self._plan.address)
            try:
                return await consensus_client(link).fetch_status()
            finally:
                link.close()

        return asyncio.run(fetch())

    def slashed_since(self, height: int) -> list[Any]:
        """Everything that was slashed in the blocks after a height."""

        async def read() -> list[Any]:
            link = Link("consensus", self._plan.address)
            found: list[Any] = []
            try:
                api = consensus_client(link)
                newest = (await api.fetch_status()).height
                async for events in api.watch_blocks(height + 1):
                    found += events.slashed
                    if events.height >= newest:
                        return found
            finally:
                link.close()
            return found

        return asyncio.run(read())


class Story:
    """A contract that remembers a secret; what is told after a snapshot is void after a revert."""

    def __init__(self, network: ProcessNetwork) -> None:
        self.network = network
        self.web3 = connect(network, encrypted=True)
        self.vault = deploy(self.web3, "Vault")
        self.kept = self.tell(b"before everything")

    def tell(self, secret: bytes) -> Any:
        receipt = send(self.web3, self.vault.functions.store(secret))
        assert receipt["status"] == 1
        return receipt["transactionHash"]

    def read(self) -> bytes:
        return bytes(self.vault.functions.reveal().call())

    def has_receipt(self, hash_: Any) -> bool:
        try:
            self.web3.eth.get_transaction_receipt(hash_)
        except TransactionNotFound:
            return False
        return True


def snapshot(network: ProcessNetwork) -> dict[str, Any]:
    taken: dict[str, Any] = json.loads(network.cli("snapshot", "--json"))
    return taken


def revert(network: ProcessNetwork, snapshot_id: int, *options: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(network.cli("revert", str(snapshot_id), "--json", *options))
    return answer


def revert_while_consensus_dies(network: ProcessNetwork, snapshot_id: int) -> None:
    """Kill consensus while it takes the network back, and wait until it is there again."""
    pid = network.process("consensus-0")["pid"]
    command = [sys.executable, "-m", "qanat", "revert", str(snapshot_id), *network.cli_options()]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as asking:
        time.sleep(0.9)  # about when the request arrives; before or after, it must be whole
        os.kill(pid, signal.SIGKILL)
        asking.wait(60)
    wait_for(lambda: network.process("consensus-0")["pid"] != pid, 20, "consensus restarts")


@pytest.fixture(scope="module")
def network(process_network: ProcessNetwork) -> ProcessNetwork:
    process_network.until_ready(60)
    return process_network


def test_twelve_cycles_leave_equal_roots_working_keys_and_nobody_slashed(
    network: ProcessNetwork,
) -> None:
    consensus, story = Consensus(network), Story(network)
    began = consensus.status()
    point = snapshot(network)
    told = b"before everything"
    for cycle in range(CYCLES):
        void = [story.tell(b"void %d" % cycle)]
        if cycle in EPOCH_CHANGES:
            network.cli("epoch", "advance")
            void.append(story.tell(b"void in another epoch %d" % cycle))
        assert consensus.slashed_since(point["height"]) == []
        if cycle == DEAD_CYCLE:
            network.cli("node", "stop", "compute-2")
        if cycle == KILLED_CYCLE:
            revert_while_consensus_dies(network, point["id"])
            wait_for(lambda: consensus.status().height > 0, 20, "consensus answers")
        reverted = revert(network, point["id"], "--wait", "3")
        assert reverted["height"] == point["height"]
        if cycle == DEAD_CYCLE:
            assert reverted["missing"] == ["compute-2"]
        else:
            assert reverted["missing"] == []
            assert set(reverted["arrived"]) >= NODES | {"gateway"}
        assert not any(map(story.has_receipt, void))
        assert story.has_receipt(story.kept)
        assert story.read() == told
        if cycle == DEAD_CYCLE:
            # The network lives on meanwhile, past where the dead node stopped.
            for number in range(3):
                told = b"without compute-2: %d" % number
                story.tell(told)
            network.cli("node", "start", "compute-2")
            network.until_ready(40)
            point = snapshot(network)
        told = b"after cycle %d" % cycle
        new = story.tell(told)
        assert story.has_receipt(new)
        assert story.read() == told
        network.until_level()
        if cycle % 2:
            point = snapshot(network)
        else:
            # The same point again: what was told since is void in the next cycle.
            revert(network, point["id"])
            told = story.read()
            assert not story.has_receipt(new)
    assert consensus.slashed_since(began.height) == []
    assert consensus.status().incarnation >= began.incarnation + CYCLES
    network.until_level()


def test_a_snapshot_within_a_snapshot(network: ProcessNetwork) -> None:
    story = Story(network)
    outer = snapshot(network)
    first = story.tell(b"first")
    inner = snapshot(network)
    second = story.tell(b"second")
    revert(network, inner["id"])
    assert story.has_receipt(first)
    assert not story.has_receipt(second)
    assert story.read() == b"first"
    revert(network, outer["id"])
    assert not story.has_receipt(first)
    assert story.read() == b"before everything"
    listed = json.loads(network.cli("snapshot", "--list", "--json"))
    assert outer["id"] in [one["id"] for one in listed]
    assert inner["id"] not in [one["id"] for one in listed]


def test_a_snapshot_that_is_gone_is_refused_clearly(network: ProcessNetwork) -> None:
    command = [sys.executable, "-m", "qanat", "revert", "4711", *network.cli_options()]
    done = subprocess.run(
        command, cwd=Path(ROOT), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "there is no snapshot 4711" in done.stderr
