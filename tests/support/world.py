"""
A whole network in one process: real consensus, key managers and compute nodes, on virtual time.

Nothing is skipped: the genesis is all that they have in common, nodes register with quotes that the
real verifier judges, secrets travel encrypted through consensus, every vote is signed by node and
enclave. What is not real: enclaves are objects and not processes, and messages cross a codec and
not a socket.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from services.compute.app import serve
from services.compute.assembly import build_host, read_network
from services.compute.assembly import build_node as build_compute_node
from services.compute.enclave.dispatcher import ComputeProgram
from services.compute.enclave.protocol import CONCURRENT, ComputeEnclaveApi, ComputeHostApi
from services.compute.node import ComputeNode
from services.compute.peers import KeyManagers
from services.compute.store import Store as ComputeStore
from services.consensus.app import build_node as build_consensus_node
from services.consensus.app import build_service
from services.consensus.node import ConsensusNode
from services.consensus.store import Store as ConsensusStore
from services.keymanager.announcer import Announcer
from services.keymanager.api import KeyManagerEdge
from services.keymanager.enclave.program import KeyManagerProgram
from services.keymanager.enclave.protocol import KeyManagerEnclaveApi, KeyManagerHostApi
from services.keymanager.node import KeyManagerNode
from services.keymanager.peers import KeyManagerPeers
from shared.api.compute import ComputeApi, compute_client
from shared.api.consensus import ConsensusApi, consensus_client
from shared.api.keymanager import KeyManagerApi
from shared.api.registration import NodeKeys, NodeRegistrar, Registrar, ServedRuntime
from shared.api.submission import TransactionSender
from shared.crypto.address import staking_address
from shared.crypto.entropy import SeededEntropy
from shared.crypto.hashes import sha256
from shared.crypto.signing import Signer
from shared.encoding.contract import client_of, find_method, serve_call, serve_call_now
from shared.encoding.record import encode_record
from shared.errors import PeerUnavailable, QanatError
from shared.kit.identity import NodeIdentity
from shared.kit.service import Service
from shared.tee.config import EnclaveConfig
from shared.tee.runtime import EnclaveContext
from shared.types.evm import EvmGenesis
from shared.types.genesis import (
    BeaconParameters,
    ConsensusParameters,
    Genesis,
    GenesisAccount,
    GenesisValidator,
    RegistryParameters,
    StakingParameters,
)
from shared.types.keymanager import EnclavePolicy
from shared.types.registry import (
    Deployment,
    Entity,
    Role,
    RuntimeDescriptor,
    RuntimeKind,
    Version,
)
from tests.support import mock_tee
from tests.support.keymanager import (
    COMPUTE,
    KEY_MANAGER,
    KEY_MANAGER_ID,
    PARATIME_ID,
    SIGNER_KEYS,
    MemoryFiles,
    make_policy,
    sign_policy,
)
from tests.support.virtual_time import LoopClock, VirtualLoop

CHAIN_ID = "qanat-world"
EVM_CHAIN_ID = 0x5AFD
VERSION = Version(0, 1, 0)
BASE_EPOCH = 2
START_NS = mock_tee.NOW_S * 1_000_000_000
STAKE, FUNDS = 10**12, 10**15
SLASHING = {"runtime-incorrect-results": 10**10, "runtime-equivocation": 10**10}
CONSENSUS = "consensus-0"


def identity_of(name: str) -> NodeIdentity:
    uses = ("node", "consensus", "tls", "entity", "dev control")
    return NodeIdentity(*(Signer(sha256(f"{name} {use}".encode())) for use in uses))


def address_of(name: str) -> str:
    return f"{name}:1"


# -- messages ------------------------------------------------------------------------------------


class Wire:
    """A connection between two nodes: whatever crosses it does so as bytes."""

    def __init__(self, world: "World", source: str, address: str) -> None:
        self._world, self._source, self._address = world, source, address

    def _service(self) -> Service:
        target = self._address.partition(":")[0]
        service = self._world.services.get(self._address)
        if service is None or {self._source, target} & self._world.cut_off:
            raise PeerUnavailable(f"nobody answers at {self._address}")
        return service

    async def call(self, method, body):
        await asyncio.sleep(0)
        contract, implementation = self._service().find(method)
        return await serve_call(contract, implementation, method, body)

    def notify(self, method, body):
        self._world.spawn(self._forgiving(method, body))

    async def _forgiving(self, method, body):
        with contextlib.suppress(QanatError):
            await self.call(method, body)

    async def stream(self, method, body):
        contract, implementation = self._service().find(method)
        found = find_method(contract, method)
        async for item in getattr(implementation, method)(**found.decode_arguments(body)):
            yield found.encode_result(item)


class EnclaveSocket:
    """The socket between a host and its enclave: messages in order, some side by side."""

    def __init__(self, contract: type, program, concurrent: frozenset[str] = frozenset()) -> None:
        self._contract, self.program, self._concurrent = contract, program, concurrent
        self._in_order = asyncio.Lock()
        self._working: set[asyncio.Future] = set()
        self.is_gone = False

    async def call(self, method, body):
        if self.is_gone:
            raise PeerUnavailable("the enclave is gone")
        if method in self._concurrent:
            return await self._work(method, body)
        async with self._in_order:
            return await self._work(method, body)

    async def _work(self, method, body):
        """Serve in a thread, which goes on where nobody waits for it any more."""
        work = asyncio.ensure_future(asyncio.to_thread(self._serve, method, body))
        self._working.add(work)
        work.add_done_callback(self._working.discard)
        return await asyncio.shield(work)

    async def settle(self) -> None:
        """Wait for what threads still do."""
        await asyncio.gather(*self._working, return_exceptions=True)

    def _serve(self, method, body):
        return serve_call_now(self._contract, self.program, method, body)

    def stream(self, method, body):
        raise NotImplementedError


class HostSocket:
    """The same socket from within: what an enclave asks its host. Fulfils `SyncTransport`."""

    def __init__(self, contract: type, host, loop: VirtualLoop) -> None:
        self._contract, self._host, self._loop = contract, host, loop

    def call(self, method, body):
        call = serve_call(self._contract, self._host, method, body)
        answer = asyncio.run_coroutine_threadsafe(call, self._loop)
        with self._loop.waiting():
            return answer.result()


# -- the network ---------------------------------------------------------------------------------


class World:
    """Starts, cuts off, kills and restarts the nodes of a network. Make it in a virtual loop."""

    def __init__(
        self,
        *,
        key_managers: int = 2,
        compute: int = 4,
        balances: tuple[tuple[bytes, int], ...] = (),
        epoch_s: int = 600,
        confidential: bool = True,
    ) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop), "run it by `run_virtual`"
        self.loop = loop
        self.clock = LoopClock(loop, START_NS)
        self.key_managers = tuple(f"keymanager-{n}" for n in range(key_managers))
        self.compute = tuple(f"compute-{n}" for n in range(compute))
        self.genesis = self._make_genesis(balances, epoch_s, confidential=confidential)
        self.document = encode_record(self.genesis)
        self.services: dict[str, Service] = {}
        self.cut_off: set[str] = set()
        self.nodes: dict[str, ComputeNode | KeyManagerNode] = {}
        self.sockets: dict[str, EnclaveSocket] = {}
        self._files: dict[str, MemoryFiles] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._spawned: set[asyncio.Task[None]] = set()
        self._starts = 0
        control = identity_of(CONSENSUS).dev_control
        self.store = ConsensusStore()
        self.consensus: ConsensusNode = build_consensus_node(
            self.document, self.store, identity_of(CONSENSUS).consensus, self.clock
        )
        service = build_service(self.consensus, self.document, control)
        self.services[address_of(CONSENSUS)] = Service((ConsensusApi, service))
        self.client = self.ask_consensus("a test")

    async def start(self) -> None:
        """Start every node; wait until the network is ready."""
        self._tasks[CONSENSUS] = asyncio.create_task(self.consensus.run())
        for name in (*self.key_managers, *self.compute):
            await self.start_node(name)
        await self.until(self.is_ready)

    def is_ready(self) -> bool:
        """Say whether every node is."""
        return not any(node.waits_for() for node in self.nodes.values())

    @property
    def epoch(self) -> int:
        """Epoch of the newest block."""
        return self.store.load_events(self.consensus.height).epoch

    def spawn(self, work) -> None:
        task = asyncio.ensure_future(work)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)

    def connect(self, source: str) -> Callable[[str, str, bytes], Wire]:
        return lambda _, address, __: Wire(self, source, address)

    def ask_consensus(self, source: str) -> ConsensusApi:
        return consensus_client(Wire(self, source, address_of(CONSENSUS)))

    def ask(self, name: str) -> ComputeApi:
        """What a client of a compute node sees."""
        return compute_client(Wire(self, "a client", address_of(name)))

    # -- nodes -------------------------------------------------------------------------------------

    async def start_node(self, name: str) -> None:
        """Start a node, or start it again with what it had stored."""
        is_manager = name in self.key_managers
        await (self._start_key_manager(name) if is_manager else self._start_compute(name))

    async def kill(self, name: str) -> None:
        """Stop a host and its enclave at once; what an enclave sealed stays."""
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.wait([task])
        del self.services[address_of(name)], self.nodes[name]
        socket = self.sockets.pop(name)
        socket.is_gone = True
        async with socket._in_order:
            await socket.settle()
            if isinstance(socket.program, ComputeProgram):
                socket.program.close()

    async def close(self) -> None:
        """Stop everything; a node that failed fails the test."""
        for name, task in self._tasks.items():
            if task.done() and not task.cancelled():
                task.result()
            if name != CONSENSUS:
                self.spawn(self.kill(name))
        await asyncio.gather(*self._spawned, return_exceptions=True)
        self._tasks[CONSENSUS].cancel()
        await asyncio.wait([self._tasks[CONSENSUS]])
        self.store.close()

    def _context(self, name: str, kind: RuntimeKind, host) -> EnclaveContext:
        self._starts += 1
        is_manager = kind is RuntimeKind.KEY_MANAGER
        config = EnclaveConfig(
            runtime_id=KEY_MANAGER_ID if is_manager else PARATIME_ID,
            kind=kind,
            version=VERSION,
            chain_id=CHAIN_ID,
            validators=self.genesis.validators,
            root_ca_hash=sha256(mock_tee.pki().root_ca),
            key_manager=None if is_manager else KEY_MANAGER_ID,
            policy_signers=SIGNER_KEYS,
            policy_threshold=2,
            runtime="" if is_manager else "evm",
            has_dev_controls=True,
        )
        code = KEY_MANAGER if is_manager else COMPUTE
        return EnclaveContext(
            config=config,
            platform=mock_tee.mock_cpu(code, mock_tee.platform(name)),
            entropy=SeededEntropy(sha256(f"{name}, start {self._starts}".encode())),
            directory=Path("/nonexistent"),
            host=host,
        )

    async def _start_key_manager(self, name: str) -> None:
        identity, consensus = identity_of(name), self.ask_consensus(name)
        peers = KeyManagerPeers(self.connect(name))
        host = HostSocket(KeyManagerHostApi, peers, self.loop)
        context = self._context(name, RuntimeKind.KEY_MANAGER, host)
        files = self._files.setdefault(name, MemoryFiles())
        program = await asyncio.to_thread(KeyManagerProgram, context, files)
        socket = self.sockets[name] = EnclaveSocket(KeyManagerEnclaveApi, program)
        enclave = client_of(KeyManagerEnclaveApi, socket)
        description = await enclave.describe()
        chain_context = self.genesis.chain_context()
        sender = TransactionSender(consensus, identity.node, chain_context)
        registrar = NodeRegistrar(
            sender,
            NodeKeys(identity.node, identity.consensus, identity.tls, identity.entity.public_key),
            chain_context,
            addresses=(address_of(name),),
            software_version="world",
        )
        served = ServedRuntime(description.runtime_id, description.version, Role.KEY_MANAGER)
        node = self.nodes[name] = KeyManagerNode(
            name,
            identity.node.public_key,
            enclave,
            description,
            consensus,
            Announcer(sender, Registrar(registrar, served)),
            peers,
        )
        self.services[address_of(name)] = Service((KeyManagerApi, KeyManagerEdge(node)))
        self._tasks[name] = asyncio.create_task(node.run(), name=name)

    async def _start_compute(self, name: str) -> None:
        identity, consensus = identity_of(name), self.ask_consensus(name)
        key_managers = KeyManagers(self.connect(name), identity.node.public_key)
        host = HostSocket(ComputeHostApi, key_managers, self.loop)
        context = self._context(name, RuntimeKind.COMPUTE, host)
        program = await asyncio.to_thread(lambda: ComputeProgram(context, in_memory=True))
        socket = self.sockets[name] = EnclaveSocket(ComputeEnclaveApi, program, CONCURRENT)
        enclave = client_of(ComputeEnclaveApi, socket)
        chain_context = self.genesis.chain_context()
        node = self.nodes[name] = build_compute_node(
            host=build_host(name, identity, address_of(name), consensus, chain_context),
            description=await enclave.describe(),
            network=await read_network(consensus, PARATIME_ID),
            enclave=enclave,
            consensus=consensus,
            key_managers=key_managers,
            store=ComputeStore(Path(":memory:")),
            clock=self.clock,
            connect=self.connect(name),
        )
        self.services[address_of(name)] = serve(name, identity, node)
        self._tasks[name] = asyncio.create_task(node.run(), name=name)

    # -- waiting -----------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool], *, seconds: float = 120.0) -> None:
        """Wait until something holds [virtual s]; a node that failed fails the test."""
        deadline = self.loop.time() + seconds
        while not condition():
            for task in self._tasks.values():
                if task.done() and not task.cancelled():
                    task.result()
            if self.loop.time() > deadline:
                waits = {name: node.waits_for() for name, node in self.nodes.items()}
                raise AssertionError(
                    f"not within {seconds} s; height {self.consensus.height}, {waits}"
                )
            await asyncio.sleep(0.01)

    # -- the genesis -------------------------------------------------------------------------------

    def _make_genesis(self, balances, epoch_s: int, *, confidential: bool) -> Genesis:
        names = (CONSENSUS, *self.key_managers, *self.compute)
        keys = {name: identity_of(name) for name in names}
        owner = keys[CONSENSUS]
        root_ca = mock_tee.pki().root_ca
        control = owner.dev_control
        assert control is not None
        senders = [one.node.public_key for one in keys.values()] + [control.public_key]
        policy = make_policy(enclaves=(EnclavePolicy(KEY_MANAGER, {PARATIME_ID: (COMPUTE,)}),))
        evm = EvmGenesis(
            chain_id=EVM_CHAIN_ID,
            balances=tuple((address, amount.to_bytes(32, "big")) for address, amount in balances),
            confidential=confidential,
        )
        return Genesis(
            chain_id=CHAIN_ID,
            time_ns=START_NS,
            validators=(GenesisValidator(owner.consensus.public_key, 10),),
            consensus=ConsensusParameters(min_gas_price=1, gas_tx_byte=1),
            beacon=BeaconParameters(epoch_s * 1000, BASE_EPOCH),
            staking=StakingParameters({"entity": 1, "node-compute": 1}, {}),
            registry=RegistryParameters(2, sha256(root_ca), root_ca),
            accounts=(
                *(
                    GenesisAccount(staking_address(one.entity.public_key), FUNDS, STAKE)
                    for one in keys.values()
                ),
                *(GenesisAccount(staking_address(key), FUNDS) for key in senders),
            ),
            entities=tuple(
                Entity(one.entity.public_key, (one.node.public_key,)) for one in keys.values()
            ),
            runtimes=(
                RuntimeDescriptor(
                    KEY_MANAGER_ID,
                    owner.entity.public_key,
                    RuntimeKind.KEY_MANAGER,
                    (Deployment(VERSION, 0, mock_tee.constraints(KEY_MANAGER)),),
                    policy_signers=SIGNER_KEYS,
                    policy_threshold=2,
                ),
                RuntimeDescriptor(
                    PARATIME_ID,
                    owner.entity.public_key,
                    RuntimeKind.COMPUTE,
                    (Deployment(VERSION, 0, mock_tee.constraints(COMPUTE)),),
                    key_manager=KEY_MANAGER_ID,
                    slashing=SLASHING,
                    genesis=encode_record(evm),
                ),
            ),
            policies=(sign_policy(policy),),
            dev_control_key=control.public_key,
        )
