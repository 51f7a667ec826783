"""Wiring of a gateway over an imported chain: its own node, methods and server, and no network."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.gateway.api import GatewayApp
from services.gateway.app import open_servers
from services.gateway.config import ETHEREUM, Settings
from services.gateway.imported.chain import ImportedChain, NotOfImported
from services.gateway.node import GatewayNode
from services.gateway.probe import PlainCallProbe
from services.gateway.rpc.endpoint import JsonRpcEndpoint
from services.gateway.rpc.ethereum_profile import build_ethereum_table
from services.gateway.store import BlockStore
from shared.api.consensus import consensus_client
from shared.gateways.compute_nodes import ComputeNodes
from shared.gateways.finality import TrustRoot
from shared.kit.node_app import App


class NoNetwork:
    """Where the consensus of a network would be."""

    async def call(self, method: str, body: bytes) -> bytes:  # noqa: ARG002
        """Refuse."""
        raise NotOfImported(f"{method}: an imported chain has no network")

    def stream(self, method: str, body: bytes) -> AsyncIterator[bytes]:  # noqa: ARG002
        """Refuse."""
        raise NotOfImported(f"{method}: an imported chain has no network")


def build_imported(chain: ImportedChain, settings: Settings) -> tuple[GatewayNode, GatewayApp]:
    """Make a node that holds the whole chain in memory, and the application that serves it."""
    node = GatewayNode(
        settings,
        BlockStore(settings.index_url(), settings.runtime_id),
        ComputeNodes({settings.compute[0]: chain}),
        consensus_client(NoNetwork()),
        TrustRoot(
            "imported",
            settings.runtime_id.hex(),
            (),
            has_dev_controls=False,
            charges_for_size=False,
        ),
        PlainCallProbe(),
    )
    for block in chain.blocks:
        node.index.append(block)
    (member,) = node.nodes.members
    member.round = chain.newest
    table = build_ethereum_table(node, chain)

    def load_pages() -> App:
        from services.gateway.pages import build_pages

        return build_pages(node, tuple(sorted(table)))

    return node, GatewayApp(node, JsonRpcEndpoint(node, {ETHEREUM: table}), load_pages)


def settings_of(
    chain: ImportedChain, data_dir: Path, *, host: str = "127.0.0.1", port: int = 8545
) -> Settings:
    """Settings of a gateway that shows it: all from memory, on one port."""
    return Settings(
        node_name="imported",
        data_dir=data_dir,
        runtime_id=chain.runtime_id,
        compute=("imported",),
        consensus="none",
        genesis=data_dir / "genesis.cbor",
        chain_id=chain.chain_id,
        confidential=False,
        listen_host=host,
        http_port=port,
        ws_port=port,
        database_url="sqlite://",
        profile=ETHEREUM,
        oasis_rpcs=False,
        logs_max_rounds=chain.newest + 1,
    )


@asynccontextmanager
async def running(node: GatewayNode) -> AsyncIterator[None]:
    """Probe the chain as a network's nodes are, for as long as the context is open."""
    (member,) = node.nodes.members
    member.status = await member.api.fetch_status()
    watch = asyncio.create_task(node.readiness.watch())
    try:
        yield
    finally:
        watch.cancel()


async def serve_imported(chain: ImportedChain, data_dir: Path, *, host: str, port: int) -> None:
    """Serve a chain until cancelled; nothing is written to the data directory."""
    settings = settings_of(chain, data_dir, host=host, port=port)
    node, app = build_imported(chain, settings)
    (server,) = open_servers(app, settings)
    async with running(node):
        await server.serve()
