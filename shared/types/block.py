"""Blocks of a ParaTime."""

import enum
from dataclasses import dataclass

from shared.crypto.hashes import EMPTY_HASH, sha512_256
from shared.encoding.record import encode_record
from shared.types.identity import Epoch, Hash, Height, Round, RuntimeId


class HeaderType(enum.IntEnum):
    """Why the block exists. Source: oasis-core go/roothash/api/block/header.go @ f9f1fdc."""

    NORMAL = 1
    """A round whose results were agreed on."""
    ROUND_FAILED = 2
    """No agreement: the state stays as it was."""
    EPOCH_TRANSITION = 3
    """A new committee begins."""
    SUSPENDED = 4
    """No committee can be elected."""


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """
    What consensus finalizes for one round.

    A block that is not normal advances the round, keeps the state root and has empty inputs and
    outputs.
    """

    version: int
    namespace: RuntimeId
    round: Round
    timestamp: int
    """Consensus time of finalization [s]."""
    header_type: HeaderType
    previous_hash: Hash
    io_root: Hash
    """Root over the transactions and their results."""
    state_root: Hash
    messages_hash: Hash = EMPTY_HASH
    """Of what the round asked of consensus."""
    in_msgs_hash: Hash = EMPTY_HASH
    """Of the `Inbox` with which the next round begins."""

    def hash(self) -> bytes:
        """Hash that the next header names: SHA-512/256 of the canonical CBOR."""
        return sha512_256(encode_record(self))


@dataclass(frozen=True, slots=True)
class RoundRoots:
    """Value at `state_keys.past_roots_key`: what a round came to."""

    state_root: Hash
    io_root: Hash
    height: Height | None = None
    """Consensus block that made the round final; None of rounds before this was kept."""


@dataclass(frozen=True, slots=True)
class RoundBlock:
    """A round with all that was executed in it."""

    header: BlockHeader
    transactions: tuple[bytes, ...] = ()
    """Raw signed transactions, in order."""
    results: tuple[bytes, ...] = ()
    """
    One result of the runtime per transaction, and behind them, where it has one, that of the round.

    See `docs/services/compute.md`; `results_of` and `summary_of` tell them apart.
    """
    epoch: Epoch | None = None
    """
    Epoch in which the round was finalized: executing it again needs that epoch's keys.

    Nothing proves it but the outcome. None where a node does not know.
    """

    @property
    def contents_bytes(self) -> int:
        """Size of its transactions and results together [bytes]."""
        return sum(map(len, self.transactions)) + sum(map(len, self.results))


@dataclass(frozen=True, slots=True)
class ExecutedRound:
    """
    What a worker made of a round before consensus has decided on it.

    Nothing is believed of it until a header comes that is final and names its I/O root.
    """

    round: Round
    transactions: tuple[bytes, ...]
    results: tuple[bytes, ...]
    """As in `RoundBlock`."""


def results_of(block: RoundBlock) -> tuple[bytes, ...]:
    """The results of the transactions, one for each."""
    return block.results[: len(block.transactions)]


def summary_of(block: RoundBlock) -> bytes | None:
    """The result of the round itself; None where it has none."""
    behind = block.results[len(block.transactions) :]
    return behind[0] if behind else None


def has_its_results(block: RoundBlock) -> bool:
    """Whether there is a result for each transaction, and at most one of the round itself."""
    return len(block.results) - len(block.transactions) in (0, 1)


@dataclass(frozen=True, slots=True)
class RoundChange:
    """A round with the change of state that it made, for a node that catches up."""

    block: RoundBlock
    diff: bytes
    """Canonical change set; applying it gives the header's state root. Empty where the round is not
    normal."""
