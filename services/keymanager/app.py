"""Wiring: the only place where the parts of the key manager's host are made and joined."""

import asyncio

import structlog

from services.keymanager.announcer import Announcer
from services.keymanager.api import KeyManagerEdge, check_health
from services.keymanager.callers import RegisteredCallers
from services.keymanager.config import Settings
from services.keymanager.enclave.protocol import (
    EnclaveDescription,
    KeyManagerEnclaveApi,
    KeyManagerHostApi,
)
from services.keymanager.node import KeyManagerNode
from services.keymanager.peers import KeyManagerPeers, connect_by
from shared.api.consensus import ConsensusApi, consensus_client
from shared.api.control import CableControlApi
from shared.api.keymanager import KeyManagerApi
from shared.api.registration import NodeKeys, NodeRegistrar, Registrar, ServedRuntime
from shared.api.submission import TransactionSender
from shared.crypto.hashes import sha512_256
from shared.kit.cable import Cable
from shared.kit.dev_controls import load_dev_token, names_of
from shared.kit.dialing import Credentials
from shared.kit.enclave_host import EnclaveHost
from shared.kit.front import Door
from shared.kit.identity import (
    NodeIdentity,
    load_identity,
    load_outline,
    nodes_of_entities,
    validator_keys,
)
from shared.kit.link import Link
from shared.kit.node_app import App, NodeApp
from shared.kit.process import mark_serving
from shared.kit.server import NodeServer
from shared.kit.service import Service
from shared.types.registry import Role

log = structlog.get_logger()

SOFTWARE_VERSION = "0.1.0"


async def serve_key_manager(settings: Settings) -> None:
    """Run the host until it is cancelled or its enclave ends."""
    identity = load_identity(settings.data_dir)
    genesis = load_outline(settings.genesis)
    cable = Cable()
    peers = KeyManagerPeers(connect_by(identity.node, cable))
    host = await EnclaveHost.adopt(
        settings.enclave_fd, KeyManagerEnclaveApi, (KeyManagerHostApi, peers)
    )
    enclave = host.enclave
    description = await enclave.describe()
    # The token is for a lost epoch, which the key managers leave behind by themselves (ADR 0007).
    token, names = load_dev_token(settings.data_dir), names_of(settings.advertise)
    credentials = Credentials(identity.node, token)
    link = Link(
        "consensus",
        settings.consensus,
        credentials=credentials,
        expected=validator_keys(genesis),
        cable=cable,
    )
    consensus = consensus_client(link)
    node = KeyManagerNode(
        settings.node_name,
        identity.node.public_key,
        enclave,
        description,
        consensus,
        _build_announcer(settings, identity, description, consensus),
        peers,
    )
    callers = RegisteredCallers(consensus, nodes_of_entities(genesis))
    edge = KeyManagerEdge(node)

    def load_pages() -> App:
        from services.keymanager.pages import build_pages

        return build_pages(edge, node, consensus)

    served = Service((KeyManagerApi, edge), (CableControlApi, cable), admits=callers.admits)
    server = NodeServer(
        Door(served, signer=identity.node, dev_token=token, names=names, cable=cable),
        settings.listen_host,
        settings.port,
        NodeApp(
            "keymanager",
            served,
            lambda: check_health(node),
            load_pages,
            dev_token=token,
            names=names,
            signer=identity.node,
        ),
    )
    log.warning("mock_tee", mr_enclave=description.identity.mr_enclave.hex())
    mark_serving()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        tasks.create_task(callers.keep_known())
        tasks.create_task(node.run())
        tasks.create_task(host.watch())


def _build_announcer(
    settings: Settings,
    identity: NodeIdentity,
    description: EnclaveDescription,
    consensus: ConsensusApi,
) -> Announcer:
    chain_context = sha512_256(settings.genesis.read_bytes()).hex()
    sender = TransactionSender(consensus, identity.node, chain_context)
    registrar = NodeRegistrar(
        sender,
        NodeKeys(identity.node, identity.consensus, identity.tls, identity.entity.public_key),
        chain_context,
        addresses=(settings.advertise,),
        software_version=SOFTWARE_VERSION,
    )
    served = ServedRuntime(description.runtime_id, description.version, Role.KEY_MANAGER)
    return Announcer(sender, Registrar(registrar, served))
