"""A gateway of a running network whose compute node lies to it about results."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account import Account

from qanat.network import load_network
from shared.api.compute import ComputeApi, compute_client
from shared.crypto.signing import Signer
from shared.encoding import cbor
from shared.kit.identity import load_identity
from shared.kit.link import Link
from shared.kit.server import serve_frames
from shared.kit.service import Service
from shared.types.block import RoundBlock
from tests.support.networks import ROOT, ProcessNetwork, wait_for

ACCOUNT = Account.from_key("0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a")


class Liar:
    """Hands on what a true node says, but says of every transaction that it failed."""

    def __init__(self, true_node: ComputeApi) -> None:
        self._true_node = true_node

    def __getattr__(self, name: str) -> Any:
        return getattr(self._true_node, name)

    async def watch_rounds(self, from_round: Any) -> AsyncIterator[RoundBlock]:
        async for block in self._true_node.watch_rounds(from_round):
            yield forged(block)

    async def fetch_round(self, round: Any) -> RoundBlock | None:  # noqa: A002
        block = await self._true_node.fetch_round(round)
        return None if block is None else forged(block)


def forged(block: RoundBlock) -> RoundBlock:
    records: list[Any] = [cbor.decode_loosely(raw) for raw in block.results]
    return replace(block, results=tuple(cbor.encode(one | {"status": 0}) for one in records))


def address_of(network: ProcessNetwork, name: str) -> str:
    return f"127.0.0.1:{network.process(name)['ports'][0]}"


@contextmanager
def lying_node(true_address: str, runtime_id: str, key: Signer) -> Iterator[str]:
    """Serve a liar in a thread, with the key of a node of the network; give its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    link = Link("a true node", true_address, part=runtime_id)

    async def start() -> Any:
        service = Service(parts={runtime_id: Service((ComputeApi, Liar(compute_client(link))))})
        return await serve_frames(service, "127.0.0.1", 0, signer=key)

    async def stop(server: Any) -> None:
        link.close()
        await server.close()

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        asyncio.run_coroutine_threadsafe(stop(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def gateway_over(
    network: ProcessNetwork, data: Path, computes: list[str], runtime_id: str
) -> Iterator[httpx.Client]:
    """Run a gateway of its own over compute nodes of our choice."""
    port = free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "QANAT_UNSAFE_MOCK_TEE": "1",
        "QANAT_NODE_NAME": "another-gateway",
        "QANAT_DATA_DIR": str(data),
        "QANAT_GENESIS": str(network.data / "public" / "genesis.cbor"),
        "QANAT_RUNTIME_ID": runtime_id,
        "QANAT_COMPUTE": ",".join(computes),
        "QANAT_CONSENSUS": address_of(network, "consensus-0"),
        "QANAT_HTTP_PORT": str(port),
        "QANAT_WS_PORT": str(free_port()),
    }
    log = (data.parent / f"{data.name}.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "services.gateway"], cwd=ROOT, env=environ, stdout=log, stderr=log
    )
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
    try:
        wait_for(lambda: client.get("/status").status_code == 200, 60, "the gateway listens")
        yield client
    finally:
        client.close()
        process.kill()
        process.wait()
        log.close()


def rpc(client: httpx.Client, method: str, *params: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    return client.post("/", json=body).json().get("result")


def send(network: ProcessNetwork) -> str:
    raw = ACCOUNT.sign_transaction(
        {
            "to": "0x" + "11" * 20,
            "value": 1,
            "gas": 40_000,
            "gasPrice": 100 * 10**9,
            "nonce": int(network.rpc("eth_getTransactionCount", ACCOUNT.address, "pending"), 16),
            "chainId": 0x5AFD,
        }
    ).raw_transaction
    hash_: str = network.rpc("eth_sendRawTransaction", "0x" + bytes(raw).hex())
    return hash_


@pytest.mark.parametrize("network", ["processes"], indirect=True)
def test_lying_node_does_not_reach_a_receipt(network: ProcessNetwork, tmp_path: Path) -> None:
    runtime_id = load_network(network.network_file).paratime[0].id
    true_address = address_of(network, "compute-0")
    key = load_identity(network.data / "compute-1" / "host").node
    before = send(network)
    with (
        lying_node(true_address, runtime_id, key) as liar,
        gateway_over(network, tmp_path / "alone", [liar], runtime_id) as alone,
        gateway_over(network, tmp_path / "both", [liar, true_address], runtime_id) as both,
    ):
        hashes = [before, *(send(network) for _ in range(3))]
        for hash_ in hashes:
            wait_for(
                lambda h=hash_: rpc(both, "eth_getTransactionReceipt", h) is not None,
                60,
                "the true node's receipt is shown",
            )
            true = network.rpc("eth_getTransactionReceipt", hash_)
            assert true["status"] == "0x1"
            assert rpc(both, "eth_getTransactionReceipt", hash_) == true
        # Who hears of the chain from a liar alone is told nothing rather than lies.
        for hash_ in hashes:
            assert rpc(alone, "eth_getTransactionReceipt", hash_) is None
    assert "compute_node_lies" in (tmp_path / "alone.log").read_text()
