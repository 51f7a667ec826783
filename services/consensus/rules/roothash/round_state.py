"""Records of rounds, as they stand in consensus state."""

from dataclasses import dataclass, field

from shared.types.identity import Hash, NodeId, Round
from shared.types.registry import RuntimeDescriptor

FAILURE_VOTE = b""
"""Stands in the place of a vote's hash where a node has no result."""


@dataclass(frozen=True, slots=True)
class ProposalVotes:
    """What was said about the proposal of one scheduler."""

    scheduler_id: NodeId
    state_root: Hash | None = None
    """Of the scheduler's own commitment; None until there is one."""
    io_root: Hash | None = None
    votes: dict[bytes, bytes] = field(default_factory=dict)
    """Hash of the results, or `FAILURE_VOTE`, by node id; the scheduler's own among them."""
    messages: tuple[bytes, ...] | None = None
    """Of the scheduler's own commitment, where it has any."""


@dataclass(frozen=True, slots=True)
class RoundState:
    """Value at `state_keys.round_state_key`: the open round of a runtime with a committee."""

    highest_rank: int | None = None
    """Best rank, 0 first, of the schedulers that committed; None before the first."""
    proposals: dict[int, ProposalVotes] = field(default_factory=dict)
    """By rank; none is worse than `highest_rank`."""
    is_discrepancy: bool = False
    """Whether backup workers decide."""
    deadline_ns: int | None = None
    """Consensus time at which patience ends [ns]; None before the first commitment."""


@dataclass(frozen=True, slots=True)
class RuntimeState:
    """Value at `state_keys.runtime_state_key`."""

    descriptor: RuntimeDescriptor
    """As it was when the committee began, without genesis: a change waits for the next epoch."""
    is_suspended: bool = False


@dataclass(frozen=True, slots=True)
class RoundResults:
    """Value at `state_keys.round_results_key`: how the last normal round came about."""

    round: Round
    good_nodes: tuple[NodeId, ...]
    """Voted for the result."""
    bad_nodes: tuple[NodeId, ...]
    """Voted for another one."""


@dataclass(frozen=True, slots=True)
class LivenessStatistics:
    """Value at `state_keys.liveness_key`: who took part in the rounds of this epoch."""

    duty_rounds: dict[bytes, int] = field(default_factory=dict)
    """Normal rounds in which the node was a worker, by node id: newcomers have fewer."""
    live_rounds: dict[bytes, int] = field(default_factory=dict)
    """Rounds with a good vote, by node id."""
    finalized_proposals: dict[bytes, int] = field(default_factory=dict)
    """Rounds that the node proposed as the first in rank, by node id."""
    missed_proposals: dict[bytes, int] = field(default_factory=dict)
    """Rounds that it should have proposed, and another did or none."""
