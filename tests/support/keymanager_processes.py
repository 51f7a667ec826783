"""A real consensus with two real key managers: processes, sockets, files."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

from qanat import cpu
from qanat.cpu.platform_server import PlatformServer
from qanat.launcher.environment import RunOptions
from qanat.launcher.node import NodeSupervisor
from qanat.layout import DataLayout
from qanat.network import Network, load_network, plan_nodes
from qanat.provision.data_directory import provision
from shared.api.consensus import ConsensusApi, consensus_client
from shared.api.keymanager import KeyManagerApi, KeyManagerNodeStatus, key_manager_client
from shared.crypto.entropy import SystemEntropy
from shared.crypto.hashes import sha256
from shared.crypto.signing import Signer
from shared.encoding.record import decode_record
from shared.errors import QanatError
from shared.kit.dev_controls import load_dev_token
from shared.kit.dialing import Credentials
from shared.kit.identity import load_identity
from shared.kit.link import Link
from shared.tee.attestation import bind_rak
from shared.tee.session_evidence import PeerPolicy, SessionIdentity
from shared.tee.session_peers import SessionClient
from shared.types.genesis import Genesis
from shared.types.key_requests import decode_key_answer, encode_key_request
from tests.support.turns import until_seen

NETWORK_FILE = Path(__file__).parents[2] / "networks" / "default.toml"
NAMES = ("keymanager-0", "keymanager-1")


class KeyManagerNetwork:
    """Nodes of the default network without compute nodes and gateway."""

    def __init__(self, root: Path, port_base: int, network_file: Path = NETWORK_FILE) -> None:
        self.network: Network = load_network(network_file)
        self.layout = DataLayout(root)
        provision(self.layout, self.network, {})
        self.layout.logs.mkdir(exist_ok=True)
        self.plans = plan_nodes(self.network, port_base)
        self.genesis = decode_record(Genesis, self.layout.genesis.read_bytes())
        self.paratime_id = bytes.fromhex(self.network.find_paratime("sapphire").id)
        self.key_manager_id = bytes.fromhex(self.network.find_key_manager("keymanager").id)
        self.supervisors: dict[str, NodeSupervisor] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        addresses = {plan.name: plan.address for plan in self.plans}
        compute = Credentials(load_identity(self.layout.host("compute-0")).node)
        developer = Credentials(dev_token=load_dev_token(root))
        self._links = {
            name: Link(name, addresses[name], credentials=compute if name in NAMES else developer)
            for name in ("consensus-0", *NAMES)
        }
        self.consensus: ConsensusApi = consensus_client(self._links["consensus-0"])
        self.nodes: dict[str, KeyManagerApi] = {
            name: key_manager_client(self._links[name]) for name in NAMES
        }

    def start(self, *names: str) -> None:
        for name in names:
            (plan,) = (plan for plan in self.plans if plan.name == name)
            supervisor = NodeSupervisor(
                self.network, self.plans, plan, self.layout, RunOptions(), lambda: None
            )
            self.supervisors[name] = supervisor
            self._tasks[name] = asyncio.create_task(supervisor.run())

    async def stop(self, *names: str) -> None:
        tasks = [self._tasks.pop(name) for name in names]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        await self.stop(*self._tasks)
        for link in self._links.values():
            link.close()

    async def kill(self, *names: str) -> None:
        """`kill -9` of hosts and enclaves, seen by the supervisor, which starts them again."""
        killed = [self.supervisors[name] for name in names]
        before = [_restarts(node) for node in killed]
        for node in killed:
            for record in node.records():
                if record.pid is not None:
                    os.kill(record.pid, signal.SIGKILL)
        for node, restarts in zip(killed, before, strict=True):
            await until_seen(lambda node=node, restarts=restarts: _restarts(node) > restarts)

    async def until_ready(self, *names: str, epoch: int = 0) -> None:
        await self.until(lambda status: status.is_ready and status.epoch >= epoch, *names)

    async def until(
        self,
        condition: Callable[[KeyManagerNodeStatus], bool],
        *names: str,
        seconds: float = 20.0,
    ) -> None:
        """Wait until a condition holds of every node, or of those that are named."""
        seen: dict[str, object] = {}
        try:
            async with asyncio.timeout(seconds):
                for name in names or NAMES:
                    while not await self._holds(name, condition, seen):
                        await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"not reached: {seen}\n{self.logs()}") from None

    async def _holds(
        self,
        name: str,
        condition: Callable[[KeyManagerNodeStatus], bool],
        seen: dict[str, object],
    ) -> bool:
        try:
            seen[name] = status = await self.nodes[name].fetch_status()
        except QanatError as error:
            seen[name] = error.message
            return False
        return condition(status)

    def logs(self) -> str:
        return "\n".join(
            f"-- {path.name}\n{path.read_text()[-3000:]}"
            for path in sorted(self.layout.logs.glob("*.log"))
        )

    def events(self, name: str) -> list[str]:
        lines = self.layout.log_of(name, "host").read_text().splitlines()
        return [json.loads(line)["event"] for line in lines if line.startswith("{")]

    def ask_as_compute(self, name: str, paratime: str = "sapphire") -> "ComputeAsker":
        return ComputeAsker(self, name, paratime)


def _restarts(node: NodeSupervisor) -> int:
    return node.records()[0].restarts


class ComputeAsker:
    """A session from a measured compute enclave of `compute-0`, held by the test."""

    def __init__(self, network: KeyManagerNetwork, name: str, paratime: str) -> None:
        config = network.layout.enclave_config("compute-0", paratime).read_bytes()
        platform = cpu.PlatformFile.from_bytes(network.layout.platform("compute-0").read_bytes())
        server = PlatformServer(platform, cpu.measure_enclave("compute", config), config)
        rak = Signer.generate(SystemEntropy(), "rak")
        identity = SessionIdentity(rak, server.quote(bind_rak(rak.public_key) + bytes(32)))
        key_manager = next(r for r in network.genesis.runtimes if r.id == network.key_manager_id)
        tee = key_manager.deployments[0].tee
        self._loop = asyncio.get_running_loop()
        self._node = network.nodes[name]
        self._client = SessionClient(
            self._relay,
            lambda: identity,
            lambda: PeerPolicy(
                sha256(network.genesis.registry.tee_root_ca),
                tee.policy,
                network.genesis.time_ns // 1_000_000_000,
                tee.enclaves,
            ),
            SystemEntropy(),
        )

    def _relay(self, session_id: bytes, message: bytes) -> bytes:
        answer = self._node.call_session(session_id, message)
        return asyncio.run_coroutine_threadsafe(answer, self._loop).result(5)

    async def ask(self, method: str, **arguments):
        question = encode_key_request(method, **arguments)
        answer = await asyncio.to_thread(self._client.ask, question)
        return decode_key_answer(method, answer)
