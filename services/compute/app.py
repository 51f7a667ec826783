"""Wiring: the only place where the parts of a compute node are made and joined."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import structlog

from services.compute import metrics
from services.compute.admission import Admission
from services.compute.api import ComputeEdge, PeerEdge, check_host_health
from services.compute.catch_up import CatchUp
from services.compute.chain_reader import ChainReader, ParaTimeUnknown
from services.compute.config import Settings
from services.compute.enclave.protocol import (
    ComputeEnclaveApi,
    ComputeHostApi,
    EnclaveDescription,
)
from services.compute.enclave_follower import EnclaveFollower
from services.compute.execution import Execution
from services.compute.faults.equivocation import EquivocatingVoice
from services.compute.faults.switchboard import FaultEdge, Switchboard
from services.compute.feed import RoundFeed
from services.compute.forwarding import Forwarder
from services.compute.incoming import IncomingProposals
from services.compute.mailbox import Mailbox
from services.compute.node import ComputeNode
from services.compute.own_votes import OwnVotes
from services.compute.peers import (
    Connect,
    KeyManagers,
    Peers,
    connect_by,
)
from services.compute.publishing import Publisher
from services.compute.registration import Standing
from services.compute.round_worker import RoundWorker
from services.compute.rules.proposal import RoundDomain
from services.compute.rules.txpool import SEQUENCE_WINDOW, BatchLimits
from services.compute.store import Store
from services.compute.surroundings import Surroundings
from services.compute.voting import Voice
from services.compute.witness import Witness
from shared.api.compute import ComputeApi, ComputePeerApi
from shared.api.consensus import ConsensusApi, consensus_client
from shared.api.control import NodeControlApi
from shared.api.registration import NodeKeys, NodeRegistrar, Registrar, ServedRuntime
from shared.api.submission import TransactionSender
from shared.kit.clock import Clock, SystemClock
from shared.kit.dev_controls import names_of
from shared.kit.dialing import Credentials
from shared.kit.enclave_host import EnclaveHost
from shared.kit.front import Door
from shared.kit.identity import (
    NodeIdentity,
    known_keys,
    load_genesis,
    load_identity,
    validator_keys,
)
from shared.kit.link import Link, until_available
from shared.kit.node_app import App, NodeApp
from shared.kit.process import mark_serving
from shared.kit.server import NodeServer
from shared.kit.service import Service
from shared.types.block import BlockHeader
from shared.types.identity import Round, RuntimeId
from shared.types.registry import Role, RuntimeDescriptor

log = structlog.get_logger()

SOFTWARE_VERSION = "qanat"


@dataclass(frozen=True, slots=True)
class Network:
    """What a node reads once about its network and ParaTime."""

    chain_context: str
    runtime: RuntimeDescriptor
    first_block: BlockHeader


async def read_network(consensus: ConsensusApi, runtime_id: RuntimeId) -> Network:
    """Read what does not change, or `ParaTimeUnknown` while consensus does not know the runtime."""
    status = await consensus.fetch_status()
    runtime = await consensus.fetch_runtime(runtime_id)
    first_block = await consensus.fetch_round_header(runtime_id, Round(0))
    if runtime is None or runtime.genesis is None or first_block is None:
        raise ParaTimeUnknown(f"no ParaTime {runtime_id.hex()} with a genesis is registered")
    return Network(status.chain_context, runtime, first_block)


@dataclass(frozen=True, slots=True)
class Host:
    """What the ParaTimes of one node share: its keys, and its account in consensus."""

    name: str
    identity: NodeIdentity
    registrar: NodeRegistrar
    serves_several: bool = False
    """Whether the node's name is not enough to tell its ParaTimes apart."""


def build_host(
    name: str,
    identity: NodeIdentity,
    address: str,
    consensus: ConsensusApi,
    chain_context: str,
) -> Host:
    """Make what the ParaTimes share; `address` is where peers reach the node."""
    registrar = NodeRegistrar(
        TransactionSender(consensus, identity.node, chain_context),
        NodeKeys(identity.node, identity.consensus, identity.tls, identity.entity.public_key),
        chain_context,
        addresses=(address,),
        software_version=SOFTWARE_VERSION,
    )
    return Host(name, identity, registrar)


