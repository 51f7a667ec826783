"""A gateway over fake compute nodes: in one event loop, with or without sockets."""

import asyncio
import itertools
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import httpx
import pytest

from services.gateway.api import GatewayApp
from services.gateway.app import build_app, build_node
from services.gateway.config import Settings
from services.gateway.node import GatewayNode
from services.gateway.probe import EncryptedCallProbe
from services.gateway.rpc.handshake import HandshakeProtocol
from services.gateway.rpc.posts import PostProtocol
from shared.crypto.entropy import SystemEntropy
from shared.gateways.compute_nodes import ComputeNodes
from shared.kit.http import HttpServer
from tests.support.fake_compute import (
    CHAIN_ID,
    RUNTIME_ID,
    FakeChain,
    FakeComputeNode,
)
from tests.support.fake_consensus import TRUST_ROOT, FakeConsensus
from tests.support.turns import until

FIRST_ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
FIRST_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
SECOND_ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
BALANCES = ((FIRST_ADDRESS, 10_000), (SECOND_ADDRESS, 10_000))
WAIT_S = 20
SCHEMA_NAMES = itertools.count()


def make_settings(tmp_path, **changes) -> Settings:
    settings = Settings(
        node_name="gateway",
        data_dir=tmp_path,
        runtime_id=RUNTIME_ID,
        compute=("a:1",),
        consensus="c:1",
        genesis=tmp_path / "genesis.cbor",
        chain_id=CHAIN_ID,
    )
    return replace(settings, **changes)


@dataclass
class RunningGateway:
    """A gateway with its fakes, and a client that needs no socket."""

    node: GatewayNode
    chain: FakeChain
    computes: list[FakeComputeNode]
    consensus: FakeConsensus
    client: httpx.AsyncClient
    app: Any
    ids: itertools.count = field(default_factory=lambda: itertools.count(1))

    async def rpc(self, method: str, *params: Any) -> Any:
        """Give the result; an error fails the test."""
        answer = await self.ask(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    async def error(self, method: str, *params: Any) -> dict[str, Any]:
        """Give the error; a result fails the test."""
        answer = await self.ask(method, *params)
        assert "result" not in answer, answer
        return answer["error"]

    async def ask(self, method: str, *params: Any) -> dict[str, Any]:
        id_ = next(self.ids)
        body = {"jsonrpc": "2.0", "id": id_, "method": method, "params": list(params)}
        answer = (await self.client.post("/", json=body)).json()
        assert (answer["jsonrpc"], answer["id"]) == ("2.0", id_)
        return answer

    async def until_round(self, number: int) -> None:
        await until(lambda: self.node.index.newest and self.node.index.newest.number >= number)

    async def send(self, raw: str) -> str:
        """Hand in a transaction and wait for its block; its hash."""
        number = self.chain.newest.round + 1
        hash_ = await self.rpc("eth_sendRawTransaction", raw)
        await self.until_round(number)
        return hash_

    async def mine(self) -> int:
        """Make a block and wait until the gateway has it."""
        number = self.chain.mine().header.round
        await self.until_round(number)
        return number


@asynccontextmanager
async def running_gateway(
    tmp_path, *, chain=None, consensus=None, nodes=1, probe=None, ready=True, **settings
):
    chain = chain or FakeChain(balances=BALANCES)
    chain.chain_context = TRUST_ROOT.chain_context
    computes = [FakeComputeNode(chain, f"compute-{i}") for i in range(nodes)]
    consensus = consensus or FakeConsensus(chain)
    members = ComputeNodes({f"host:{i}": one for i, one in enumerate(computes)})
    node = build_node(
        make_settings(tmp_path, **settings),
        members,
        consensus,
        TRUST_ROOT,
        probe or EncryptedCallProbe(SystemEntropy()),
    )
    app = build_app(node)
    transport = httpx.ASGITransport(app)
    async with (
        node.running(),
        httpx.AsyncClient(transport=transport, base_url="http://localhost:8545") as client,
    ):
        gateway = RunningGateway(node, chain, computes, consensus, client, app)
        if ready:
            await until(lambda: node.readiness.is_ready)
            await gateway.until_round(chain.newest.round)
        yield gateway


@asynccontextmanager
async def listening(app):
    """Serve an application on a free port of the loopback; give the port."""
    server = HttpServer(
        app,
        "127.0.0.1",
        0,
        http=partial(PostProtocol, app.admit_post) if isinstance(app, GatewayApp) else "httptools",
        ws=HandshakeProtocol,
        ws_max_size=32 * 1024 * 1024,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=1,
    )
    task = asyncio.create_task(server.serve())
    await asyncio.sleep(0)
    try:
        yield server.port
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


DATABASES = [
    "sqlite",
    pytest.param("postgres", marks=pytest.mark.postgres),
]


@asynccontextmanager
async def postgres_schema():
    """A schema of its own in the server of $QANAT_TEST_POSTGRES; give the URL."""
    from sqlalchemy import create_engine, text

    url = os.environ.get("QANAT_TEST_POSTGRES")
    if url is None:
        pytest.skip("needs a PostgreSQL server: set QANAT_TEST_POSTGRES to its SQLAlchemy URL")
    schema = f"qanat_test_{os.getpid()}_{next(SCHEMA_NAMES)}"
    admin = create_engine(url)
    with admin.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    try:
        separator = "&" if "?" in url else "?"
        yield f"{url}{separator}options=-csearch_path%3D{schema}"
    finally:
        with admin.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
        admin.dispose()
