"""Wiring: the only place where the parts of a worker's host are made and joined."""

import asyncio
import json

import structlog

from services.worker.api import WorkerEdge, check_health
from services.worker.config import Settings
from services.worker.gateway import Gateway
from services.worker.host_edge import HostEdge
from services.worker.launching import Launching
from services.worker.node import WorkerNode
from services.worker.registering import Registering
from services.worker.rules.keys import fee_key
from services.worker.store import DeploymentStore
from shared.api.consensus import consensus_client
from shared.api.control import CableControlApi
from shared.api.registration import NodeKeys, NodeRegistrar
from shared.api.submission import TransactionSender
from shared.api.worker import WorkerApi
from shared.crypto.hashes import sha512_256
from shared.encoding.record import decode_record
from shared.kit.cable import Cable
from shared.kit.dev_controls import load_dev_token, names_of
from shared.kit.dialing import Credentials
from shared.kit.front import Door
from shared.kit.identity import IDENTITY_FILE, known_keys, load_identity, validator_keys
from shared.kit.link import Link
from shared.kit.node_app import NodeApp
from shared.kit.process import mark_serving
from shared.kit.server import NodeServer
from shared.kit.service import Service
from shared.types.genesis import Genesis
from shared.types.registry import NodeRuntime, Version

log = structlog.get_logger()

SOFTWARE_VERSION = "0.1.0"
VERSION = Version(0, 1, 0)
APPS = "apps"
"""Folder of what is deployed."""


async def serve_worker(settings: Settings) -> None:
    """Run the host until it is cancelled."""
    identity = load_identity(settings.data_dir)
    raw_genesis = settings.genesis.read_bytes()
    genesis, chain_context = decode_record(Genesis, raw_genesis), sha512_256(raw_genesis).hex()
    cable = Cable()
    link = Link(
        "consensus",
        settings.consensus,
        credentials=Credentials(identity.node),
        expected=validator_keys(genesis),
        cable=cable,
    )
    consensus = consensus_client(link)
    registrar = NodeRegistrar(
        TransactionSender(consensus, identity.node, chain_context),
        NodeKeys(identity.node, identity.consensus, identity.tls, identity.entity.public_key),
        chain_context,
        addresses=(settings.advertise,),
        software_version=SOFTWARE_VERSION,
    )
    async with Gateway(settings.gateway) as gateway:
        node = WorkerNode(
            settings.node_name,
            identity.node.public_key,
            NodeRuntime(settings.runtime_id, VERSION),
            consensus,
            registrar,
            Registering(
                identity.node,
                fee_key(_node_seed(settings)),
                consensus,
                gateway,
                runtime_id=settings.runtime_id,
                chain_context=chain_context,
            ),
            Launching(settings.instances_fd),
            DeploymentStore(settings.data_dir / APPS),
            HostEdge(gateway),
            appd_ports=settings.appd_ports,
        )
        token, names = load_dev_token(settings.data_dir), names_of(settings.advertise)
        edges: list[tuple[type, object]] = [(WorkerApi, WorkerEdge(node))]
        if genesis.dev_control_key is not None:
            # Elsewhere the token is for deploying alone.
            edges.append((CableControlApi, cable))
        served = Service(*edges, knows=known_keys(genesis).__contains__)
        server = NodeServer(
            Door(served, signer=identity.node, dev_token=token, names=names, cable=cable),
            settings.listen_host,
            settings.port,
            NodeApp(
                "worker",
                served,
                lambda: check_health(node),
                dev_token=token,
                names=names,
                signer=identity.node,
            ),
        )
        log.warning("mock_tee", reason="enclaves of apps here are a MOCK: no hardware protects")
        mark_serving()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve())
            tasks.create_task(node.run())


def _node_seed(settings: Settings) -> bytes:
    # Signers do not show their seeds, and the account of fees follows from this one.
    path = settings.data_dir / IDENTITY_FILE
    return bytes.fromhex(json.loads(path.read_text())["node_seed"])
