"""
A worker's round as a table: in which state the node is, and where it may go from there.

Each state holds only what is known in it. A round ends when consensus finalizes a header for it,
whatever the node was doing; the next round begins in `Following` or `WaitingForBatch`. Source:
oasis-core go/worker/compute/executor/committee/state.go @ f9f1fdc. Differs: the states of waiting
for single transactions are gone, since a proposal carries its batch; a node keeps its vote in
`Committed`, so that a restart sends it again.
"""

from dataclasses import dataclass

from shared.types.commitment import (
    CommitmentFailure,
    CommitmentHeader,
    ComputeResultsHeader,
    Proposal,
)
from shared.types.identity import NodeId, Round
from shared.types.registry import Committee


class IllegalMove(AssertionError):
    """The node tried to go where the table does not lead: a bug."""


@dataclass(frozen=True, slots=True)
class Duty:
    """What the committee asks of this node in one round."""

    rank: int | None = None
    """As scheduler; None for who is no worker."""
    is_backup: bool = False

    @property
    def is_worker(self) -> bool:
        """Whether the node executes every proposal."""
        return self.rank is not None

    @property
    def is_member(self) -> bool:
        """Whether the node may have to vote at all."""
        return self.is_worker or self.is_backup


@dataclass(frozen=True, slots=True)
class Following:
    """The node has no part in the round, or is not level with consensus yet."""

    round: Round


@dataclass(frozen=True, slots=True)
class WaitingForBatch:
    """The node is level and expects a proposal, its own or another's."""

    round: Round
    duty: Duty


@dataclass(frozen=True, slots=True)
class WaitingForEvent:
    """A backup worker holds a proposal until consensus tells of a discrepancy."""

    round: Round
    duty: Duty
    proposal: Proposal
    rank: int
    """Of the proposal's scheduler."""


@dataclass(frozen=True, slots=True)
class Processing:
    """The enclave executes a proposal."""

    round: Round
    duty: Duty
    proposal: Proposal
    rank: int


@dataclass(frozen=True, slots=True)
class Committed:
    """Results are on disk, and the vote for them is signed and sent."""

    round: Round
    duty: Duty
    proposal: Proposal
    rank: int
    results: ComputeResultsHeader


@dataclass(frozen=True, slots=True)
class Failed:
    """The node could not execute the proposal and has said so."""

    round: Round
    duty: Duty
    proposal: Proposal
    rank: int
    failure: CommitmentFailure


RoundPhase = Following | WaitingForBatch | WaitingForEvent | Processing | Committed | Failed

ALLOWED: dict[type, tuple[type, ...]] = {
    Following: (WaitingForBatch,),
    WaitingForBatch: (WaitingForEvent, Processing, Committed, Failed),
    WaitingForEvent: (WaitingForEvent, Processing),
    Processing: (Processing, Committed, Failed),
    Committed: (Processing,),
    Failed: (Processing,),
}
"""
Moves within one round.

`WaitingForBatch` leads to `Committed` or `Failed` when the vote was cast before a restart. A better
proposal leads back to `Processing`.
"""

BEGINNINGS = (Following, WaitingForBatch)
"""Where a later round begins, from any state."""


def move(phase: RoundPhase, following: RoundPhase) -> RoundPhase:
    """
    Go from one state to the next.

    Raises
    ------
    IllegalMove
        The table does not lead there, the round runs backwards, or a vote would go to a proposal
        that is not better than the one voted for.
    """
    if following.round > phase.round:
        if not isinstance(following, BEGINNINGS):
            raise IllegalMove(f"round {following.round} cannot begin as {type(following).__name__}")
        return following
    if following.round < phase.round:
        raise IllegalMove(f"round {phase.round} cannot go back to {following.round}")
    if type(following) not in ALLOWED[type(phase)]:
        raise IllegalMove(f"{type(phase).__name__} does not lead to {type(following).__name__}")
    if isinstance(phase, WaitingForEvent | Committed | Failed) and isinstance(
        following, WaitingForEvent | Processing
    ):
        is_same = following.proposal == phase.proposal
        is_release = isinstance(phase, WaitingForEvent) and is_same
        if not is_release and following.rank >= phase.rank:
            raise IllegalMove(f"rank {following.rank} is not better than {phase.rank}")
    return following


def duty_of(committee: Committee | None, round_: Round, node_id: bytes) -> Duty:
    """Read a node's part in a round from the committee of the epoch."""
    if committee is None:
        return Duty()
    return Duty(
        rank=committee.scheduler_rank(round_, node_id), is_backup=node_id in committee.backups()
    )


@dataclass(frozen=True, slots=True)
class Execute:
    """Execute the proposal now."""


@dataclass(frozen=True, slots=True)
class HoldForEvent:
    """Keep the proposal until consensus tells of a discrepancy."""


@dataclass(frozen=True, slots=True)
class HoldUntil:
    """The scheduler's rank may not propose yet."""

    due_ns: int


@dataclass(frozen=True, slots=True)
class Ignore:
    """The proposal changes nothing for this node."""

    reason: str


Judgement = Execute | HoldForEvent | HoldUntil | Ignore


def judge_proposal(phase: RoundPhase, rank: int, *, now_ns: int, due_ns: int) -> Judgement:
    """
    Decide what a valid proposal for the open round means to this node.

    Parameters
    ----------
    phase : `RoundPhase`
        Where the node stands.
    rank : `int`
        Rank of the proposal's scheduler in this round.
    now_ns, due_ns : `int`
        The time, and when that rank may propose [Unix ns].
    """
    match phase:
        case Following():
            return Ignore("no part in this round")
        case WaitingForBatch(duty=duty):
            if now_ns < due_ns:
                return HoldUntil(due_ns)
            return Execute() if duty.is_worker else HoldForEvent()
        case WaitingForEvent(rank=held):
            return HoldForEvent() if rank < held else Ignore("holds one that is as good")
        case Processing(rank=held) | Committed(rank=held) | Failed(rank=held):
            return Execute() if rank < held else Ignore("works on one that is as good")


def first_scheduler(committee: Committee, round_: Round) -> NodeId | None:
    """Give the worker of rank 0 in a round."""
    for node_id in committee.workers():
        if committee.scheduler_rank(round_, node_id) == 0:
            return node_id
    return None


def resume(
    phase: RoundPhase, duty: Duty, proposal: Proposal, rank: int, voted: CommitmentHeader
) -> RoundPhase:
    """Go to where a vote from before a restart leaves the node."""
    if voted.results is None:
        return move(phase, Failed(phase.round, duty, proposal, rank, voted.failure))
    return move(phase, Committed(phase.round, duty, proposal, rank, voted.results))
