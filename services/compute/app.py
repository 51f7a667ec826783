"""Wiring: the only place where the parts of a compute node are made and joined."""

import asyncio
import socket
from dataclasses import dataclass
from typing import Any

import structlog

from services.compute.admission import Admission
from services.compute.api import ComputeEdge, PeerEdge, check_health
from services.compute.catch_up import CatchUp
from services.compute.chain import ChainReader, ParaTimeUnknown
from services.compute.config import Settings
from services.compute.enclave.protocol import (
    ComputeEnclaveApi,
    ComputeHostApi,
    EnclaveDescription,
)
from services.compute.feed import RoundFeed
from services.compute.forwarding import Forwarder
from services.compute.node import ComputeNode, Mailbox
from services.compute.peers import Connect, KeyManagers, Peers, connect_link
from services.compute.registration import Standing
from services.compute.round_worker import RoundWorker, Surroundings
from services.compute.rules.proposal import ProposalDomain
from services.compute.rules.txpool import BatchLimits
from services.compute.store import Store
from services.compute.voting import Voice
from shared.api.compute import ComputeApi, ComputePeerApi
from shared.api.consensus import ConsensusApi, consensus_client
from shared.api.registration import NodeKeys, Registrar, ServedRuntime
from shared.api.submission import TransactionSender
from shared.encoding.contract import client_of
from shared.errors import Unavailable
from shared.kit.channel import (
    Link,
    Service,
    adopt_socket,
    serve_frames,
    until_available,
)
from shared.kit.clock import Clock, SystemClock
from shared.kit.http import HttpServer, build_app
from shared.kit.identity import NodeIdentity, load_identity
from shared.kit.process import mark_serving
from shared.types.block import BlockHeader
from shared.types.identity import Round, RuntimeId
from shared.types.registry import Role, RuntimeDescriptor

log = structlog.get_logger()

SOFTWARE_VERSION = "qanat"


class EnclaveGone(Unavailable, module="compute", code=26):
    """The enclave has ended; the node ends with it, and the launcher starts both again."""


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


def build_node(
    *,
    identity: NodeIdentity,
    address: str,
    description: EnclaveDescription,
    network: Network,
    enclave: ComputeEnclaveApi,
    consensus: ConsensusApi,
    key_managers: KeyManagers,
    store: Store,
    clock: Clock,
    connect: Connect,
) -> ComputeNode:
    """
    Make a node.

    `address` is where peers reach it, `connect` how it reaches them; `key_managers` is what its
    enclave already calls.
    """
    runtime = network.runtime
    domain = ProposalDomain(runtime.id, network.chain_context)
    mailbox = Mailbox()
    sender = TransactionSender(consensus, identity.node, network.chain_context)
    peers = Peers(identity.node.public_key, runtime.id, connect)
    admission = Admission(
        enclave,
        BatchLimits(
            max_transactions=runtime.scheduler.max_batch_size,
            max_bytes=runtime.scheduler.max_batch_size_bytes,
        ),
        lambda: node.newest_taken_up(),
        mailbox.post,
        mailbox.spawn,
    )
    worker = RoundWorker(
        Surroundings(
            node_id=identity.node.public_key,
            domain=domain,
            scheduler=runtime.scheduler,
            enclave=enclave,
            store=store,
            admission=admission,
            peers=peers,
            voice=Voice(identity.node, domain, store, sender, mailbox.spawn),
            clock=clock,
            post=mailbox.post,
            spawn=mailbox.spawn,
        )
    )
    registrar = Registrar(
        sender,
        NodeKeys(identity.node, identity.consensus, identity.tls, identity.entity.public_key),
        ServedRuntime(runtime.id, description.version, Role.COMPUTE),
        network.chain_context,
        addresses=(address,),
        software_version=SOFTWARE_VERSION,
    )
    node = ComputeNode(
        chain=ChainReader(consensus, runtime.id, description.key_manager, peers, key_managers),
        enclave=enclave,
        store=store,
        feed=RoundFeed(store),
        admission=admission,
        forwarder=Forwarder(identity.node.public_key, peers),
        worker=worker,
        catch_up=CatchUp(runtime.id, enclave, consensus, peers),
        standing=Standing(identity.node.public_key, enclave, registrar),
        mailbox=mailbox,
        genesis_root=network.first_block.state_root,
    )
    return node


def serve(name: str, identity: NodeIdentity, node: ComputeNode) -> Service:
    """Give what a node answers to its clients and peers."""
    return Service(
        (ComputeApi, ComputeEdge(name, identity.node.public_key, node)),
        (ComputePeerApi, PeerEdge(node)),
    )


async def serve_compute(settings: Settings) -> None:
    """Run a node until it is cancelled, or its enclave ends."""
    identity = load_identity(settings.data_dir)
    consensus = consensus_client(Link("consensus", settings.consensus))
    key_managers = KeyManagers(connect_link, identity.node.public_key)
    channel = await adopt_socket(
        socket.socket(fileno=settings.enclave_fd),
        "the enclave",
        Service((ComputeHostApi, key_managers)),
    )
    enclave = client_of(ComputeEnclaveApi, channel)
    description = await enclave.describe()
    network = await until_available(lambda: read_network(consensus, description.runtime_id))
    node = build_node(
        identity=identity,
        address=settings.advertise,
        description=description,
        network=network,
        enclave=enclave,
        consensus=consensus,
        key_managers=key_managers,
        store=Store(settings.database()),
        clock=SystemClock(),
        connect=connect_link,
    )

    async def health() -> tuple[bool, dict[str, Any]]:
        return await check_health(settings.node_name, description, node)

    async def watch_enclave() -> None:
        await channel.closed.wait()
        raise EnclaveGone("the enclave closed its socket")

    http = HttpServer(build_app(health), settings.listen_host, settings.http_port)
    await serve_frames(
        serve(settings.node_name, identity, node), settings.listen_host, settings.frame_port
    )
    log.warning("mock_tee", reason="this node's TEE is a MOCK: no hardware protects its secrets")
    mark_serving()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(http.serve())
        tasks.create_task(watch_enclave())
        tasks.create_task(node.run())