def build_node(
    *,
    host: Host,
    description: EnclaveDescription,
    network: Network,
    enclave: ComputeEnclaveApi,
    consensus: ConsensusApi,
    key_managers: KeyManagers,
    store: Store,
    clock: Clock,
    connect: Connect,
    switchboard: Switchboard | None = None,
    sequence_window: int = SEQUENCE_WINDOW,
) -> ComputeNode:
    """
    Make the node of one ParaTime.

    `connect` is how it reaches its peers; `key_managers` is what its enclave already calls;
    `switchboard` says which faults are armed where there are dev controls.
    """
    runtime, identity = network.runtime, host.identity
    domain = RoundDomain(runtime.id, network.chain_context)
    mailbox, label = Mailbox(), metrics.runtime_label(runtime.id)
    peers = Peers(identity.node.public_key, runtime.id, connect)
    admission = Admission(
        enclave,
        BatchLimits(
            max_transactions=runtime.scheduler.max_batch_size,
            max_bytes=runtime.scheduler.max_batch_size_bytes,
        ),
        sequence_window,
        lambda: node.newest_taken_up(),
        mailbox.post,
        mailbox.spawn,
        label,
    )
    sender = host.registrar.sender
    said_by = identity.node, domain, store, sender, mailbox.spawn
    voice = (
        Voice(*said_by)
        if switchboard is None
        else EquivocatingVoice(*said_by, peers=peers, switchboard=switchboard)
    )
    worker = RoundWorker(
        Surroundings(
            node_id=identity.node.public_key,
            scheduler=runtime.scheduler,
            admission=admission,
            execution=Execution(
                enclave,
                admission,
                runtime.executor.round_timeout_ms / 1000,
                mailbox.post,
                mailbox.spawn,
            ),
            votes=OwnVotes(store, mailbox.post),
            incoming=IncomingProposals(
                domain,
                runtime.scheduler,
                peers,
                Witness(runtime.id, sender, mailbox.spawn),
            ),
            peers=peers,
            voice=voice,
            clock=clock,
            post=mailbox.post,
        )
    )
    feed = RoundFeed(store)
    chain = ChainReader(
        consensus,
        runtime.id,
        description.key_manager,
        peers,
        key_managers,
        f"{host.name} {runtime.id.hex()}" if host.serves_several else host.name,
        description.family,
    )
    forwarder = Forwarder(identity.node.public_key, peers)
    served = ServedRuntime(runtime.id, description.version, Role.COMPUTE)
    registrar = Registrar(host.registrar, served)
    node = ComputeNode(
        chain=chain,
        follower=EnclaveFollower(enclave, feed, chain),
        enclave=enclave,
        publisher=Publisher(store, feed, admission, forwarder, mailbox.spawn, label),
        admission=admission,
        forwarder=forwarder,
        worker=worker,
        catch_up=CatchUp(runtime.id, enclave, consensus, peers),
        standing=Standing(identity.node.public_key, enclave, registrar),
        mailbox=mailbox,
        genesis_root=network.first_block.state_root,
    )
    return node


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
    identity, genesis = load_identity(settings.data_dir), load_genesis(settings.genesis)
    link = Link(
        "consensus",
        settings.consensus,
        credentials=Credentials(identity.node),
        expected=validator_keys(genesis),
    )
    consensus = consensus_client(link)
    status = await until_available(consensus.fetch_status)
    host = build_host(
        settings.node_name, identity, settings.advertise, consensus, status.chain_context
    )
    host = replace(host, serves_several=len(settings.enclave_fds) > 1)
    paratimes = [ServedParaTime(settings, host, consensus, fd) for fd in settings.enclave_fds]

    async def health() -> tuple[bool, dict[str, Any]]:
        return check_host_health(settings.node_name, [one.opened for one in paratimes])

    parts: dict[str, Service] = {}

    def load_pages() -> App:
        from services.compute.pages import build_pages

        return build_pages(parts, open_nodes)

    def open_nodes() -> dict[RuntimeId, ComputeNode]:
        opened = [one.opened for one in paratimes if one.opened is not None]
        return {description.runtime_id: node for description, node in opened}

    served = Service(parts=parts, knows=known_keys(genesis).__contains__)
    token, names = settings.dev_token(), names_of(settings.advertise)
    server = NodeServer(
        Door(served, signer=identity.node, dev_token=token, names=names),
        settings.listen_host,
        settings.port,
        NodeApp("compute", served, health, load_pages, dev_token=token, names=names),
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
        self, settings: Settings, host: Host, consensus: ConsensusApi, enclave_fd: int
    ) -> None:
        self._settings, self._host, self._consensus = settings, host, consensus
        self._enclave_fd = enclave_fd
        self.opened: tuple[EnclaveDescription, ComputeNode] | None = None
        """What the enclave is, and the node over it; None while they are not there."""

    async def run(self, parts: dict[str, Service]) -> None:
        """Open the ParaTime, add it to the parts that this host serves, and run until it ends."""
        node_key = self._host.identity.node
        key_managers = KeyManagers(connect_by(node_key), node_key.public_key)
        host = await EnclaveHost.adopt(
            self._enclave_fd, ComputeEnclaveApi, (ComputeHostApi, key_managers)
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
            connect=connect_by(node_key, runtime_id),
            switchboard=switchboard,
            sequence_window=self._settings.sequence_window(runtime_id),
        )
        faults = None if switchboard is None else FaultEdge(switchboard, enclave, node)
        self.opened = description, node
        parts[runtime_id.hex()] = serve(self._settings.node_name, self._host.identity, node, faults)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(host.watch())
            tasks.create_task(node.run())
