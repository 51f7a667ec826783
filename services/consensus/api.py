"""The edge of the consensus service: `ConsensusApi` over the node and its store."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

import structlog

from services.consensus.node import ConsensusNode
from shared.api.consensus import (
    NEWEST,
    PATIENCE_MS,
    BlockEvents,
    ConsensusStatus,
    DevControlsOff,
    Reverted,
    Snapshot,
    TooManyAtOnce,
    TooManySnapshots,
    UnknownSnapshot,
    is_news,
)
from shared.api.submission import TransactionSender, verify_result
from shared.crypto.signing import Signer
from shared.crypto.state_tree import StateTree
from shared.encoding.record import decode_record
from shared.rules import state_keys
from shared.types.beacon import EpochState
from shared.types.block import BlockHeader
from shared.types.genesis import Genesis
from shared.types.identity import Address, Epoch, Height, Incarnation, Round, RuntimeId
from shared.types.keymanager import KeyManagerStatus
from shared.types.methods import AdvanceEpoch, Method
from shared.types.proof import ProvenState
from shared.types.registry import Committee, NodeDescriptor, RuntimeDescriptor
from shared.types.staking import Account
from shared.types.transaction import TransactionResult

log = structlog.get_logger()
R = TypeVar("R")

MAX_SNAPSHOTS = 1_000
MAX_PATIENCE_MS = 60_000
"""Longest that a rewind waits for nodes [ms]."""
MAX_BLOCKS_AT_ONCE = 1_000
"""Most blocks that one call of a dev control makes: about a second's work."""
MAX_HEADERS = 256
"""Headers of one answer, so that the loop that makes blocks is not held for long."""


@dataclass(frozen=True, slots=True)
class ChainIdentity:
    """What does not change while the process runs."""

    genesis: Genesis
    document: bytes
    """Canonical encoding of the genesis."""
    chain_context: str
    dev_control: Signer | None = None
    """Key that moves epochs; None where dev controls are off."""


