"""
Key manager nodes in one process, over a consensus that does only what concerns them.

`SmallConsensus` keeps the promises of the real one that nodes rely on: who registers is in the
committee, a proposed master secret is accepted once two thirds have stored it, and one ephemeral
secret is taken for each epoch.
"""

import asyncio
from dataclasses import replace

from services.keymanager.enclave.protocol import KeyManagerEnclaveApi
from services.keymanager.node import KeyManagerNode
from services.keymanager.peers import KeyManagerPeers
from services.keymanager.rules.proven_chain import is_open_proposal, reaches_committee, read_chain
from shared.api.consensus import BlockEvents, ConsensusStatus
from shared.encoding.contract import Transport, client_of, serve_call_now
from shared.encoding.record import encode_record
from shared.errors import PeerUnavailable, Rejected
from shared.types.keymanager import SignedInitResponse
from shared.types.registry import NodeDescriptor, NodeRuntime, Role
from tests.support.keymanager import KEY_MANAGER_ID, MemoryFiles
from tests.support.keymanager_enclaves import VERSION, Enclaves, node_id
from tests.support.turns import until


class Refused(Rejected, module="tests", code=77):
    """What the small consensus refuses."""


class SmallConsensus:
    """Fulfils as much of `ConsensusApi` as a key manager asks for."""

    def __init__(self, enclaves: Enclaves) -> None:
        self.chain = enclaves.chain
        self.height = 0
        self.refused: list[str] = []
        self.published: list[tuple[str, int]] = []
        self._proven = None
        self.arrived: dict[str, int] = {}
        self._readers: list[asyncio.Queue[BlockEvents]] = []
        self._init: dict[bytes, SignedInitResponse] = {}
        self.make_block()

    def make_block(self, **events) -> None:
        self._proven = self.chain.block(seconds=0.01)
        self.height += 1
        block = BlockEvents(self.height, 0, self.chain.epoch, **events)
        for reader in self._readers:
            reader.put_nowait(block)

    def begin_epoch(self) -> None:
        self.chain.epoch += 1
        held = {
            epoch
            for init in self._init.values()
            for epoch in init.response.ephemeral_epochs
            if epoch < self.chain.epoch
        }
        self.chain.status = replace(self.chain.status, open_epochs=tuple(sorted(held)))
        self.make_block(is_epoch_change=True)

    async def advance_epoch(self, count):
        for _ in range(count):
            self.begin_epoch()
        return self.chain.epoch

    async def fetch_status(self) -> ConsensusStatus:
        return ConsensusStatus(
            "qanat-test", "", self.height, 0, self.chain.epoch, b"", "small", (), True
        )

    async def fetch_key_manager(self, runtime_id, height=0):
        assert runtime_id == KEY_MANAGER_ID
        return self.chain.status

    async def report_incarnation(self, follower, incarnation):
        self.arrived[follower] = incarnation

    async def fetch_proven_state(self, keys, height=0):
        return self._proven

    async def watch_news(self, about, from_height, incarnation=None, is_urgent=False):
        queue: asyncio.Queue[BlockEvents] = asyncio.Queue()
        self._readers.append(queue)
        while True:
            yield await queue.get()

    @property
    def _known(self):
        return read_chain(dict(self._proven.items), KEY_MANAGER_ID)

    def register(self, descriptor: NodeDescriptor, init: SignedInitResponse) -> None:
        self.chain.register(descriptor)
        self._init[descriptor.id] = init
        self._accept_proposal()
        self.make_block(key_managers=(self.chain.status,))

    def _accept_proposal(self) -> None:
        status, published = self.chain.status, self.chain.master
        if published is None or published.secret.generation != (
            status.generation + 1 if status.is_initialized else 0
        ):
            return
        wanted = published.secret.secret.checksum
        stored = sum(
            self._init[node].response.next_checksum == wanted
            for node in status.nodes
            if node in self._init
        )
        if stored * 3 >= len(status.nodes) * 2:
            self.chain.accept_master(published)

    def publish(self, signed) -> None:
        secret = signed.secret
        if secret.generation is None:
            newest = self.chain.ephemeral
            floor = self.chain.epoch - 1 if newest is None else newest.secret.epoch
            if secret.epoch <= floor:
                raise Refused("there is one for that epoch")
            self.published.append(("ephemeral", secret.epoch))
        else:
            if is_open_proposal(self._known) and reaches_committee(self.chain.master, self._known):
                raise Refused("there is an open proposal")
            self.published.append(("master", secret.generation))
        self.chain.publish(signed)
        self.make_block(secrets=(signed,))


class SmallRegistry:
    """What `services.keymanager.announcer.Announcer` is, without transactions."""

    def __init__(self, name: str, consensus: SmallConsensus) -> None:
        self._name, self._consensus = name, consensus
        self.registrations: list[SignedInitResponse] = []

    async def register(self, capability, init_response, epoch) -> None:
        await asyncio.sleep(0)
        self.registrations.append(init_response)
        self._consensus.register(
            NodeDescriptor(
                id=node_id(self._name),
                entity_id=b"o" * 32,
                expiration=epoch + 1,
                consensus_key=bytes(32),
                tls_key=bytes(32),
                roles=int(Role.KEY_MANAGER),
                runtimes=(
                    NodeRuntime(KEY_MANAGER_ID, VERSION, capability, encode_record(init_response)),
                ),
            ),
            init_response,
        )

    async def publish(self, secret) -> None:
        await asyncio.sleep(0)
        self._consensus.publish(secret)


class DirectTransport:
    """Calls an enclave's program without a process in between."""

    def __init__(self, program) -> None:
        self._program = program

    async def call(self, method, body):
        await asyncio.sleep(0)
        return serve_call_now(KeyManagerEnclaveApi, self._program, method, body)

    def stream(self, method, body):
        raise NotImplementedError


def unconnected(peer: str, address: str, node_id: bytes) -> Transport:
    raise PeerUnavailable(f"{peer} at {address} is not of this test")


class Nodes:
    """Starts and stops whole key manager nodes."""

    def __init__(self) -> None:
        self.enclaves = Enclaves()
        self.consensus = SmallConsensus(self.enclaves)
        self.files: dict[str, MemoryFiles] = {}
        self.nodes: dict[str, KeyManagerNode] = {}
        self.registries: dict[str, SmallRegistry] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, name: str) -> KeyManagerNode:
        program = self.enclaves.start(name, self.files.setdefault(name, MemoryFiles()))
        return await self.resume(name, program)

    async def resume(self, name: str, program) -> KeyManagerNode:
        """Run a host on an enclave that may have run before."""
        self.enclaves.running[node_id(name)] = program
        enclave = client_of(KeyManagerEnclaveApi, DirectTransport(program))
        registry = self.registries[name] = SmallRegistry(name, self.consensus)
        node = self.nodes[name] = KeyManagerNode(
            name,
            node_id(name),
            enclave,
            await enclave.describe(),
            self.consensus,
            registry,
            KeyManagerPeers(unconnected),
        )
        self._tasks[name] = asyncio.create_task(node.run())
        return node

    async def kill(self, name: str) -> None:
        """Stop a node, enclave included; its files stay."""
        self.enclaves.stop(name)
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.wait([task])

    async def close(self) -> None:
        for name in list(self._tasks):
            await self.kill(name)

    async def until(self, condition, *, seconds: float = 5.0) -> None:
        """Wait until a condition holds; fails with what the nodes wait for."""
        try:
            await until(condition, seconds)
        except TimeoutError:
            waits = {name: node.waits_for() for name, node in self.nodes.items()}
            raise AssertionError(f"not reached; nodes wait for {waits}") from None
