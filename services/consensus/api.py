"""The edge of the consensus service: `ConsensusApi` over the node and its store."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

import structlog

from services.consensus.node import ConsensusNode
from services.consensus.rules.roothash.mining import MAX_MINED
from services.consensus.rules.roothash.rounds import NoOpenRound
from shared.api.consensus import (
    NEWEST,
    PATIENCE_MS,
    START_SNAPSHOT,
    BlockEvents,
    ConsensusStatus,
    DevControlsOff,
    OtherCodeThen,
    Reverted,
    Snapshot,
    StartForgotten,
    TooManyAtOnce,
    TooManySnapshots,
    UnknownRound,
    UnknownSnapshot,
    is_news,
)
from shared.api.submission import TransactionSender, verify_result
from shared.crypto.signing import Signer
from shared.crypto.state_tree import StateTree
from shared.encoding.record import decode_record
from shared.rules import state_keys
from shared.rules.dev_transactions import DEV_TRANSACTION
from shared.types.beacon import EpochState
from shared.types.block import BlockHeader
from shared.types.genesis import Genesis
from shared.types.identity import Address, Epoch, Height, Incarnation, Round, RuntimeId
from shared.types.keymanager import KeyManagerStatus, SignedPublishedSecret
from shared.types.methods import (
    AdvanceEpoch,
    Method,
    Mine,
    MoveTime,
    SetMining,
    SetNextTimestamp,
)
from shared.types.mining import USUAL, Mining
from shared.types.proof import ProvenState
from shared.types.registry import Committee, NodeDescriptor, RuntimeDescriptor, RuntimeKind
from shared.types.staking import Account
from shared.types.transaction import TransactionResult

log = structlog.get_logger()
R = TypeVar("R")

MAX_SNAPSHOTS = 1_000
MAX_PATIENCE_MS = 60_000
"""Longest that a rewind waits for nodes [ms]."""
MAX_BLOCKS_AT_ONCE = 1_000
"""Most blocks that one call of a dev control makes: about a second's work."""
MAX_ROUNDS_AT_ONCE = 50_000
"""Most rounds without transactions that one call makes: some seconds' work, and 15 MB."""
SETTLING_S = 2.0
"""How long a move of time waits for nodes to register anew [s]; those that are dead never do."""
MAX_HEADERS = 256
"""Headers of one answer, so that the loop that makes blocks is not held for long."""


@dataclass(frozen=True, slots=True)
class ChainIdentity:
    """What does not change while the process runs."""

    genesis: Genesis
    """Outline of the document."""
    document: bytes
    """Canonical encoding of the genesis."""
    chain_context: str
    dev_control: Signer | None = None
    """Key that moves epochs; None where dev controls are off."""