class ConsensusService:
    """Fulfils `ConsensusApi`."""

    def __init__(self, node: ConsensusNode, identity: ChainIdentity) -> None:
        self._node, self._identity = node, identity
        self._reading = asyncio.Lock()
        """Held while a state of long ago is read: one at a time, however many ask."""

    async def fetch_status(self) -> ConsensusStatus:
        """Where the chain stands."""
        tree, engine = await self._tree(NEWEST), self._node.engine
        chain = engine.standing
        epoch = await self._record(EpochState, state_keys.EPOCH, NEWEST)
        return ConsensusStatus(
            chain_id=chain.chain_id,
            chain_context=self._identity.chain_context,
            height=Height(chain.height),
            time_ns=chain.time_ns,
            epoch=self._identity.genesis.beacon.base_epoch if epoch is None else epoch.epoch,
            state_root=tree.root,
            engine=engine.name,
            capabilities=engine.capabilities,
            is_mock_tee=True,
            incarnation=self._node.store.incarnation,
        )

    async def fetch_genesis(self) -> bytes:
        """Give the canonical genesis document."""
        return self._identity.document

    # -- transactions --------------------------------------------------------------------------

    async def submit_transaction(self, raw: bytes) -> bytes:
        """Put a signed transaction into the pool; its hash, or why it was refused."""
        return self._node.submit(raw)

    async def execute_transaction(self, raw: bytes) -> TransactionResult:
        """Put a signed transaction into the pool and wait until a block has executed it."""
        return await self._node.execute(raw)

    async def fetch_nonce(self, address: Address) -> int:
        """Nonce of the next transaction, counting those in the pool."""
        answer = self._node.engine.query("nonce", address)
        return int.from_bytes(answer.value or b"", "big")

    # -- state ---------------------------------------------------------------------------------

    async def fetch_balance(self, address: Address, height: Height = NEWEST) -> int:
        """Balance of a staking account [base units]."""
        return (await self._account(address, height)).balance

    async def fetch_escrow(self, address: Address, height: Height = NEWEST) -> int:
        """Active stake of a staking account [base units]."""
        return (await self._account(address, height)).active.balance

    async def fetch_state(
        self, keys: tuple[bytes, ...], height: Height = NEWEST
    ) -> tuple[bytes | None, ...]:
        """Values of state keys, without proof."""
        return tuple(map((await self._tree(height)).get, keys))

    async def fetch_proven_state(
        self, keys: tuple[bytes, ...], height: Height = NEWEST
    ) -> ProvenState:
        """Values of state keys, with proof."""
        store = self._node.store
        height = height or Height(store.height)
        return store.prove(await self._tree(height), keys, height)

    async def fetch_nodes(self, height: Height = NEWEST) -> tuple[NodeDescriptor, ...]:
        """Registered nodes that have not expired."""
        items = (await self._tree(height)).items(state_keys.NODES)
        return tuple(decode_record(NodeDescriptor, value) for _, value in items)

    def is_registered(self, node_id: bytes) -> bool:
        """Say whether a node is registered now."""
        return self._node.store.load_tree().get(state_keys.node_key(node_id)) is not None

    async def fetch_runtime(
        self, runtime_id: RuntimeId, height: Height = NEWEST
    ) -> RuntimeDescriptor | None:
        """Descriptor of a runtime."""
        return await self._record(RuntimeDescriptor, state_keys.runtime_key(runtime_id), height)

    async def fetch_committee(
        self, runtime_id: RuntimeId, height: Height = NEWEST
    ) -> Committee | None:
        """Committee of this epoch; None where none could be elected."""
        return await self._record(Committee, state_keys.committee_key(runtime_id), height)

    async def fetch_last_block(
        self, runtime_id: RuntimeId, height: Height = NEWEST
    ) -> BlockHeader | None:
        """Newest ParaTime block."""
        return await self._record(BlockHeader, state_keys.last_block_key(runtime_id), height)

    async def fetch_key_manager(
        self, runtime_id: RuntimeId, height: Height = NEWEST
    ) -> KeyManagerStatus | None:
        """Status of a key manager."""
        key = state_keys.key_manager_status_key(runtime_id)
        return await self._record(KeyManagerStatus, key, height)

    async def fetch_round_header(self, runtime_id: RuntimeId, round: Round) -> BlockHeader | None:  # noqa: A002
        """ParaTime block of a round."""
        return self._node.store.load_round_header(runtime_id, round)

    async def fetch_round_epoch(self, runtime_id: RuntimeId, round: Round) -> Epoch | None:  # noqa: A002
        """Epoch in which a round was finalized."""
        return self._node.store.load_round_epoch(runtime_id, round)

    async def fetch_round_headers(
        self, runtime_id: RuntimeId, first: Round, count: int
    ) -> tuple[BlockHeader, ...]:
        """ParaTime blocks of rounds in a row."""
        return self._node.store.load_round_headers(runtime_id, first, min(count, MAX_HEADERS))

    def watch_blocks(
        self, from_height: Height, incarnation: Incarnation | None = None
    ) -> AsyncIterator[BlockEvents]:
        """Events of every block from a height on, then of each new one."""
        return self._node.watch(from_height, incarnation)

    async def watch_news(
        self, about: RuntimeId, from_height: Height, incarnation: Incarnation | None = None
    ) -> AsyncIterator[BlockEvents]:
        """Events of the blocks from a height on that tell of a runtime."""
        async for events in self._node.watch(from_height, incarnation):
            if is_news(events, about):
                yield events

    # -- dev controls --------------------------------------------------------------------------

    async def advance_epoch(self, count: int) -> Epoch:
        """Move the epoch on, one after the other; needs dev controls. The new epoch."""
        sender = TransactionSender(self, self._dev_control(count), self._identity.chain_context)
        for _ in range(count):
            verify_result(await sender.send(Method.ADVANCE_EPOCH, AdvanceEpoch()))
        return (await self.fetch_status()).epoch

    async def mine_blocks(self, count: int) -> Height:
        """Make blocks at once; needs dev controls. The new height."""
        self._dev_control(count)
        return Height(self._node.mine(count))

    async def rewind(self, height: Height) -> None:
        """Forget all blocks above a height; needs dev controls."""
        self._dev_control(1)
        self._node.rewind(height)

    async def take_snapshot(self) -> Snapshot:
        """Remember the newest block; needs dev controls."""
        self._dev_control(1)
        if len(self._node.store.load_snapshots()) >= MAX_SNAPSHOTS:
            raise TooManySnapshots(f"there are {MAX_SNAPSHOTS} snapshots")
        return self._node.store.add_snapshot()

    async def fetch_snapshots(self) -> tuple[Snapshot, ...]:
        """Snapshots that can be gone back to."""
        return self._node.store.load_snapshots()

    async def drop_snapshot(self, snapshot_id: int) -> None:
        """Forget a snapshot; needs dev controls."""
        self._dev_control(1)
        self._node.store.drop_snapshot(self._snapshot(snapshot_id).id)

    async def revert(self, snapshot_id: int, patience_ms: int = PATIENCE_MS) -> Reverted:
        """Go back to a snapshot with the whole network; needs dev controls."""
        self._dev_control(1)
        snapshot, node = self._snapshot(snapshot_id), self._node
        node.rewind(snapshot.height)
        incarnation = node.store.incarnation
        patience_s = min(max(patience_ms, 0), MAX_PATIENCE_MS) / 1000
        missing = await node.followers.until_arrived(incarnation, patience_s)
        if missing:
            log.warning("nodes_missing", incarnation=incarnation, missing=missing)
        arrived = tuple(name for name in node.followers.names() if name not in missing)
        return Reverted(snapshot.height, incarnation, arrived, missing)

    async def report_incarnation(self, follower: str, incarnation: Incarnation) -> None:
        """Note that a node has arrived in a life of the chain."""
        self._node.followers.report(follower, incarnation)

    def _snapshot(self, snapshot_id: int) -> Snapshot:
        for snapshot in self._node.store.load_snapshots():
            if snapshot.id == snapshot_id:
                return snapshot
        raise UnknownSnapshot(f"there is no snapshot {snapshot_id}")

    def _dev_control(self, count: int) -> Signer:
        if self._identity.dev_control is None:
            raise DevControlsOff(
                "set QANAT_UNSAFE_DEV_CONTROLS=1 in a network whose genesis allows dev controls"
            )
        if not 0 < count <= MAX_BLOCKS_AT_ONCE:
            raise TooManyAtOnce(f"{count} at once, at least 1 and at most {MAX_BLOCKS_AT_ONCE}")
        return self._identity.dev_control

    # -- reading -------------------------------------------------------------------------------

    async def _tree(self, height: Height) -> StateTree:
        """State after a height; one of long ago is put together beside the blocks."""
        store = self._node.store
        if height == NEWEST or store.is_recent(height):
            return store.load_tree(height or None)
        async with self._reading:
            return await asyncio.to_thread(store.load_old_tree, height)

    async def _record(self, kind: type[R], key: bytes, height: Height) -> R | None:
        raw = (await self._tree(height)).get(key)
        return None if raw is None else decode_record(kind, raw)

    async def _account(self, address: Address, height: Height) -> Account:
        return await self._record(Account, state_keys.account_key(address), height) or Account()
