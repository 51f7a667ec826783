"""The gateway as a process of its own, over frames: start, kill -9, resume, bad starts."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager

import httpx
import pytest

from shared.api.compute import ComputeApi
from shared.api.consensus import ConsensusApi
from shared.encoding.record import encode_record
from shared.kit.server import serve_frames
from shared.kit.service import Service
from tests.support.fake_compute import RUNTIME_ID, FakeChain, FakeComputeNode
from tests.support.fake_consensus import GENESIS, SIGNER, FakeConsensus
from tests.support.gateway import BALANCES, DATABASES, WAIT_S, postgres_schema
from tests.support.networks import ROOT
from tests.support.signing import sign

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class Network:
    """Frames of fake compute nodes and consensus, and what a gateway needs to find them."""

    def __init__(self, tmp_path, ports, chain):
        genesis = tmp_path / "genesis.cbor"
        genesis.write_bytes(encode_record(GENESIS))
        self.chain, self.http_port, self.ws_port = chain, free_port(), free_port()
        self.environ = {
            "PATH": os.environ["PATH"],
            "QANAT_NODE_NAME": "gateway",
            "QANAT_DATA_DIR": str(tmp_path / "gateway"),
            "QANAT_UNSAFE_MOCK_TEE": "1",
            "QANAT_RUNTIME_ID": RUNTIME_ID.hex(),
            "QANAT_COMPUTE": ",".join(f"127.0.0.1:{port}" for port in ports[:-1]),
            "QANAT_CONSENSUS": f"127.0.0.1:{ports[-1]}",
            "QANAT_GENESIS": str(genesis),
            "QANAT_HTTP_PORT": str(self.http_port),
            "QANAT_WS_PORT": str(self.ws_port),
        }
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.http_port}")

    @asynccontextmanager
    async def gateway(self, **changes):
        process = await start(self.environ | changes)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def until_ready(self) -> None:
        async with asyncio.timeout(WAIT_S):
            while not await self._is_ready():
                await asyncio.sleep(0.02)

    async def _is_ready(self) -> bool:
        try:
            return (await self.client.get("/health")).status_code == 200
        except httpx.TransportError:
            return False

    async def rpc(self, method, *params):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return (await self.client.post("/", json=body)).json()["result"]

    async def receipt(self, hash_):
        async with asyncio.timeout(WAIT_S):
            while True:
                found = await self.rpc("eth_getTransactionReceipt", hash_)
                if found is not None:
                    return found
                await asyncio.sleep(0.005)


async def start(environ) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.gateway",
        cwd=ROOT,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


@pytest.fixture
async def network(tmp_path):
    chain = FakeChain(balances=BALANCES)
    nodes = [Service((ComputeApi, FakeComputeNode(chain, f"compute-{i}"))) for i in range(2)]
    services = [Service(parts={RUNTIME_ID.hex(): node}) for node in nodes]
    services.append(Service((ConsensusApi, FakeConsensus(chain))))
    servers = [await serve_frames(service, "127.0.0.1", 0, signer=SIGNER) for service in services]
    network = Network(tmp_path, [server.port for server in servers], chain)
    yield network
    await network.client.aclose()
    for server in servers:
        await server.close()


@pytest.fixture(params=DATABASES)
async def database(request):
    if request.param == "sqlite":
        yield {}
    else:
        async with postgres_schema() as url:
            yield {"QANAT_DATABASE_URL": url}


@pytest.mark.long
async def test_killed_gateway_resumes_with_nothing_lost(network, database):
    hashes = []
    for _ in range(3):
        async with network.gateway(**database) as process:
            await network.until_ready()
            for _ in range(5):
                raw = sign(len(hashes))
                hashes.append(await network.rpc("eth_sendRawTransaction", raw))
                receipt = await network.receipt(hashes[-1])
                assert receipt["status"] == "0x1"
            process.send_signal(signal.SIGKILL)
            await process.wait()
        network.chain.mine()
    async with network.gateway(**database):
        await network.until_ready()
        for hash_ in hashes:
            assert (await network.rpc("eth_getTransactionReceipt", hash_))["status"] == "0x1"
        newest = int(await network.rpc("eth_blockNumber"), 16)
        assert newest == network.chain.newest.round
        for number in range(newest + 1):
            shown = await network.rpc("eth_getBlockByNumber", hex(number), False)
            assert shown["hash"] == "0x" + network.chain.blocks[number].header.hash().hex()


async def test_both_ports_speak_websocket_and_http(network):
    from websockets.asyncio.client import connect

    async with network.gateway():
        await network.until_ready()
        for port in (network.http_port, network.ws_port):
            async with connect(f"ws://127.0.0.1:{port}") as client:
                await client.send('{"id":1,"method":"eth_chainId"}')
                assert "0x5afd" in await client.recv()


async def test_signal_stops_it_cleanly(network):
    async with network.gateway() as process:
        await network.until_ready()
        process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
        assert process.returncode == 0
        assert b"process_stopped" in output
        assert b"Traceback" not in output


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"QANAT_UNSAFE_MOCK_TEE": "0"}, b"MOCK"),
        ({"QANAT_RUNTIME_ID": "00"}, b"RUNTIME_ID must be 32 bytes"),
        ({"QANAT_DATABASE_URL": "mystery://"}, b"not a database URL"),
        ({"QANAT_GENESIS": "/dev/null"}, b"is not a genesis document"),
        ({"QANAT_GENESIS": "/nowhere"}, b"is not a genesis document"),
    ],
)
async def test_bad_start_says_why(network, changes, reason):
    async with network.gateway(**changes) as process:
        output, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
        assert process.returncode == 2
        assert reason in output
        assert b"Traceback" not in output


async def test_taken_port_is_named(network):
    with socket.create_server(("127.0.0.1", network.http_port)):
        async with network.gateway() as process:
            output, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
            assert process.returncode == 2
            assert b"process_failed" in output