class ConsensusService:
    """Fulfils `ConsensusApi`."""

    def __init__(self, node: ConsensusNode, identity: ChainIdentity) -> None:
        self._node, self._identity = node, identity
        self._sender: TransactionSender | None = None
        """Of the dev control key."""
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

    async def fetch_round_state(
        self,
        runtime_id: RuntimeId,
        round: Round,  # noqa: A002
        keys: tuple[bytes, ...],
    ) -> ProvenState:
        """Values of state keys, with proof, after the block that made a round final."""
        height = self._node.store.rounds.load_height(runtime_id, round)
        if height is None:
            raise UnknownRound(f"round {round} of {runtime_id.hex()} is not final, or forgotten")
        return await self.fetch_proven_state(keys, height)

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
        return self._node.store.rounds.load_header(runtime_id, round)

    async def fetch_round_epoch(self, runtime_id: RuntimeId, round: Round) -> Epoch | None:  # noqa: A002
        """Epoch in which a round was finalized."""
        return self._node.store.rounds.load_epoch(runtime_id, round)

    async def fetch_oldest_round(self, runtime_id: RuntimeId) -> Round:
        """Round below which the chain cannot be taken back."""
        store = self._node.store
        return store.rounds.load_newest_by(runtime_id, store.first_height)

    async def fetch_round_headers(
        self, runtime_id: RuntimeId, first: Round, count: int
    ) -> tuple[BlockHeader, ...]:
        """ParaTime blocks of rounds in a row."""
        return self._node.store.rounds.load_headers(runtime_id, first, min(count, MAX_HEADERS))

    def watch_blocks(
        self, from_height: Height, incarnation: Incarnation | None = None
    ) -> AsyncIterator[BlockEvents]:
        """Events of every block from a height on, then of each new one."""
        return self._node.watch(from_height, incarnation)

    async def watch_news(
        self,
        about: RuntimeId,
        from_height: Height,
        incarnation: Incarnation | None = None,
        is_urgent: bool = False,
    ) -> AsyncIterator[BlockEvents]:
        """Events of the blocks from a height on that tell of a runtime."""
        async for events in self._node.watch(from_height, incarnation, is_urgent=is_urgent):
            if is_news(events, about):
                yield events

    # -- dev controls --------------------------------------------------------------------------

    async def advance_epoch(self, count: int) -> Epoch:
        """Move the epoch on, one after the other; needs dev controls. The new epoch."""
        self._dev_control(count)
        for _ in range(count):
            await self._control(Method.ADVANCE_EPOCH, AdvanceEpoch())
        return (await self.fetch_status()).epoch

    async def move_time(self, by_ms: int) -> int:
        """Move consensus time ahead, and have each ParaTime follow; needs dev controls."""
        await self._control(Method.MOVE_TIME, MoveTime(by_ms))
        await self._have_paratimes_follow()
        await self._until_settled()
        return self._node.engine.standing.time_ns

    async def set_next_timestamp(self, runtime_id: RuntimeId, timestamp_s: int) -> Round:
        """Choose a ParaTime's next timestamp, and show it to contracts; needs dev controls."""
        chosen = SetNextTimestamp(runtime_id, timestamp_s)
        await self._control(Method.SET_NEXT_TIMESTAMP, chosen)
        shown = await self.mine_rounds(runtime_id, 1)
        await self._control(Method.SET_NEXT_TIMESTAMP, chosen)
        await self._have_paratimes_follow(but=runtime_id)
        await self._until_settled()
        return shown

    async def mine_rounds(self, runtime_id: RuntimeId, count: int, interval_s: int = 0) -> Round:
        """Make rounds of a ParaTime without transactions; needs dev controls. The last of them."""
        left = self._within(count, MAX_ROUNDS_AT_ONCE)
        while left:
            step = min(left, MAX_MINED)
            await self._control(Method.MINE, Mine(runtime_id, step, interval_s))
            left -= step
            if interval_s:
                await self._until_settled()
            if left and interval_s:
                # The next begins as far behind the last as all others do.
                newest = await self.fetch_last_block(runtime_id)
                if newest is not None:
                    after = SetNextTimestamp(runtime_id, newest.timestamp + interval_s)
                    await self._control(Method.SET_NEXT_TIMESTAMP, after)
        return await self._newest_round(runtime_id)

    async def mine_waiting(self, runtime_id: RuntimeId) -> Round:
        """Have a ParaTime's scheduler propose what waits; needs dev controls. The round to come."""
        await self._control(Method.MINE, Mine(runtime_id, 0))
        return (await self.fetch_mining(runtime_id)).wanted

    async def set_mining(
        self,
        runtime_id: RuntimeId,
        automine: bool | None,
        interval_ms: int | None,
        step_s: int | None = None,
    ) -> None:
        """Say when a ParaTime makes rounds; needs dev controls."""
        change = SetMining(runtime_id, automine, interval_ms, step_s)
        await self._control(Method.SET_MINING, change)

    async def fetch_mining(self, runtime_id: RuntimeId, height: Height = NEWEST) -> Mining:
        """Say when a ParaTime makes rounds."""
        key = state_keys.mining_key(runtime_id)
        return await self._record(Mining, key, height) or USUAL

    async def _have_paratimes_follow(self, but: RuntimeId | None = None) -> None:
        """Have each ParaTime make a round, lest its enclaves stay behind the time."""
        for key, _ in (await self._tree(NEWEST)).items(state_keys.RUNTIMES):
            runtime_id = RuntimeId(key.removeprefix(state_keys.RUNTIMES))
            runtime = await self.fetch_runtime(runtime_id)
            if runtime_id == but or runtime is None or runtime.kind is not RuntimeKind.COMPUTE:
                continue
            with contextlib.suppress(NoOpenRound):  # it is suspended
                await self.mine_rounds(runtime_id, 1)

    async def _until_settled(self) -> None:
        """
        Wait until nodes and key managers have followed into the epoch, as far as they do so soon.

        Nodes register once an epoch: epochs that pass faster than they can would expire them all.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLING_S):
                async for _ in self._node.watch(0):
                    if await self._is_settled():
                        return

    async def _is_settled(self) -> bool:
        tree = await self._tree(NEWEST)
        epoch = (await self.fetch_status()).epoch
        if any(node.expiration <= epoch for node in await self.fetch_nodes()):
            return False
        for key, raw in tree.items(state_keys.RUNTIMES):
            if decode_record(RuntimeDescriptor, raw).kind is RuntimeKind.KEY_MANAGER:
                runtime_id = key.removeprefix(state_keys.RUNTIMES)
                published = tree.get(state_keys.ephemeral_secret_key(runtime_id))
                if published is None:
                    return False
                if decode_record(SignedPublishedSecret, published).secret.epoch < epoch:
                    return False
        return True

    async def _newest_round(self, runtime_id: RuntimeId) -> Round:
        newest = await self.fetch_last_block(runtime_id)
        if newest is None:
            raise NoOpenRound(f"runtime {runtime_id.hex()} makes no rounds")
        return newest.round

    async def _control(self, method: Method, body: object) -> None:
        """Have a block execute a transaction of the dev control key; raises what refuses it."""
        signer = self._dev_control(1)
        if self._sender is None:
            self._sender = TransactionSender(self, signer, self._identity.chain_context)
        verify_result(await self._sender.send(method, body))

    async def sign_dev_transaction(self, body: bytes) -> bytes:
        """Sign what edits an EVM's state; needs dev controls."""
        return self._dev_control(1).sign(DEV_TRANSACTION.anywhere(), body)

    async def mine_blocks(self, count: int) -> Height:
        """Make blocks at once; needs dev controls. The new height."""
        self._dev_control(count)
        return Height(self._node.mine(count))

    async def rewind(self, height: Height) -> None:
        """Forget all blocks above a height; needs dev controls."""
        self._dev_control(1)
        self._verify_same_code(self._node.store.load_events(height).epoch, height)
        self._node.rewind(height)

    async def take_snapshot(self) -> Snapshot:
        """Remember the newest block; needs dev controls."""
        self._dev_control(1)
        if len(self._node.store.snapshots.load()) >= MAX_SNAPSHOTS:
            raise TooManySnapshots(f"there are {MAX_SNAPSHOTS} snapshots")
        return self._node.store.add_snapshot()

    async def remember_start(self) -> None:
        """Remember the newest block as the start, unless one is known; needs dev controls."""
        self._dev_control(1)
        self._node.store.add_start(since=self._deployed_since())

    async def fetch_snapshots(self) -> tuple[Snapshot, ...]:
        """Snapshots that can be gone back to."""
        return self._node.store.snapshots.load()

    async def drop_snapshot(self, snapshot_id: int) -> None:
        """Forget a snapshot; needs dev controls."""
        self._dev_control(1)
        if snapshot_id == START_SNAPSHOT:
            raise UnknownSnapshot("the start is no snapshot that can be dropped")
        self._node.store.snapshots.drop(self._snapshot(snapshot_id).id)

    async def revert(self, snapshot_id: int, patience_ms: int = PATIENCE_MS) -> Reverted:
        """Go back to a snapshot with the whole network; needs dev controls."""
        self._dev_control(1)
        snapshot, node = self._snapshot(snapshot_id), self._node
        self._verify_same_code(snapshot.epoch, snapshot.height)
        # The engine resumes from two heights.
        if node.store.first_height > max(snapshot.height - 1, 1):
            raise StartForgotten(
                f"the chain's start at height {snapshot.height} is not kept any more: history goes "
                f"back to height {node.store.first_height} (QANAT_KEEP_HEIGHTS); `qanat up --wipe`"
            )
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

    def _verify_same_code(self, epoch: int, height: int) -> None:
        """Refuse to go back to before a deployment: its runtimes' enclaves are in use now."""
        since = self._deployed_since()
        if epoch < since:
            raise OtherCodeThen(
                f"at height {height}, in epoch {epoch}, other enclaves were deployed: those of now "
                f"are since epoch {since}, and nobody runs the code of before"
            )

    def _deployed_since(self) -> int:
        """First epoch in which all runtimes ran what they run now."""
        tree = self._node.store.load_tree()
        epoch = self._node.store.load_events(self._node.height).epoch
        runtimes = (
            decode_record(RuntimeDescriptor, raw) for _, raw in tree.items(state_keys.RUNTIMES)
        )
        active = (runtime.active_deployment(epoch) for runtime in runtimes)
        return max((one.valid_from for one in active if one is not None), default=0)

    def _snapshot(self, snapshot_id: int) -> Snapshot:
        for snapshot in self._node.store.snapshots.load():
            if snapshot.id == snapshot_id:
                return snapshot
        raise UnknownSnapshot(f"there is no snapshot {snapshot_id}")

    def _dev_control(self, count: int) -> Signer:
        if self._identity.dev_control is None:
            raise DevControlsOff(
                "set QANAT_UNSAFE_DEV_CONTROLS=1 in a network whose genesis allows dev controls"
            )
        self._within(count, MAX_BLOCKS_AT_ONCE)
        return self._identity.dev_control

    def _within(self, count: int, most: int) -> int:
        if not 0 < count <= most:
            raise TooManyAtOnce(f"{count} at once, at least 1 and at most {most}")
        return count

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
