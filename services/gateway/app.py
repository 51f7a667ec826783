"""Wiring: the only place where the parts of the gateway are made and joined."""

import asyncio
from functools import partial

from services.gateway.api import GatewayApp
from services.gateway.config import STRICT, Settings
from services.gateway.node import GatewayConsensus, GatewayNode
from services.gateway.readiness import Probe
from services.gateway.rpc.endpoint import JsonRpcEndpoint
from services.gateway.rpc.handshake import HandshakeProtocol
from services.gateway.rpc.posts import PostProtocol
from services.gateway.rpc.table import build_method_tables
from services.gateway.rpc.websocket import MAX_MESSAGE_BYTES
from services.gateway.store import BlockStore
from shared.api.compute import compute_client
from shared.api.consensus import consensus_client
from shared.crypto.entropy import Entropy, SeededEntropy, SystemEntropy
from shared.gateways.compute_nodes import ComputeNodes
from shared.gateways.finality import TrustRoot, load_trust_root
from shared.kit.dev_controls import load_dev_token
from shared.kit.dialing import Credentials
from shared.kit.http import HttpServer
from shared.kit.identity import load_node_key
from shared.kit.link import Link
from shared.kit.node_app import App
from shared.kit.process import mark_serving


def build_node(
    settings: Settings,
    nodes: ComputeNodes,
    consensus: GatewayConsensus,
    trust_root: TrustRoot,
    probe: Probe,
) -> GatewayNode:
    """Make the node over its database."""
    store = BlockStore(settings.index_url(), settings.runtime_id)
    return GatewayNode(settings, store, nodes, consensus, trust_root, probe)


def build_app(node: GatewayNode) -> GatewayApp:
    """Make the application that serves both ports."""
    tables = build_method_tables(node)

    def load_pages() -> App:
        from services.gateway.pages import build_pages

        return build_pages(node, tuple(sorted(tables[STRICT])))

    return GatewayApp(node, JsonRpcEndpoint(node, tables), load_pages)


async def serve_gateway(settings: Settings) -> None:
    """Run the gateway against the real network until it is cancelled."""
    from services.gateway.probe import EncryptedCallProbe, PlainCallProbe

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    part, node_key = settings.runtime_id.hex(), load_node_key(settings.data_dir)
    # For dev controls of nodes; who may use those is the endpoint's to judge.
    dev_token = load_dev_token(settings.data_dir)
    trust_root = load_trust_root(settings.genesis, evm=settings.runtime_id)
    proven = Credentials(node_key, dev_token)
    links = [
        Link(address, address, part=part, credentials=proven, expected=trust_root.nodes)
        for address in settings.compute
    ]
    nodes = ComputeNodes({link.address: compute_client(link) for link in links})
    link = Link(
        "consensus",
        settings.consensus,
        credentials=proven,
        expected=trust_root.validator_keys,
    )
    consensus = consensus_client(link)
    probe = EncryptedCallProbe(_entropy(settings)) if settings.confidential else PlainCallProbe()
    node = build_node(settings, nodes, consensus, trust_root, probe)
    servers = open_servers(build_app(node), settings)
    mark_serving()
    async with node.running():
        await asyncio.gather(*(server.serve() for server in servers))


def open_servers(app: GatewayApp, settings: Settings) -> list[HttpServer]:
    """Open the ports of an application, or raise `PortTaken`."""
    return [
        HttpServer(
            app,
            settings.listen_host,
            port,
            http=partial(PostProtocol, app.admit_post),
            ws=HandshakeProtocol,
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=120,
        )
        for port in dict.fromkeys((settings.http_port, settings.ws_port))
    ]


def _entropy(settings: Settings) -> Entropy:
    return SeededEntropy(settings.seed) if settings.seed else SystemEntropy()
