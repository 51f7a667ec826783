"""
The consensus service, as others see it.

Reads answer from committed state; `NEWEST` is the default. Hosts believe their consensus
service; enclaves believe only `ProvenState`.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from shared.encoding.contract import Transport, client_of, dev_control, known_only
from shared.errors import Rejected, Unavailable
from shared.types.block import BlockHeader
from shared.types.identity import (
    FIRST_INCARNATION,
    Address,
    Epoch,
    Height,
    Incarnation,
    NodeId,
    Round,
    RuntimeId,
)
from shared.types.keymanager import KeyManagerStatus, SignedPublishedSecret
from shared.types.mining import Mining, MiningChanged
from shared.types.proof import ProvenBytes, ProvenState
from shared.types.registry import Committee, NodeDescriptor, RuntimeDescriptor
from shared.types.transaction import TransactionResult

PATIENCE_MS = 5_000
"""How long a rewind waits for nodes, by default [ms]."""
NEWEST = Height(0)
"""Stands for the newest committed block in reads."""
CHECKPOINT_ROUNDS = 64
"""
Headers of rounds that this number divides are kept for ever [rounds].

So many rounds a node asks of a peer at once, so it checks each answer by one checkpoint at most.
"""


class UnknownHeight(Rejected, module="consensus", code=2):
    """The chain has no such block, or no longer."""

    def __init__(self, height: int) -> None:
        super().__init__(f"there is no block of height {height} in the store")
        self.height = height


class UnknownRound(Rejected, module="consensus", code=13):
    """The round of the ParaTime is not final, or of so long ago that nothing is kept of it."""


class ChainRewound(Unavailable, module="consensus", code=4):
    """The chain went back to an earlier height: what was under way is void; look anew."""


class DevControlsOff(Rejected, module="consensus", code=5):
    """The network, or this process, was started without dev controls."""


class TooManyAtOnce(Rejected, module="consensus", code=6):
    """The call asks for more than one call may do."""


class UnknownSnapshot(Rejected, module="consensus", code=7):
    """There is no such snapshot, or the chain went back to before it."""


class TooManyFollowers(Rejected, module="consensus", code=8):
    """More nodes report than one network has."""


class TooManySnapshots(Rejected, module="consensus", code=9):
    """Drop some first: each keeps the history from its height on."""


class StartForgotten(Rejected, module="consensus", code=11):
    """The chain's start is not kept any more: history has a window, and no snapshot pins it."""


class OtherCodeThen(Rejected, module="consensus", code=12):
    """At that height other enclaves were deployed, whose code nobody here runs any more."""


class AlreadyPending(Rejected, module="pool", code=1):
    """The very same transaction waits already."""


class TransactionTooLarge(Rejected, module="pool", code=2):
    """The transaction is over the limit of the genesis document."""


class PoolFull(Unavailable, module="pool", code=3):
    """Too many transactions wait; try again after the next block."""


class InvalidNonce(Rejected, module="transaction", code=3):
    """The nonce is not the one that is next for this sender."""

    def __init__(self, got: int, expected: int) -> None:
        super().__init__(f"nonce {got}, expected {expected}")
        self.got, self.expected = got, expected


@dataclass(frozen=True, slots=True)
class ConsensusStatus:
    """Where the chain stands."""

    chain_id: str
    chain_context: str
    height: Height
    time_ns: int
    """Time of the newest block [ns]."""
    epoch: Epoch
    state_root: bytes
    engine: str
    capabilities: tuple[str, ...]
    """Of rewind, mine, exact_replay, multi_machine."""
    is_mock_tee: bool
    incarnation: Incarnation = FIRST_INCARNATION
    """Life of the chain: how often it was rewound."""


@dataclass(frozen=True, slots=True)
class FinalizedRound:
    """A new ParaTime block."""

    runtime_id: RuntimeId
    header: BlockHeader
    had_discrepancy: bool = False
    good_nodes: tuple[NodeId, ...] = ()
    bad_nodes: tuple[NodeId, ...] = ()


@dataclass(frozen=True, slots=True)
class DiscrepancyDetected:
    """The workers of a round disagree: backup workers must vote."""

    runtime_id: RuntimeId
    round: Round
    rank: int
    is_timeout: bool


@dataclass(frozen=True, slots=True)
class CommitmentAccepted:
    """A node's commitment entered the open round."""

    runtime_id: RuntimeId
    round: Round
    node_id: NodeId


@dataclass(frozen=True, slots=True)
class Slashed:
    """Stake was taken."""

    account: Address
    reason: str
    amount: int


