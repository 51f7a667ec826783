"""Looks at a running network, whichever launcher started it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from qanat.compose import list_container_processes, read_container_token
from qanat.compose_file import project_of
from qanat.launcher.state import ProcessRecord, load_running_state
from qanat.layout import DataLayout
from qanat.network import Network, NodePlan, load_network, plan_nodes
from shared.api.compute import ComputeStatus, compute_client
from shared.api.consensus import ConsensusApi, Reverted, Snapshot, consensus_client
from shared.errors import QanatError, Rejected, Unavailable
from shared.kit.dev_controls import load_dev_token

T = TypeVar("T")

EPOCH_TIMEOUT_S = 60.0
"""How long the services may take to follow one epoch change [s]."""


class NotRunning(Rejected, module="launcher", code=4):
    """No network runs on this data directory, nor by Docker Compose."""


@dataclass(frozen=True, slots=True)
class Running:
    """A network that runs now."""

    network: Network
    plans: tuple[NodePlan, ...]
    processes: tuple[ProcessRecord, ...]
    launcher_pid: int | None
    """None where Docker Compose runs the network."""
    dev_token: str | None = field(default=None, repr=False)
    """Opens dev controls; None where the network has none."""

    def plans_of(self, service: str) -> tuple[NodePlan, ...]:
        """Nodes of one service."""
        return tuple(plan for plan in self.plans if plan.service == service)


def find_running(layout: DataLayout, network_file: Path, port_base: int) -> Running:
    """
    Find the network of a data directory, or else the one that Docker Compose runs.

    Raises
    ------
    NotRunning
        Neither is there.
    """
    state = load_running_state(layout)
    if state is not None:
        network = load_network(Path(state.network_file))
        plans = plan_nodes(network, state.port_base)
        token = load_dev_token(layout.root)
        return Running(network, plans, state.processes, state.pid, token)
    network = load_network(network_file)
    project = project_of(network)
    containers = list_container_processes(project)
    if containers:
        plans = plan_nodes(network, port_base)
        return Running(network, plans, containers, None, read_container_token(project))
    raise NotRunning(
        f"no network runs on {layout.root}, nor by Docker Compose: start one with `qanat up`"
    )


@dataclass(frozen=True, slots=True)
class StateRoot:
    """Newest round of a ParaTime on a compute node; None where the node does not answer."""

    name: str
    paratime: str
    round: int | None
    root: str | None


def fetch_roots(running: Running) -> list[StateRoot]:
    """Ask every compute node for the newest round and state root of its ParaTimes."""
    return asyncio.run(_fetch_roots(running))


async def _fetch_roots(running: Running) -> list[StateRoot]:
    ids = {one.name: one.id for one in running.network.paratime}

    async def fetch(plan: NodePlan, paratime: str) -> StateRoot:
        try:
            status = await _fetch_compute_status(plan, ids[paratime])
        except Unavailable:
            return StateRoot(plan.name, paratime, None, None)
        return StateRoot(plan.name, paratime, status.round, "0x" + status.state_root.hex())

    return list(
        await asyncio.gather(
            *(fetch(plan, name) for plan in running.plans_of("compute") for name in plan.paratimes)
        )
    )


async def _fetch_compute_status(plan: NodePlan, runtime_id: str) -> ComputeStatus:
    from qanat.node_client import NodeClient

    async with NodeClient(plan, runtime_id=runtime_id) as client:
        return await compute_client(client).fetch_status()


def advance_epoch(running: Running, count: int) -> int:
    """
    Move the epoch on and wait until every service has seen it.

    Returns
    -------
    epoch : `int`
        The new one.
    """
    return asyncio.run(_advance_epoch(running, count))


async def _advance_epoch(running: Running, count: int) -> int:
    from qanat.node_client import NodeClient

    (consensus,) = running.plans_of("consensus")
    epoch = 0
    async with NodeClient(consensus, dev_token=running.dev_token) as client:
        for _ in range(count):
            epoch = await consensus_client(client).advance_epoch(1)
            await wait_for_epoch(running, epoch)
    return epoch


def take_snapshot(running: Running) -> Snapshot:
    """Have consensus remember where the network stands."""
    return asyncio.run(_ask_consensus(running, lambda api: api.take_snapshot()))


def list_snapshots(running: Running) -> tuple[Snapshot, ...]:
    """Points that the network can go back to."""
    return asyncio.run(_ask_consensus(running, lambda api: api.fetch_snapshots()))


def revert(running: Running, snapshot_id: int, patience_ms: int) -> Reverted:
    """Go back to a snapshot with the whole network."""
    return asyncio.run(_ask_consensus(running, lambda api: api.revert(snapshot_id, patience_ms)))


async def _ask_consensus(running: Running, question: Callable[[ConsensusApi], Awaitable[T]]) -> T:
    from qanat.node_client import NodeClient

    (consensus,) = running.plans_of("consensus")
    async with NodeClient(consensus, dev_token=running.dev_token) as client:
        return await question(consensus_client(client))


async def wait_for_epoch(running: Running, epoch: int) -> None:
    """Wait until every compute node has seen an epoch and is ready in it."""
    async with asyncio.timeout(EPOCH_TIMEOUT_S):
        await _until_all_see(running, epoch)


async def _until_all_see(running: Running, epoch: int) -> None:
    ids = {one.name: one.id for one in running.network.paratime}
    for plan in running.plans_of("compute"):
        for name in plan.paratimes:
            await _until_node_sees(plan, ids[name], epoch)


async def _until_node_sees(plan: NodePlan, runtime_id: str, epoch: int) -> None:
    while True:
        try:
            status = await _fetch_compute_status(plan, runtime_id)
            if status.epoch >= epoch and status.is_ready:
                return
        except QanatError:
            # A node that is down is not waited for longer than the time limit.
            pass
        await asyncio.sleep(0.02)
