"""Blocks of a ParaTime."""

import enum
from dataclasses import dataclass

from shared.crypto.hashes import EMPTY_HASH, sha512_256
from shared.encoding.record import encode_record
from shared.types.identity import Epoch, Hash, Round, RuntimeId


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
class RoundBlock:
    """A round with all that was executed in it."""

    header: BlockHeader
    transactions: tuple[bytes, ...] = ()
    """Raw signed transactions, in order."""
    results: tuple[bytes, ...] = ()
    """One result of the runtime per transaction; see `docs/services/compute.md`."""
    epoch: Epoch | None = None
    """
    Epoch in which the round was finalized: executing it again needs that epoch's keys.

    Nothing proves it but the outcome. None where a node does not know.
    """


@dataclass(frozen=True, slots=True)
class RoundChange:
    """A round with the change of state that it made, for a node that catches up."""

    block: RoundBlock
    diff: bytes
    """Canonical change set; applying it gives the header's state root. Empty where the round is not
    normal."""
