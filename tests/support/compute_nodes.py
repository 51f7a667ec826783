"""
Compute nodes in one process over `SmallChain`: the real host, the real enclave program with the
real EVM, and a key manager's real enclave.
"""

import asyncio
import contextlib
import time
from pathlib import Path

from services.compute.api import ComputeEdge
from services.compute.app import serve
from services.compute.assembly import Network, build_host, build_node
from services.compute.enclave.dispatcher import ComputeProgram
from services.compute.enclave.protocol import CONCURRENT, ComputeEnclaveApi, ComputeHostApi
from services.compute.node import ComputeNode
from services.compute.peers import KeyManagers
from services.compute.store import Store
from shared.api.evm import EvmQueries
from shared.crypto.entropy import SeededEntropy
from shared.crypto.hashes import sha256
from shared.crypto.signing import Signer
from shared.encoding.contract import client_of, find_method, serve_call, serve_call_now
from shared.encoding.record import encode_record
from shared.errors import PeerUnavailable, QanatError
from shared.kit.clock import Clock, SystemClock
from shared.kit.identity import NodeIdentity
from shared.tee.config import EnclaveConfig
from shared.tee.runtime import EnclaveContext
from shared.types.evm import EvmGenesis
from shared.types.genesis import GenesisValidator
from shared.types.keymanager import EnclavePolicy
from shared.types.registry import (
    Deployment,
    ExecutorParameters,
    NodeDescriptor,
    NodeRuntime,
    Role,
    RuntimeDescriptor,
    RuntimeKind,
    SchedulerParameters,
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
from tests.support.keymanager_enclaves import Enclaves
from tests.support.signing import ACCOUNT, sign
from tests.support.small_chain import CHAIN_ID, SIGNER, SmallChain
from tests.support.virtual_time import LoopClock, VirtualLoop

VERSION = Version(0, 1, 0)
START_NS = mock_tee.NOW_S * 1_000_000_000
EVM_CHAIN_ID = 0x5AFD
WEI = 10**18
NOTICES: set[asyncio.Task[None]] = set()
RICH = bytes.fromhex(ACCOUNT.address.removeprefix("0x"))


def paratime(balances=(), *, confidential=True, **scheduler) -> RuntimeDescriptor:
    genesis = EvmGenesis(
        chain_id=EVM_CHAIN_ID,
        balances=tuple((address, amount.to_bytes(32, "big")) for address, amount in balances),
        confidential=confidential,
    )
    return RuntimeDescriptor(
        PARATIME_ID,
        b"o" * 32,
        RuntimeKind.COMPUTE,
        (Deployment(VERSION, 0, mock_tee.constraints(COMPUTE)),),
        key_manager=KEY_MANAGER_ID,
        executor=ExecutorParameters(),
        scheduler=SchedulerParameters(**scheduler),
        genesis=encode_record(genesis),
    )


def key_manager_runtime(*enclaves) -> RuntimeDescriptor:
    return RuntimeDescriptor(
        KEY_MANAGER_ID,
        b"o" * 32,
        RuntimeKind.KEY_MANAGER,
        (Deployment(VERSION, 0, mock_tee.constraints(*enclaves or (KEY_MANAGER,))),),
    )


def key_manager_policy(key_manager=KEY_MANAGER, compute=COMPUTE, signers=()):
    enclaves = (EnclavePolicy(key_manager, {PARATIME_ID: (compute,)}, ()),)
    return sign_policy(make_policy(enclaves=enclaves), *signers)


class KeyManagerNode:
    """One key manager enclave with secrets for the epochs that tests use."""

    def __init__(self, epochs=(2, 3, 4), identity=KEY_MANAGER) -> None:
        enclaves = self._enclaves = Enclaves(policy=key_manager_policy(identity))
        self.program = enclaves.start("km", MemoryFiles(), identity)
        enclaves.show_block()
        enclaves.register("km")
        enclaves.show_block()
        master = self.program.generate_master_secret()
        enclaves.chain.publish(master)
        enclaves.show_block()
        enclaves.chain.accept_master(master)
        enclaves.show_block()
        self._before = {}
        self._publish(epochs)
        self.is_down = False
        self.calls = 0

    def _publish(self, epochs) -> None:
        enclaves = self._enclaves
        for epoch in epochs:
            self._before[epoch] = enclaves.chain.snapshot()
            enclaves.chain.epoch = epoch
            enclaves.show_block()
            enclaves.chain.publish(self.program.generate_ephemeral_secret(epoch))
            enclaves.show_block()

    def replace_secrets(self, first: int) -> None:
        """Go back to before an epoch, and live it and the later ones once more."""
        self._enclaves.chain.rewind(self._before[first])
        self._publish([epoch for epoch in sorted(self._before) if epoch >= first])

    def call_session(self, session_id: bytes, message: bytes) -> bytes:
        self.calls += 1
        if self.is_down:
            raise PeerUnavailable("the key manager is down")
        return self.program.call_session(session_id, message)


class EnclaveHost:
    """The host as an enclave program calls it, from a worker thread or from none."""

    def __init__(self, key_managers, loop=None) -> None:
        self._key_managers, self._loop = key_managers, loop

    def call(self, method: str, body):
        if self._loop is None:
            return serve_call_now(ComputeHostApi, self._key_managers, method, body)
        call = serve_call(ComputeHostApi, self._key_managers, method, body)
        answer = asyncio.run_coroutine_threadsafe(call, self._loop)
        waiting = (
            self._loop.waiting()
            if isinstance(self._loop, VirtualLoop)
            else contextlib.nullcontext()
        )
        with waiting:
            return answer.result()


class DirectKeyManager:
    """`ComputeHostApi` straight to a key manager's enclave."""

    def __init__(self, key_manager: KeyManagerNode) -> None:
        self._key_manager = key_manager

    def call_key_manager(self, session_id: bytes, message: bytes) -> bytes:
        return self._key_manager.call_session(session_id, message)


def make_program(
    name: str,
    host,
    directory: Path | None = None,
    *,
    key_manager=KEY_MANAGER_ID,
    has_dev_controls: bool = True,
) -> ComputeProgram:
    """Start the compute enclave of a node; without a directory it keeps nothing."""
    config = EnclaveConfig(
        runtime_id=PARATIME_ID,
        kind=RuntimeKind.COMPUTE,
        version=VERSION,
        chain_id=CHAIN_ID,
        validators=(GenesisValidator(SIGNER.public_key, 10),),
        root_ca_hash=sha256(mock_tee.pki().root_ca),
        key_manager=key_manager,
        policy_signers=SIGNER_KEYS,
        policy_threshold=2,
        runtime="evm",
        has_dev_controls=has_dev_controls,
    )
    context = EnclaveContext(
        config=config,
        platform=mock_tee.mock_cpu(COMPUTE, mock_tee.platform(name)),
        entropy=SeededEntropy(f"chance of {name}".encode().ljust(32)),
        directory=directory or Path("/nonexistent"),
        host=host,
    )
    return ComputeProgram(context, in_memory=directory is None)


def register_program(chain: SmallChain, name: str, program: ComputeProgram) -> None:
    """Register a node with what its enclave says of itself, as its host would."""
    chain.register(
        NodeDescriptor(
            id=identity_of(name).node.public_key,
            entity_id=b"o" * 32,
            expiration=9,
            consensus_key=bytes(32),
            tls_key=bytes(32),
            roles=int(Role.COMPUTE),
            runtimes=(
                NodeRuntime(
                    PARATIME_ID, VERSION, program.attest(identity_of(name).node.public_key)
                ),
            ),
        )
    )


class EnclaveTransport:
    """Runs an enclave's messages on threads, as its runtime does."""

    def __init__(self, program: ComputeProgram) -> None:
        self.program = program
        self._in_order = asyncio.Lock()
        self.is_gone = False
        self.calls: list[str] = []
        self.running = 0

    async def call(self, method, body):
        if self.is_gone:
            raise PeerUnavailable("the enclave is gone")
        self.calls.append(method)
        if method in CONCURRENT:
            return await asyncio.to_thread(self._serve, method, body)
        async with self._in_order:
            return await asyncio.to_thread(self._serve, method, body)

    def _serve(self, method, body):
        self.running += 1
        try:
            return serve_call_now(ComputeEnclaveApi, self.program, method, body)
        finally:
            self.running -= 1

    def stream(self, method, body):
        raise NotImplementedError


class WireTransport:
    """Carries calls between objects in one process, through the codec of the wire."""

    def __init__(self, services: dict[str, object], address: str) -> None:
        self._services, self._address = services, address

    def _service(self):
        service = self._services.get(self._address)
        if service is None:
            raise PeerUnavailable(f"nobody answers at {self._address}")
        return service

    async def call(self, method, body):
        await asyncio.sleep(0)
        contract, implementation = self._service().find(method)
        return await serve_call(contract, implementation, method, body)

    def notify(self, method, body):
        task = asyncio.ensure_future(self._forgiving(method, body))
        NOTICES.add(task)
        task.add_done_callback(NOTICES.discard)

    async def _forgiving(self, method, body):
        with contextlib.suppress(QanatError):
            await self.call(method, body)

    async def stream(self, method, body):
        contract, implementation = self._service().find(method)
        found = find_method(contract, method)
        items = getattr(implementation, method)(**found.decode_arguments(body))
        async for item in items:
            yield found.encode_result(item)


class ComputeNetwork:
    """Starts, kills and restarts compute nodes."""

    def __init__(self, *, balances=(), root: Path | None = None, **options) -> None:
        self.key_manager = KeyManagerNode()
        self.chain = SmallChain(
            paratime(balances, **options),
            key_manager=key_manager_runtime(),
            policy=key_manager_policy(),
            start_ns=START_NS + 60_000_000_000,
        )
        self.chain.others = (_key_manager_descriptor(),)
        self._root = root
        self.services: dict[str, object] = {"km:1": _KeyManagerService(self.key_manager)}
        self.nodes: dict[str, ComputeNode] = {}
        self.edges: dict[str, ComputeEdge] = {}
        self.enclaves: dict[str, EnclaveTransport] = {}
        self.cut_off: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def node_id(self, name: str) -> bytes:
        return identity_of(name).node.public_key

    def elect(self, workers, backups=()) -> None:
        self.chain.elect(
            [self.node_id(name) for name in workers], [self.node_id(name) for name in backups]
        )

    async def start(self, name: str) -> ComputeNode:
        identity = identity_of(name)
        directory = None
        database = Path(":memory:")
        if self._root is not None:
            directory = self._root / name / "enclave"
            directory.mkdir(parents=True, exist_ok=True)
            database = self._root / name / "compute.sqlite"
        key_managers = KeyManagers(self._connect, identity.node.public_key)
        host = EnclaveHost(key_managers, asyncio.get_running_loop())
        program = await asyncio.to_thread(make_program, name, host, directory)
        transport = self.enclaves[name] = EnclaveTransport(program)
        enclave = client_of(ComputeEnclaveApi, transport)
        network = Network(
            (await self.chain.fetch_status()).chain_context,
            self.chain.runtime,
            self.chain.round_headers[0],
        )
        node = self.nodes[name] = build_node(
            host=build_host(name, identity, f"{name}:1", self.chain, network.chain_context),
            description=await enclave.describe(),
            network=network,
            enclave=enclave,
            consensus=self.chain,
            key_managers=key_managers,
            store=Store(database),
            clock=_clock(),
            connect=lambda peer, address, node_id: self._connect(peer, address, node_id, name),
        )
        service = serve(name, identity, node)
        self.services[f"{name}:1"] = service
        self.edges[name] = service.find("fetch_status")[1]
        self._tasks[name] = asyncio.create_task(node.run(), name=name)
        return node

    def _connect(self, peer: str, address: str, node_id: bytes, source: str = "") -> WireTransport:
        return _Severable(self, source, address)

    async def kill(self, name: str) -> None:
        """Stop host and enclave at once, in the middle of whatever they do."""
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.wait([task])
        del self.services[f"{name}:1"]
        transport = self.enclaves.pop(name)
        transport.is_gone = True
        await transport._in_order.acquire()
        while transport.running:
            await asyncio.sleep(0.001)
        transport.program.close()
        store = self.nodes.pop(name)._publisher._store
        # What is not written yet dies with the process.
        store._final.clear()
        store.close()
        del self.edges[name]

    async def close(self) -> None:
        for name in list(self._tasks):
            task = self._tasks[name]
            if task.done() and not task.cancelled():
                task.result()
            await self.kill(name)

    async def until(self, condition, *, seconds: float = 10.0) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    for task in self._tasks.values():
                        if task.done():
                            task.result()
                    await asyncio.sleep(0.002)
        except TimeoutError:
            state = {
                name: (node.waits_for(), node._worker.phase, node.feed.next_round)
                for name, node in self.nodes.items()
            }
            raise AssertionError(f"not reached; head {self.chain.head.round}; {state}") from None

    async def until_round(self, round_: int, names=None, **options) -> None:
        """Wait until nodes have published a round."""
        await self.until(
            lambda: all(self.nodes[name].feed.next_round > round_ for name in names or self.nodes),
            **options,
        )


def _clock() -> Clock:
    loop = asyncio.get_running_loop()
    return LoopClock(loop, time.time_ns()) if isinstance(loop, VirtualLoop) else SystemClock()


def raw(nonce: int, **changes) -> bytes:
    """A transaction of the rich account."""
    return bytes.fromhex(sign(nonce, **changes).removeprefix("0x"))


def executed(node: ComputeNode) -> list[bytes]:
    """Every transaction that a node has published, in order."""
    blocks = (node.feed.find(r) for r in range(node.feed.next_round))
    return [transaction for block in blocks for transaction in block.transactions]


async def submit(network: ComputeNetwork, name: str, *raws: bytes) -> None:
    for submission in await network.edges[name].submit_transactions(raws):
        assert submission.module == "", submission


async def until_executed(network: ComputeNetwork, *raws: bytes, names=None, **options) -> None:
    await network.until(
        lambda: all(
            set(raws) <= set(executed(network.nodes[name])) for name in names or network.nodes
        ),
        **options,
    )


async def assert_all_agree(network: ComputeNetwork) -> None:
    """Every node holds the same newest round, and state to answer from."""
    head = network.chain.head  # the chain goes on meanwhile
    await network.until_round(head.round)
    heads = {node.feed.find(head.round).header.hash() for node in network.nodes.values()}
    assert heads == {head.hash()}
    accounts = [await EvmQueries(edge).fetch_account(RICH) for edge in network.edges.values()]
    assert len(set(accounts)) == 1


class _Severable(WireTransport):
    """A connection that a test may cut."""

    def __init__(self, network: ComputeNetwork, source: str, address: str) -> None:
        super().__init__(network.services, address)
        self._network, self._source = network, source

    def _service(self):
        ends = {self._source, self._address.partition(":")[0]}
        if ends & self._network.cut_off:
            raise PeerUnavailable("the network is cut")
        return super()._service()


class _KeyManagerService:
    def __init__(self, key_manager: KeyManagerNode) -> None:
        self._key_manager = key_manager

    def find(self, method):
        from shared.api.keymanager import KeyManagerApi

        return KeyManagerApi, self

    async def call_session(self, session_id, message):
        return self._key_manager.call_session(session_id, message)


def _key_manager_descriptor() -> NodeDescriptor:
    return NodeDescriptor(
        id=b"k" * 32,
        entity_id=b"o" * 32,
        expiration=100,
        consensus_key=bytes(32),
        tls_key=bytes(32),
        roles=int(Role.KEY_MANAGER),
        addresses=("km:1",),
        runtimes=(NodeRuntime(KEY_MANAGER_ID, VERSION),),
    )


def identity_of(name: str) -> NodeIdentity:
    seeds = [sha256(f"{name} {use}".encode()) for use in ("node", "consensus", "tls", "entity")]
    return NodeIdentity(*map(Signer, seeds))
