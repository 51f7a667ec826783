"""Wiring: the only place where the parts of the gateway are made and joined."""

from services.runtime_gateway.api import build_api
from services.runtime_gateway.config import Settings
from services.runtime_gateway.node import ChainInfo, RuntimeGatewayNode
from services.runtime_gateway.rounds import Rounds
from shared.api.compute import compute_client
from shared.api.consensus import consensus_client
from shared.gateways.compute_nodes import ComputeNodes
from shared.gateways.finality import load_trust_root
from shared.kit.dialing import Credentials
from shared.kit.http import HttpServer
from shared.kit.identity import load_node_key
from shared.kit.link import Link
from shared.kit.process import mark_serving

MAX_HEAD_BYTES = 16 * 1024
MAX_CONNECTIONS = 1024
"""Requests and connections at once; more are answered 503."""


async def serve_gateway(settings: Settings) -> None:
    """Run the gateway until it is cancelled."""
    trust_root = load_trust_root(settings.genesis)
    proven = Credentials(load_node_key(settings.data_dir))
    part = settings.runtime_id.hex()
    links = [
        Link(address, address, part=part, credentials=proven, expected=trust_root.nodes)
        for address in settings.compute
    ]
    consensus = Link(
        "consensus",
        settings.consensus,
        credentials=proven,
        expected=trust_root.validator_keys,
    )
    node = RuntimeGatewayNode(
        settings.node_name,
        ChainInfo(settings.runtime_id, trust_root.chain_context, settings.confidential),
        ComputeNodes({link.address: compute_client(link) for link in links}),
        consensus_client(consensus),
        trust_root,
        Rounds(settings.recent_rounds, settings.recent_bytes),
    )
    server = HttpServer(
        build_api(node, settings.virtual_hosts, settings.cors_origins),
        settings.listen_host,
        settings.http_port,
        server_header=False,
        # h11 bounds the head of a request; httptools does not.
        http="h11",
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        limit_concurrency=MAX_CONNECTIONS,
    )
    mark_serving()
    async with node.running():
        await server.serve()