@dataclass(frozen=True, slots=True)
class BlockEvents:
    """What one consensus block changed."""

    height: Height
    time_ns: int
    epoch: Epoch
    is_epoch_change: bool = False
    finalized: tuple[FinalizedRound, ...] = ()
    discrepancies: tuple[DiscrepancyDetected, ...] = ()
    commitments: tuple[CommitmentAccepted, ...] = ()
    slashed: tuple[Slashed, ...] = ()
    key_managers: tuple[KeyManagerStatus, ...] = ()
    """Statuses that changed."""
    secrets: tuple[SignedPublishedSecret, ...] = ()
    registered: tuple[NodeId, ...] = ()
    incarnation: Incarnation = FIRST_INCARNATION
    """Life of the chain in which the block was made."""
    mining: tuple[MiningChanged, ...] = ()
    """ParaTimes whose rounds are to be made in another way from now on."""
    proven: ProvenBytes | None = None
    """A `ProvenState` of the last-block keys of the finalized rounds; None where there are none."""


START_SNAPSHOT = 0
"""Id of the point at which the network was first ready."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A point of the chain that the network can go back to."""

    id: int
    """Rises from 1, and names no other one ever after; `START_SNAPSHOT` is the start."""
    height: Height
    incarnation: Incarnation
    epoch: Epoch
    time_ns: int
    """Of that block [ns]."""


@dataclass(frozen=True, slots=True)
class Reverted:
    """What became of a rewind of the whole network."""

    height: Height
    """Last block that is left of the life before."""
    incarnation: Incarnation
    arrived: tuple[str, ...]
    """Nodes that are in the new life."""
    missing: tuple[str, ...]
    """Nodes that did not say so in time; they follow when they return."""


def is_news(events: BlockEvents, about: RuntimeId) -> bool:
    """Say whether a block tells who follows a runtime more than that a vote came in."""
    return bool(
        events.is_epoch_change
        or events.registered
        or events.slashed
        or any(round_.runtime_id == about for round_ in events.finalized)
        or any(found.runtime_id == about for found in events.discrepancies)
        or events.key_managers
        or events.secrets
        or any(change.runtime_id == about for change in events.mining)
    )


