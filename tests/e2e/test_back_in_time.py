"""The whole network goes back to a snapshot, again and again, whatever happens meanwhile."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from web3.exceptions import TransactionNotFound

from qanat.layout import DataLayout
from qanat.node_client import NodeClient
from qanat.observe import fetch_roots, find_running
from shared.api.consensus import (
    ConsensusApi,
    ConsensusStatus,
    Reverted,
    Slashed,
    consensus_client,
)
from shared.errors import QanatError, Unavailable
from shared.kit.link import Link
from shared.types.identity import Height
from tests.e2e.test_python_clients import connect, deploy, send
from tests.support.networks import ROOT, ProcessNetwork, wait_for

T = TypeVar("T")

BEFORE = b"before everything"
CYCLES = 12
EPOCH_CHANGES = {2, 3, 8}
"""Cycles whose void future begins another epoch: it is lived again with other keys."""
DEAD_CYCLE, KILLED_CYCLE = 5, 7
PATIENCE_MS = 3_000
NODES = {
    "compute-0",
    "compute-1",
    "compute-2",
    "compute-3",
    "keymanager-0",
    "keymanager-1",
    "gateway",
}


class Nodes:
    """Asks consensus and compute nodes as programs do: the command line takes a second a call."""

    def __init__(self, network: ProcessNetwork) -> None:
        self._running = find_running(
            DataLayout(network.data), network.network_file, network.http_port
        )
        (self._consensus,) = self._running.plans_of("consensus")

    def ask(self, question: Callable[[ConsensusApi], Awaitable[T]]) -> T:
        async def ask() -> T:
            token = self._running.dev_token
            async with NodeClient(self._consensus, dev_token=token) as client:
                return await question(consensus_client(client))

        return asyncio.run(ask())

    def status(self) -> ConsensusStatus:
        return self.ask(lambda api: api.fetch_status())

    def slashed_since(self, height: int) -> list[Slashed]:
        """Everything that was slashed in the blocks after a height."""

        async def read(api: ConsensusApi) -> list[Slashed]:
            found: list[Slashed] = []
            newest = (await api.fetch_status()).height
            async for events in api.watch_blocks(Height(height + 1)):
                found += events.slashed
                if events.height >= newest:
                    break
            return found

        async def watch() -> list[Slashed]:
            link = Link("consensus", self._consensus.address)  # blocks are streamed in frames
            try:
                return await read(consensus_client(link))
            finally:
                link.close()

        return asyncio.run(watch())

    def until_level(self) -> None:
        """Wait until every compute node answers with the same round and root."""

        def is_level() -> bool:
            roots = {(one.round, one.root) for one in fetch_roots(self._running)}
            return len(roots) == 1 and None not in next(iter(roots))

        wait_for(is_level, 60, "all compute nodes are level")


class Story:
    """A contract that remembers a secret; what is told after a snapshot is void after a revert."""

    def __init__(self, network: ProcessNetwork) -> None:
        self.network = network
        self.web3 = connect(network, encrypted=True)
        self.vault = deploy(self.web3, "Vault")
        self.told = b""
        self.kept = self.tell(BEFORE)

    def tell(self, secret: bytes) -> Any:
        receipt = send(self.web3, self.vault.functions.store(secret))
        assert receipt["status"] == 1
        self.told = secret
        return receipt["transactionHash"]

    def read(self) -> bytes:
        return bytes(self.vault.functions.reveal().call())

    def reads(self, told: bytes) -> bool:
        return self.read() == told

    def has_receipt(self, hash_: Any) -> bool:
        try:
            self.web3.eth.get_transaction_receipt(hash_)
        except TransactionNotFound:
            return False
        return True

    def has_none_of(self, hashes: list[bytes]) -> bool:
        return not any(map(self.has_receipt, hashes))


def revert_while_consensus_dies(network: ProcessNetwork, nodes: Nodes, snapshot_id: int) -> None:
    """Kill consensus while it takes the network back, and wait until it is there again."""
    pid = network.process("consensus-0")["pid"]
    killing = threading.Timer(0.02, os.kill, (pid, signal.SIGKILL))
    killing.start()
    with suppress(Unavailable):
        nodes.ask(lambda api: api.revert(snapshot_id))
    killing.join()
    wait_for(lambda: is_answering(nodes), 60, "consensus answers")


def is_answering(nodes: Nodes) -> bool:
    with suppress(QanatError):
        return nodes.status().height > 0
    return False


@pytest.fixture(scope="module")
def network(process_network: ProcessNetwork) -> ProcessNetwork:
    process_network.until_ready(60)
    return process_network


@pytest.mark.long
@pytest.mark.timeout(400)
def test_twelve_cycles_leave_equal_roots_working_keys_and_nobody_slashed(
    network: ProcessNetwork,
) -> None:
    nodes, story = Nodes(network), Story(network)
    began = nodes.status()
    point = nodes.ask(lambda api: api.take_snapshot())
    told = story.told
    for cycle in range(CYCLES):
        void = [story.tell(b"void %d" % cycle)]
        if cycle in EPOCH_CHANGES:
            network.cli("epoch", "advance")
            void.append(story.tell(b"void in another epoch %d" % cycle))
        assert nodes.slashed_since(point.height) == []
        if cycle == DEAD_CYCLE:
            network.cli("node", "stop", "compute-2")
        if cycle == KILLED_CYCLE:
            revert_while_consensus_dies(network, nodes, point.id)
        reverted = nodes.ask(partial(go_back, snapshot_id=point.id))
        assert reverted.height == point.height
        if cycle == DEAD_CYCLE:
            assert reverted.missing == ("compute-2",)
        elif cycle != KILLED_CYCLE:
            assert reverted.missing == ()
            assert set(reverted.arrived) >= NODES
        if "gateway" not in reverted.arrived:
            # Consensus has just started again; the gateway comes back to it by itself.
            wait_for(partial(story.has_none_of, void), 60, "void receipts are gone")
        assert story.has_none_of(void)
        assert story.has_receipt(story.kept)
        if cycle == KILLED_CYCLE:
            # So do the nodes, for which it did not wait: one may be in the void life for a moment.
            wait_for(partial(story.reads, told), 60, "what was told before is read again")
        assert story.read() == told
        if cycle == DEAD_CYCLE:
            # The network lives on meanwhile, past where the dead node stopped.
            for number in range(3):
                story.tell(b"without compute-2: %d" % number)
            network.cli("node", "start", "compute-2")
            network.until_ready()
            nodes.until_level()
            point = nodes.ask(lambda api: api.take_snapshot())
        new = story.tell(b"after cycle %d" % cycle)
        assert story.has_receipt(new)
        assert story.read() == story.told
        nodes.until_level()
        if cycle % 2:
            point = nodes.ask(lambda api: api.take_snapshot())
            told = story.told
        else:
            # The same point again: what was told since is void.
            nodes.ask(partial(go_back, snapshot_id=point.id))
            told = story.read()
            assert not story.has_receipt(new)
    assert nodes.slashed_since(began.height) == []
    assert nodes.status().incarnation >= began.incarnation + CYCLES
    nodes.until_level()


async def go_back(api: ConsensusApi, snapshot_id: int) -> Reverted:
    return await api.revert(snapshot_id, PATIENCE_MS)


@pytest.mark.long
def test_a_snapshot_within_a_snapshot_by_the_command_line(network: ProcessNetwork) -> None:
    story = Story(network)
    outer = json.loads(network.cli("snapshot", "--json"))
    first = story.tell(b"first")
    inner = int(network.cli("snapshot"))
    second = story.tell(b"second")
    reverted = json.loads(network.cli("revert", str(inner), "--json"))
    assert reverted["missing"] == []
    assert set(reverted["arrived"]) >= NODES
    assert story.has_receipt(first)
    assert not story.has_receipt(second)
    assert story.read() == b"first"
    assert f"back at height {outer['height']}" in network.cli("revert", str(outer["id"]))
    assert not story.has_receipt(first)
    assert story.read() == BEFORE
    listed = [one["id"] for one in json.loads(network.cli("snapshot", "--list", "--json"))]
    assert outer["id"] in listed
    assert inner not in listed


def test_a_snapshot_that_is_gone_is_refused_clearly(network: ProcessNetwork) -> None:
    command = [sys.executable, "-m", "qanat", "revert", "4711", *network.cli_options()]
    done = subprocess.run(
        command, cwd=Path(ROOT), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "there is no snapshot 4711" in done.stderr
