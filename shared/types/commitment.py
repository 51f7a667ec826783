"""
What the nodes of a committee sign about a round.

Source: oasis-core go/roothash/api/commitment @ f9f1fdc. Differs: a commitment names its round.
"""

import enum
from dataclasses import dataclass

from shared.crypto.hashes import EMPTY_HASH
from shared.crypto.signing import register_context
from shared.types.identity import Hash, NodeId, RawSignature, Round, RuntimeId
from shared.types.messages import Messages

EXECUTOR_COMMITMENT = register_context("qanat/roothash: executor commitment")
COMPUTE_RESULTS_HEADER = register_context("qanat/roothash: compute results header")
PROPOSAL = register_context("qanat/roothash: proposal")


class CommitmentFailure(enum.IntEnum):
    """Why a node could not give a result."""

    NONE = 0
    UNKNOWN = 1
    STATE_UNAVAILABLE = 2


@dataclass(frozen=True, slots=True)
class ComputeResultsHeader:
    """The result of a round, as its enclave saw it; the RAK signs this."""

    round: Round
    previous_hash: Hash
    """Hash of the block header that the round builds on."""
    io_root: Hash
    state_root: Hash
    messages_hash: Hash = EMPTY_HASH
    in_msgs_hash: Hash = EMPTY_HASH
    in_msgs_count: int = 0


@dataclass(frozen=True, slots=True)
class CommitmentHeader:
    """Whose proposal was executed, and with what result."""

    scheduler_id: NodeId
    results: ComputeResultsHeader | None = None
    """None where `failure` is set."""
    failure: CommitmentFailure = CommitmentFailure.NONE
    rak_signature: RawSignature | None = None
    """By the enclave's RAK over the results header; context of chain, runtime and incarnation."""


@dataclass(frozen=True, slots=True)
class ExecutorCommitment:
    """One node's vote on a round."""

    node_id: NodeId
    header: CommitmentHeader
    signature: RawSignature
    """By the node key over the header; context bound to chain, runtime and incarnation."""
    round: Round
    """The open round it is for, also where the header has no results."""
    messages: Messages | None = None
    """Of the scheduler only, where its results have any: what stands under their hash."""


@dataclass(frozen=True, slots=True)
class ProposalHeader:
    """Which batch a scheduler wants executed."""

    round: Round
    previous_hash: Hash
    batch_hash: Hash
    """SHA-512/256 of the canonical CBOR list of the transactions."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A scheduler's batch for a round, with the transactions themselves."""

    runtime_id: RuntimeId
    node_id: NodeId
    header: ProposalHeader
    signature: RawSignature
    """By the node key over the header; context bound to chain, runtime and incarnation."""
    batch: tuple[bytes, ...]
