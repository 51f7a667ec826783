"""Making the node of one ParaTime from its parts."""

from dataclasses import dataclass, replace

from services.compute import metrics
from services.compute.admission import Admission
from services.compute.catch_up import CatchUp
from services.compute.chain_reader import ChainReader, ParaTimeUnknown
from services.compute.enclave.protocol import (
    ComputeEnclaveApi,
    EnclaveDescription,
)
from services.compute.enclave_follower import EnclaveFollower
from services.compute.execution import Execution
from services.compute.faults.equivocation import EquivocatingVoice
from services.compute.faults.switchboard import Switchboard
from services.compute.feed import RoundFeed
from services.compute.forwarding import Forwarder
from services.compute.incoming import IncomingProposals
from services.compute.joint_votes import JointVotes
from services.compute.mailbox import Mailbox
from services.compute.node import ComputeNode
from services.compute.own_votes import OwnVotes
from services.compute.peers import (
    Connect,
    KeyManagers,
    Peers,
)
from services.compute.pruning import Pruning
from services.compute.publishing import Publisher
from services.compute.registration import Standing
from services.compute.round_worker import RoundWorker
from services.compute.rules.proposal import RoundDomain
from services.compute.rules.txpool import SEQUENCE_WINDOW, BatchLimits
from services.compute.store import Store
from services.compute.surroundings import Surroundings
from services.compute.voting import Voice
from services.compute.witness import Witness
from shared.api.consensus import ConsensusApi
from shared.api.registration import NodeKeys, NodeRegistrar, Registrar, ServedRuntime
from shared.api.submission import TransactionSender
from shared.kit.clock import Clock
from shared.kit.identity import (
    NodeIdentity,
)
from shared.types.block import BlockHeader
from shared.types.identity import Round, RuntimeId
from shared.types.registry import Role, RuntimeDescriptor

SOFTWARE_VERSION = "qanat"


@dataclass(frozen=True, slots=True)
class Network:
    """What a node reads once about its network and ParaTime."""

    chain_context: str
    runtime: RuntimeDescriptor
    """Without the state with which it begins, which is the enclave's business."""
    first_block: BlockHeader


async def read_network(consensus: ConsensusApi, runtime_id: RuntimeId) -> Network:
    """Read what does not change, or `ParaTimeUnknown` while consensus does not know the runtime."""
    status = await consensus.fetch_status()
    runtime = await consensus.fetch_runtime(runtime_id)
    first_block = await consensus.fetch_round_header(runtime_id, Round(0))
    if runtime is None or runtime.genesis is None or first_block is None:
        raise ParaTimeUnknown(f"no ParaTime {runtime_id.hex()} with a genesis is registered")
    return Network(status.chain_context, replace(runtime, genesis=None), first_block)


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

    `connect` is how it reaches its peers; `key_managers` is what its enclave already calls, through
    `HostAnswers`; `switchboard` says which faults are armed where there are dev controls.
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
    said_by = identity.node, domain, store.open_rounds, sender, mailbox.spawn
    voice = (
        Voice(*said_by)
        if switchboard is None
        else EquivocatingVoice(*said_by, peers=peers, switchboard=switchboard)
    )
    chain = ChainReader(
        consensus,
        runtime.id,
        description.key_manager,
        peers,
        key_managers,
        f"{host.name} {runtime.id.hex()}" if host.serves_several else host.name,
        description.family,
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
                chain.fetch_inbox,
            ),
            votes=OwnVotes(store.open_rounds, mailbox.post),
            incoming=IncomingProposals(
                domain,
                runtime.scheduler,
                peers,
                Witness(runtime.id, sender, mailbox.spawn),
            ),
            peers=peers,
            voice=voice,
            joint_votes=JointVotes(identity.node.public_key, peers, voice, mailbox.post),
            clock=clock,
            post=mailbox.post,
        )
    )
    feed = RoundFeed(store)
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
        pruning=Pruning(runtime.id, runtime.keep_rounds, enclave, consensus),
        standing=Standing(identity.node.public_key, enclave, registrar),
        mailbox=mailbox,
        genesis_root=network.first_block.state_root,
    )
    return node
