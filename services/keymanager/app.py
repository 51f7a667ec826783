"""Wiring: the only place where the parts of the key manager's host are made and joined."""

import asyncio
import socket

import structlog

from services.keymanager.api import KeyManagerEdge, check_health
from services.keymanager.config import Settings
from services.keymanager.enclave.protocol import (
    EnclaveDescription,
    KeyManagerEnclaveApi,
    KeyManagerHostApi,
)
from services.keymanager.node import KeyManagerNode
from services.keymanager.peers import KeyManagerPeers
from services.keymanager.registry import Registry
from shared.api.consensus import ConsensusApi, consensus_client
from shared.api.keymanager import KeyManagerApi
from shared.api.registration import NodeKeys, NodeRegistrar, Registrar, ServedRuntime
from shared.api.submission import TransactionSender
from shared.crypto.hashes import sha512_256
from shared.encoding.contract import client_of
from shared.kit.channel import Channel, Link, Service, adopt_socket, serve_frames
from shared.kit.http import HttpServer, build_app
from shared.kit.identity import NodeIdentity, load_identity
from shared.kit.process import mark_serving
from shared.types.registry import Role

log = structlog.get_logger()

SOFTWARE_VERSION = "0.1.0"


class EnclaveGone(Exception):
    """The enclave's process has ended: host and enclave live and die together."""


async def serve_key_manager(settings: Settings) -> None:
    """Run the host until it is cancelled or its enclave ends."""
    identity = load_identity(settings.data_dir)
    peers = KeyManagerPeers()
    enclave_socket = socket.socket(fileno=settings.enclave_fd)
    channel = await adopt_socket(enclave_socket, "the enclave", Service((KeyManagerHostApi, peers)))
    enclave = client_of(KeyManagerEnclaveApi, channel)
    description = await enclave.describe()
    consensus = consensus_client(Link("consensus", settings.consensus))
    node = KeyManagerNode(
        settings.node_name,
        identity.node.public_key,
        enclave,
        description,
        consensus,
        _build_registry(settings, identity, description, consensus),
        peers,
    )
    http = HttpServer(
        build_app(lambda: check_health(node)), settings.listen_host, settings.http_port
    )
    frames = await serve_frames(
        Service((KeyManagerApi, KeyManagerEdge(node))), settings.listen_host, settings.frame_port
    )
    log.warning("mock_tee", mr_enclave=description.identity.mr_enclave.hex())
    mark_serving()
    async with frames, asyncio.TaskGroup() as tasks:
        tasks.create_task(http.serve())
        tasks.create_task(node.run())
        tasks.create_task(_until_closed(channel))


def _build_registry(
    settings: Settings,
    identity: NodeIdentity,
    description: EnclaveDescription,
    consensus: ConsensusApi,
) -> Registry:
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
    return Registry(sender, Registrar(registrar, served))


async def _until_closed(channel: Channel) -> None:
    await channel.closed.wait()
    raise EnclaveGone("the enclave's process has ended")
