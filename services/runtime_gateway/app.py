"""Wiring: the only place where the parts of the gateway are made and joined."""

from services.runtime_gateway.api import build_api
from services.runtime_gateway.config import Settings
from services.runtime_gateway.node import RuntimeGatewayNode
from services.runtime_gateway.rounds import Rounds
from shared.api.compute import compute_client
from shared.api.consensus import consensus_client
from shared.kit.channel import Link
from shared.kit.http import HttpServer
from shared.kit.process import mark_serving


async def serve_gateway(settings: Settings) -> None:
    """Run the gateway until it is cancelled."""
    part = settings.runtime_id.hex()
    links = {address: Link(address, address, part=part) for address in settings.compute}
    node = RuntimeGatewayNode(
        settings.runtime_id,
        {address: compute_client(link) for address, link in links.items()},
        consensus_client(Link("consensus", settings.consensus)),
        Rounds(settings.recent_rounds, settings.recent_bytes),
        confidential=settings.confidential,
    )
    server = HttpServer(
        build_api(node), settings.listen_host, settings.http_port, server_header=False
    )
    mark_serving()
    async with node.running():
        await server.serve()
