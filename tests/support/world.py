"""
A whole network in one process: real consensus, key managers and compute nodes, on virtual time.

Nothing is skipped: the genesis is all that they have in common, nodes register with quotes that the
real verifier judges, secrets travel encrypted through consensus, every vote is signed by node and
enclave. What is not real: enclaves are objects and not processes, and messages cross a codec and
not a socket.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from services.compute.answering import HostAnswers
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
from services.consensus.engine.solo_loop import WRITTEN_TOGETHER
from services.consensus.node import ConsensusNode
from services.consensus.store import Store as ConsensusStore
from services.keymanager.announcer import Announcer
from services.keymanager.api import KeyManagerEdge
from services.keymanager.enclave.program import KeyManagerProgram
from services.keymanager.enclave.protocol import KeyManagerEnclaveApi, KeyManagerHostApi
from services.keymanager.node import KeyManagerNode
from services.keymanager.peers import KeyManagerPeers
from shared.api.compute import ComputeApi, compute_client
from shared.api.consensus import BlockEvents, ConsensusApi, consensus_client
from shared.api.keymanager import KeyManagerApi
from shared.api.registration import NodeKeys, NodeRegistrar, Registrar, ServedRuntime
from shared.api.submission import TransactionSender
from shared.crypto.entropy import SeededEntropy
from shared.crypto.hashes import EMPTY_HASH, sha256
from shared.encoding.contract import client_of
from shared.encoding.record import decode_record, encode_record
from shared.kit.service import Service
from shared.rules.state_keys import committee_key, last_block_key, node_key
from shared.tee.config import EnclaveConfig
from shared.tee.runtime import EnclaveContext
from shared.types.block import BlockHeader
from shared.types.identity import Height
from shared.types.registry import (
    Committee,
    Role,
    RuntimeKind,
    SchedulerParameters,
)
from tests.support import mock_tee
from tests.support.keymanager import (
    COMPUTE,
    KEY_MANAGER,
    KEY_MANAGER_ID,
    PARATIME_ID,
    SIGNER_KEYS,
    MemoryFiles,
    identity,
)
from tests.support.virtual_time import LoopClock, VirtualLoop
from tests.support.world_faults import Ballots
from tests.support.world_genesis import (
    CHAIN_ID,
    CONSENSUS,
    START_NS,
    VERSION,
    address_of,
    identity_of,
    make_genesis,
    node_id_of,
)
from tests.support.world_wires import EnclaveSocket, HostSocket, Wire

PATIENCE_S = 60.0
"""Longest that a node may take to arrive in another life of the chain [virtual s]."""
LIAR = identity("lying compute")
"""What the enclave of a liar is measured as."""


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
        scheduler: SchedulerParameters | None = None,
        liar: str = "",
        keep_rounds: int | None = None,
        root: Path | None = None,
    ) -> None:
        """
        Make a network that has not started.

        `liar` names a compute node whose enclave has a measurement of its own, and lies when it is
        armed (`runtimes/lying`). With a `root`, compute nodes keep their files below it, so that a
        node that is killed finds them again.
        """
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop), "run it by `run_virtual`"
        self.loop = loop
        self.clock = LoopClock(loop, START_NS)
        self.key_managers = tuple(f"keymanager-{n}" for n in range(key_managers))
        self.compute = tuple(f"compute-{n}" for n in range(compute))
        self.genesis = make_genesis(
            (*self.key_managers, *self.compute),
            balances=balances,
            epoch_s=epoch_s,
            confidential=confidential,
            scheduler=scheduler,
            enclaves=(COMPUTE, LIAR) if liar else (COMPUTE,),
            keep_rounds=keep_rounds,
        )
        self._liar, self._root = liar, root
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
        self.store = ConsensusStore(may_wait=2 * WRITTEN_TOGETHER)
        self.consensus: ConsensusNode = build_consensus_node(
            self.document, self.store, identity_of(CONSENSUS).consensus, self.clock
        )
        service = build_service(self.consensus, self.document, control)
        self.ballots = Ballots(service)
        self.services[address_of(CONSENSUS)] = Service((ConsensusApi, self.ballots))
        self.client = self.ask_consensus("a test")

    def start_consensus(self) -> None:
        """Start consensus alone."""
        self._tasks[CONSENSUS] = asyncio.create_task(self.consensus.run())

    async def start(self, *, without: tuple[str, ...] = ()) -> None:
        """
        Start every node but some; wait until the network is ready.

        One registers after the other, and key managers last, since no round is executed without
        them: so equal worlds come to equal committees and rounds.
        """
        if CONSENSUS not in self._tasks:
            self.start_consensus()
        for name in (*self.compute, *self.key_managers):
            if name not in without:
                await self.start_node(name)
                await self.until(lambda name=name: self.is_registered(name))
        await self.until(self.is_ready)
        # A round that puts the genesis state in place, at every node.
        await self.until(lambda: self.head.state_root != EMPTY_HASH)
        up = [self.nodes[name] for name in self.compute if name in self.nodes]
        await self.until(lambda: all(node.feed.next_round > self.head.round for node in up))

    def is_ready(self) -> bool:
        """Say whether every node is."""
        return not any(node.waits_for() for node in self.nodes.values())

    def is_registered(self, name: str) -> bool:
        """Say whether consensus knows a node."""
        return self.store.load_tree().get(node_key(node_id_of(name))) is not None

    @property
    def epoch(self) -> int:
        """Epoch of the newest block."""
        return self.store.load_events(self.consensus.height).epoch

    @property
    def head(self) -> BlockHeader:
        """Newest block of the ParaTime that consensus has finalized."""
        value = self.store.load_tree().get(last_block_key(PARATIME_ID))
        assert value is not None
        return decode_record(BlockHeader, value)

    def headers(self) -> list[BlockHeader]:
        """Every block of the ParaTime, oldest first."""
        return list(self.store.rounds.load_headers(PARATIME_ID, 0, self.head.round + 1))

    @property
    def committee(self) -> Committee:
        """Who executes and decides the next round."""
        value = self.store.load_tree().get(committee_key(PARATIME_ID))
        assert value is not None
        return decode_record(Committee, value)

    def workers(self) -> list[str]:
        """Names of the committee's workers."""
        return [n for n in self.compute if node_id_of(n) in self.committee.workers()]

    def happened(self) -> list[BlockEvents]:
        """What every block of consensus changed, oldest first."""
        heights = range(max(self.store.first_height, 1), self.consensus.height + 1)
        return [self.store.load_events(height) for height in heights]

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
        del self.services[address_of(name)]
        node = self.nodes.pop(name)
        socket = self.sockets.pop(name)
        socket.is_gone = True
        async with socket._in_order:
            await socket.settle()
            if isinstance(socket.program, ComputeProgram):
                socket.program.close()
        if isinstance(node, ComputeNode):
            store = node._publisher._store
            # What is not written yet dies with the process.
            store._final.clear()
            store.close()

    async def rewind(self, height: Height) -> None:
        """Go back, until every node that runs is there: one in the void life drops what it took."""
        await self.client.rewind(height)
        missing = await self.consensus.followers.until_arrived(self.store.incarnation, PATIENCE_S)
        assert not set(missing) & set(self.nodes), missing

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
            runtime="" if is_manager else "lying:runtimes.evm" if name == self._liar else "evm",
            has_dev_controls=True,
            dev_control_key=None if is_manager else self.genesis.dev_control_key,
        )
        code = KEY_MANAGER if is_manager else LIAR if name == self._liar else COMPUTE
        return EnclaveContext(
            config=config,
            platform=mock_tee.mock_cpu(code, mock_tee.platform(name)),
            entropy=SeededEntropy(sha256(f"{name}, start {self._starts}".encode())),
            directory=self._directory(name) or Path("/nonexistent"),
            host=host,
        )

    def _directory(self, name: str) -> Path | None:
        if self._root is None:
            return None
        directory = self._root / name
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def enclave_files(self, name: str) -> list[Path]:
        """Files of a compute node's enclave, on its host's disk."""
        directory = self._directory(name)
        assert directory is not None
        return [path for path in directory.iterdir() if not path.name.startswith("compute.sqlite")]

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
        answers = HostAnswers(key_managers, consensus)
        host = HostSocket(ComputeHostApi, answers, self.loop)
        context = self._context(name, RuntimeKind.COMPUTE, host)
        directory = self._directory(name)
        program = await asyncio.to_thread(
            lambda: ComputeProgram(context, in_memory=directory is None)
        )
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
            store=ComputeStore(
                Path(":memory:") if directory is None else directory / "compute.sqlite"
            ),
            clock=self.clock,
            connect=self.connect(name),
        )
        self.services[address_of(name)] = serve(name, identity, node)
        self._tasks[name] = asyncio.create_task(node.run(), name=name)

    def keep_awake(self) -> None:
        """Have clients ask, as far as compute nodes know."""
        for node in self.nodes.values():
            if isinstance(node, ComputeNode):
                node.keep_awake()

    # -- waiting -----------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool], *, seconds: float = 120.0) -> None:
        """
        Wait until something holds [virtual s]; a node that failed fails the test.

        Who waits asks, as far as nodes know: rounds come at their usual pace.
        """
        deadline = self.loop.time() + seconds
        asked_s = float("-inf")
        while not condition():
            for task in self._tasks.values():
                if task.done() and not task.cancelled():
                    task.result()
            if self.loop.time() > deadline:
                waits = {name: node.waits_for() for name, node in self.nodes.items()}
                raise AssertionError(
                    f"not within {seconds} s; height {self.consensus.height}, {waits}"
                )
            if self.loop.time() >= asked_s + 1:
                asked_s = self.loop.time()
                self.keep_awake()
            await asyncio.sleep(0.01)
