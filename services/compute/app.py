"""The process: a host, its door, and the ParaTimes behind it, each over its own enclave."""

import asyncio
from dataclasses import replace
from typing import Any

import structlog

from services.compute import metrics
from services.compute.answering import HostAnswers
from services.compute.api import ComputeEdge, PeerEdge, check_host_health
from services.compute.assembly import Host, build_host, build_node, read_network
from services.compute.config import Settings
from services.compute.enclave.protocol import (
    ComputeEnclaveApi,
    ComputeHostApi,
    EnclaveDescription,
)
from services.compute.faults.switchboard import FaultEdge, Switchboard
from services.compute.node import ComputeNode
from services.compute.peers import (
    KeyManagers,
    connect_by,
)
from services.compute.store import Store
from shared.api.compute import ComputeApi, ComputePeerApi
from shared.api.consensus import ConsensusApi, consensus_client
from shared.api.control import CableControlApi, NodeControlApi
from shared.kit.cable import Cable
from shared.kit.clock import SystemClock
from shared.kit.dev_controls import names_of
from shared.kit.dialing import Credentials
from shared.kit.enclave_host import EnclaveHost
from shared.kit.front import Door
from shared.kit.identity import (
    NodeIdentity,
    known_keys,
    load_identity,
    load_outline,
    validator_keys,
)
from shared.kit.link import Link, until_available
from shared.kit.node_app import App, NodeApp
from shared.kit.process import mark_serving
from shared.kit.server import NodeServer
from shared.kit.service import Service
from shared.types.identity import RuntimeId

log = structlog.get_logger()


def serve(
    name: str, identity: NodeIdentity, node: ComputeNode, faults: FaultEdge | None = None
) -> Service:
    """Give what a node answers to its clients, its peers, and whoever controls its faults."""
    edges: list[tuple[type, Any]] = [
        (ComputeApi, ComputeEdge(name, identity.node.public_key, node)),
        (ComputePeerApi, PeerEdge(node)),
    ]
    if faults is not None:
        edges.append((NodeControlApi, faults))
    return Service(*edges, admits=node.admits)


async def serve_compute(settings: Settings) -> None:
    """Run a node until it is cancelled, or an enclave of its ends."""
    identity, genesis = load_identity(settings.data_dir), load_outline(settings.genesis)
    cable = Cable()
    link = Link(
        "consensus",
        settings.consensus,
        credentials=Credentials(identity.node),
        expected=validator_keys(genesis),
        cable=cable,
    )
    consensus = consensus_client(link)
    status = await until_available(consensus.fetch_status)
    host = build_host(
        settings.node_name, identity, settings.advertise, consensus, status.chain_context
    )
    host = replace(host, serves_several=len(settings.enclave_fds) > 1)
    paratimes = [
        ServedParaTime(settings, host, consensus, cable, fd) for fd in settings.enclave_fds
    ]

    async def health() -> tuple[bool, dict[str, Any]]:
        return check_host_health(settings.node_name, [one.opened for one in paratimes])

    parts: dict[str, Service] = {}

    def load_pages() -> App:
        from services.compute.pages import build_pages

        return build_pages(parts, open_nodes)

    def open_nodes() -> dict[RuntimeId, ComputeNode]:
        opened = [one.opened for one in paratimes if one.opened is not None]
        return {description.runtime_id: node for description, node in opened}

    served = Service((CableControlApi, cable), parts=parts, knows=known_keys(genesis).__contains__)
    token, names = settings.dev_token(), names_of(settings.advertise)
    server = NodeServer(
        Door(served, signer=identity.node, dev_token=token, names=names, cable=cable),
        settings.listen_host,
        settings.port,
        NodeApp("compute", served, health, load_pages, token, names, identity.node),
    )
    log.warning("mock_tee", reason="this node's TEE is a MOCK: no hardware protects its secrets")
    mark_serving()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        for paratime in paratimes:
            tasks.create_task(paratime.run(parts))


class ServedParaTime:
    """One ParaTime of this host, with the enclave that executes it."""

    def __init__(
        self,
        settings: Settings,
        host: Host,
        consensus: ConsensusApi,
        cable: Cable,
        enclave_fd: int,
    ) -> None:
        self._settings, self._host, self._consensus = settings, host, consensus
        self._cable, self._enclave_fd = cable, enclave_fd
        self.opened: tuple[EnclaveDescription, ComputeNode] | None = None
        """What the enclave is, and the node over it; None while they are not there."""

    async def run(self, parts: dict[str, Service]) -> None:
        """Open the ParaTime, add it to the parts that this host serves, and run until it ends."""
        node_key = self._host.identity.node
        key_managers = KeyManagers(connect_by(node_key, cable=self._cable), node_key.public_key)
        host = await EnclaveHost.adopt(
            self._enclave_fd,
            ComputeEnclaveApi,
            (ComputeHostApi, HostAnswers(key_managers, self._consensus)),
        )
        enclave = host.enclave
        description = await enclave.describe()
        runtime_id = description.runtime_id
        structlog.contextvars.bind_contextvars(runtime=metrics.runtime_label(runtime_id))
        network = await until_available(lambda: read_network(self._consensus, runtime_id))
        switchboard = Switchboard() if self._settings.dev_token() is not None else None
        node = build_node(
            host=self._host,
            description=description,
            network=network,
            enclave=enclave,
            consensus=self._consensus,
            key_managers=key_managers,
            store=Store(self._settings.database(runtime_id)),
            clock=SystemClock(),
            connect=connect_by(node_key, runtime_id, self._cable),
            switchboard=switchboard,
            sequence_window=self._settings.sequence_window(runtime_id),
        )
        faults = None if switchboard is None else FaultEdge(switchboard, enclave, node)
        self.opened = description, node
        parts[runtime_id.hex()] = serve(self._settings.node_name, self._host.identity, node, faults)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(host.watch())
            tasks.create_task(node.run())