class ConsensusApi(Protocol):
    """Messages of the consensus service."""

    async def fetch_status(self) -> ConsensusStatus:
        """Where the chain stands."""
        ...

    async def fetch_genesis(self) -> bytes:
        """Give the canonical genesis document."""
        ...

    async def submit_transaction(self, raw: bytes) -> bytes:
        """Put a signed transaction into the pool; its hash, or why it was refused."""
        ...

    async def execute_transaction(self, raw: bytes) -> TransactionResult:
        """Put a signed transaction into the pool and wait until a block has executed it."""
        ...

    async def fetch_nonce(self, address: Address) -> int:
        """Nonce of the next transaction, counting those in the pool."""
        ...

    async def fetch_balance(self, address: Address, height: Height = NEWEST) -> int:
        """Balance of a staking account [base units]."""
        ...

    async def fetch_escrow(self, address: Address, height: Height = NEWEST) -> int:
        """Active stake of a staking account [base units]."""
        ...

    async def fetch_state(
        self, keys: tuple[bytes, ...], height: Height = NEWEST
    ) -> tuple[bytes | None, ...]:
        """Values of state keys (`shared.rules.state_keys`), without proof."""
        ...

    async def fetch_proven_state(
        self, keys: tuple[bytes, ...], height: Height = NEWEST
    ) -> ProvenState:
        """Values of state keys, with proof."""
        ...

    async def fetch_round_state(
        self,
        runtime_id: RuntimeId,
        round: Round,  # noqa: A002
        keys: tuple[bytes, ...],
    ) -> ProvenState:
        """Values of state keys, with proof, after the block that made a ParaTime's round final."""
        ...

    async def fetch_nodes(self, height: Height = NEWEST) -> tuple[NodeDescriptor, ...]:
        """Registered nodes that have not expired."""
        ...

    async def fetch_runtime(
        self, runtime_id: RuntimeId, height: Height = NEWEST
    ) -> RuntimeDescriptor | None:
        """Descriptor of a runtime."""
        ...

    async def fetch_committee(
        self, runtime_id: RuntimeId, height: Height = NEWEST
    ) -> Committee | None:
        """Committee of this epoch; None where none could be elected."""
        ...

    async def fetch_last_block(
        self, runtime_id: RuntimeId, height: Height = NEWEST
    ) -> BlockHeader | None:
        """Newest ParaTime block."""
        ...

    async def fetch_key_manager(
        self, runtime_id: RuntimeId, height: Height = NEWEST
    ) -> KeyManagerStatus | None:
        """Status of a key manager."""
        ...

    async def fetch_round_header(self, runtime_id: RuntimeId, round: Round) -> BlockHeader | None:  # noqa: A002
        """ParaTime block of a round."""
        ...

    async def fetch_round_epoch(self, runtime_id: RuntimeId, round: Round) -> Epoch | None:  # noqa: A002
        """Epoch in which a round was finalized: the one whose keys executed it."""
        ...

    async def fetch_oldest_round(self, runtime_id: RuntimeId) -> Round:
        """
        Round of a ParaTime below which the chain cannot be taken back; 0 while it has none.

        It follows from the heights that are kept: the window, and what snapshots need.
        """
        ...

    async def fetch_round_headers(
        self, runtime_id: RuntimeId, first: Round, count: int
    ) -> tuple[BlockHeader, ...]:
        """
        ParaTime blocks of rounds in a row, of up to `count` rounds: the last row that there is.

        Of what lies beyond the window of heights, every `CHECKPOINT_ROUNDS`-th round is kept.
        """
        ...

    def watch_blocks(
        self, from_height: Height, incarnation: Incarnation | None = None
    ) -> AsyncIterator[BlockEvents]:
        """
        Events of every block from a height on, then of each new one; 0 begins at the newest.

        Ends with `ChainRewound` where the chain is, or comes to be, in another life than the one
        that the caller names, by default the one that is.
        """
        ...

    def watch_news(
        self,
        about: RuntimeId,
        from_height: Height,
        incarnation: Incarnation | None = None,
        is_urgent: bool = False,
    ) -> AsyncIterator[BlockEvents]:
        """
        Like `watch_blocks`, without blocks that say nothing about a runtime.

        Who says that it is urgent, as gateways do for the clients that wait, is told first.

        Many blocks of a busy network hold but a single vote, and to send them to everybody costs
        more than to make them.
        """
        ...

    @dev_control
    async def advance_epoch(self, count: int) -> Epoch:
        """Move the epoch on, one after the other; needs dev controls. The new epoch."""
        ...

    @dev_control
    async def move_time(self, by_ms: int) -> int:
        """
        Move consensus time ahead, and have each ParaTime make a round in it; needs dev controls.

        The new time [ns].
        """
        ...

    @dev_control
    async def set_next_timestamp(self, runtime_id: RuntimeId, timestamp_s: int) -> Round:
        """
        Choose the timestamp of a ParaTime's next round with transactions; needs dev controls.

        The time moves there, and a round without any is made at once, so that contracts, which see
        the time of the round before, see this one. That round.
        """
        ...

    @dev_control
    async def mine_rounds(self, runtime_id: RuntimeId, count: int, interval_s: int = 0) -> Round:
        """Make rounds of a ParaTime without transactions; needs dev controls. The last of them."""
        ...

    @dev_control
    async def mine_waiting(self, runtime_id: RuntimeId) -> Round:
        """Have a ParaTime's scheduler propose what waits; needs dev controls. The round to come."""
        ...

    @dev_control
    async def set_mining(
        self,
        runtime_id: RuntimeId,
        automine: bool | None,
        interval_ms: int | None,
        step_s: int | None = None,
    ) -> None:
        """Say when a ParaTime makes rounds; needs dev controls. None leaves a part as it is."""
        ...

    async def fetch_mining(self, runtime_id: RuntimeId, height: Height = NEWEST) -> Mining:
        """Say when a ParaTime makes rounds."""
        ...

    @dev_control
    async def sign_dev_transaction(self, body: bytes) -> bytes:
        """Sign what edits an EVM's state, by the dev-control key; needs dev controls. 64 bytes."""
        ...

    @dev_control
    async def mine_blocks(self, count: int) -> Height:
        """Make blocks at once; needs dev controls and capability `mine`. The new height."""
        ...

    @dev_control
    async def rewind(self, height: Height) -> None:
        """
        Forget all blocks above a height; needs dev controls and capability `rewind`.

        Raises `OtherCodeThen`.
        """
        ...

    @dev_control
    async def take_snapshot(self) -> Snapshot:
        """Remember the newest block, for good; needs dev controls and capability `rewind`."""
        ...

    async def fetch_snapshots(self) -> tuple[Snapshot, ...]:
        """Snapshots that can be gone back to, oldest first."""
        ...

    @dev_control
    async def remember_start(self) -> None:
        """
        Remember the newest block as the start, `START_SNAPSHOT`; only the first call does.

        Where other enclaves were deployed since, it does so again. Needs dev controls. The start
        does not keep history, as other snapshots do.
        """
        ...

    @dev_control
    async def drop_snapshot(self, snapshot_id: int) -> None:
        """Forget a snapshot; needs dev controls. The chain stays as it is."""
        ...

    @dev_control
    async def revert(self, snapshot_id: int, patience_ms: int = PATIENCE_MS) -> Reverted:
        """
        Go back to a snapshot with the whole network; needs dev controls and capability `rewind`.

        Returns when every node that follows has said that it is there, or patience ends. Later
        snapshots are gone; this one stays. Raises `UnknownSnapshot`, and `StartForgotten` for a
        start that is out of the window, or `OtherCodeThen`.
        """
        ...

    @known_only
    async def report_incarnation(self, follower: str, incarnation: Incarnation) -> None:
        """Say that a node has arrived in a life of the chain, for who waits for that."""
        ...


def consensus_client(transport: Transport) -> ConsensusApi:
    """Make a client."""
    return client_of(ConsensusApi, transport)
