"""
What an engine asks of the application: the methods of ABCI 2.0.

Both engines drive this interface: `solo` in process, `cometbft` through an adapter that turns these
classes into protobuf. Source: cometbft spec/abci @ v0.40.0. Differs: no snapshots, vote extensions
or changes of consensus parameters; `next_deadline_ns`, `time_shift_ns` and `missing_voters` are
ours.

Ten rules bind whoever implements `Application`; `tests/integration/consensus` checks them.

1.  `init_chain`, `process_proposal` and `finalize_block` are functions of state and arguments: no
    clock, chance, float, set order or other process.
2.  Time is `Block.time_ns` and rises strictly.
3.  A bad transaction gives a code other than 0; an exception stops the engine. One result for each.
4.  `check_tx` only filters, on committed state plus what is pending; `finalize_block` repeats every
    check.
5.  A block without due work leaves the app hash as it was.
6.  `prepare_proposal` executes the block and appends a last transaction that carries the new root;
    `process_proposal` compares it, so the data hash of a block proves the state after that block.
7.  `process_proposal` accepts whatever an honest `prepare_proposal` makes. It may run several times
    for one height; `finalize_block` once, and again after a crash.
8.  Validator updates of height H sign from H + 2. Power 0 removes; the set is never emptied; a key
    appears once in a block.
9.  Misbehavior arrives verified, once for each offence.
10. `commit` persists all that a block made in one transaction, and is short.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from shared.encoding.record import Bytes20, Bytes32
from shared.errors import Rejected
from shared.types.identity import NodeId


class UnknownQuery(Rejected, module="consensus", code=1):
    """The application answers no query under this path."""


@dataclass(frozen=True, slots=True)
class AppInfo:
    """Where the application's last persisted commit stands."""

    height: int
    """0 before the first commit."""
    app_hash: bytes
    """32 bytes; empty before `init_chain`."""
    version: int


@dataclass(frozen=True, slots=True)
class ValidatorPower:
    """A validator's key and its weight; power 0 removes it."""

    public_key: Bytes32
    power: int


@dataclass(frozen=True, slots=True)
class Genesis:
    """What a chain begins with, as the engine hands it over."""

    chain_id: str
    time_ns: int
    initial_height: int
    validators: tuple[ValidatorPower, ...]
    document: bytes
    """Canonical CBOR of `shared.types.genesis.Genesis`."""


@dataclass(frozen=True, slots=True)
class InitResult:
    """What the application makes of the genesis."""

    app_hash: bytes
    """32 bytes; stands in the header of the first block."""
    validators: tuple[ValidatorPower, ...] = ()
    """Replaces the validators of the genesis; empty keeps them."""


@dataclass(frozen=True, slots=True)
class Vote:
    """Part of a validator in the commit of the previous block."""

    address: Bytes20
    power: int
    signed: bool


class MisbehaviorKind(IntEnum):
    """What a validator did. Source: cometbft proto/tendermint/abci, MisbehaviorType."""

    DOUBLE_VOTE = 1
    LIGHT_CLIENT_ATTACK = 2


@dataclass(frozen=True, slots=True)
class Misbehavior:
    """A proven offence of a validator."""

    kind: MisbehaviorKind
    address: Bytes20
    height: int
    """Of the offence."""
    time_ns: int
    total_power: int
    """Of the validator set at that height."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block, proposed or decided."""

    height: int
    time_ns: int
    txs: tuple[bytes, ...]
    proposer: Bytes20
    last_votes: tuple[Vote, ...] = ()
    misbehavior: tuple[Misbehavior, ...] = ()
    hash: bytes = b""
    """Header hash, 32 bytes; empty while the block is being prepared."""
    next_validators_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Event:
    """Something a block did, for people: the engine keeps it, hashes it not."""

    kind: str
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TxResult:
    """What became of a transaction. Only code, data and the two gas fields are hashed."""

    code: int
    data: bytes = b""
    gas_wanted: int = 0
    gas_used: int = 0
    log: str = ""
    codespace: str = ""
    """Module of the error; empty on success."""
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What a decided block made."""

    app_hash: bytes
    tx_results: tuple[TxResult, ...]
    validator_updates: tuple[ValidatorPower, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Answer to a query."""

    height: int
    """State that answered."""
    value: bytes | None
    """None where there is nothing under that key."""


class Application(Protocol):
    """The replicated state machine. One thread, one call at a time, nothing awaited inside."""

    def info(self) -> AppInfo:
        """Say where the last persisted commit stands."""
        ...

    def init_chain(self, genesis: Genesis) -> InitResult:
        """Make the first state; called at height 0, and again after a crash there."""
        ...

    def check_tx(self, tx: bytes, recheck: bool) -> TxResult:
        """Say whether a transaction may enter the pool, or after a commit stay in it."""
        ...

    def prepare_proposal(self, block: Block, max_bytes: int) -> Sequence[bytes]:
        """
        Choose the transactions of a block from those that wait.

        `block.txs` holds the candidates, oldest first. What comes back is at most `max_bytes` long
        and ends with the transaction that carries the state root.
        """
        ...

    def process_proposal(self, block: Block) -> bool:
        """Say whether a proposed block may be decided."""
        ...

    def finalize_block(self, block: Block) -> BlockResult:
        """Execute a decided block; persists nothing."""
        ...

    def commit(self) -> int:
        """
        Persist the block that `finalize_block` executed, in one transaction.

        Returns
        -------
        retain_height : int
            Lowest height that must be kept; 0 keeps all.
        """
        ...

    def query(self, path: str, data: bytes, height: int) -> QueryResult:
        """Read committed state at a height; 0 is the newest. Raises `UnknownQuery`."""
        ...

    def next_deadline_ns(self) -> int | None:
        """
        Say when committed state has work that is due without a transaction.

        Header time [ns], such as the end of an epoch or a round's timeout; None where only
        transactions make work. An engine makes a block no later than its beat after this time.
        """
        ...

    def time_shift_ns(self) -> int:
        """Say how far header time is ahead of the engine's clock, by committed state [ns]."""
        ...

    def missing_voters(self, waiting: Iterable[bytes]) -> frozenset[NodeId]:
        """
        Say whose transactions the next block would do well to wait for, beside those that wait.

        An engine may wait a moment for them, or not at all; empty where the block should be made
        at once.
        """
        ...
