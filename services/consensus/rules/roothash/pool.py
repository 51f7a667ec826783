"""
The commitment pool: votes on the open round, and what they decide.

Workers must agree; any difference is a discrepancy, which backup workers decide by simple majority.
A node that is worker and backup worker votes once, and its vote counts in both counts (ADR 0006).
Source: oasis-core go/roothash/api/commitment/pool.go @ f9f1fdc. Differs: deadlines are consensus
time (ADR 0002).
"""

from collections import Counter
from dataclasses import dataclass, replace

from services.consensus.rules.roothash.round_state import FAILURE_VOTE, ProposalVotes, RoundState
from shared.crypto.hashes import sha512_256
from shared.encoding.record import encode_record
from shared.errors import Rejected
from shared.types.commitment import ExecutorCommitment
from shared.types.registry import Committee


class NotInCommittee(Rejected, module="roothash", code=3):
    """The node has no part in this epoch's committee, or none that may vote now."""


class AlreadyCommitted(Rejected, module="roothash", code=4):
    """The node has voted on this proposal."""


class NotScheduler(Rejected, module="roothash", code=5):
    """The commitment names a node that may not propose."""


class WorseRank(Rejected, module="roothash", code=6):
    """A scheduler of better rank has committed, or the round is decided on another proposal."""

    def __init__(self, got: int, highest: int) -> None:
        super().__init__(f"rank {got}, the round stands at rank {highest}")
        self.got, self.highest = got, highest


# -- what the votes decide: a closed union -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Waiting:
    """More votes, or the deadline, must come."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """The result of the scheduler at the highest rank is final."""


@dataclass(frozen=True, slots=True)
class Disagreed:
    """Workers differ, or some are silent at the deadline: backup workers decide."""

    is_timeout: bool


@dataclass(frozen=True, slots=True)
class Undecided:
    """Backup workers reached no majority, or not in time: the round fails."""


@dataclass(frozen=True, slots=True)
class Overruled:
    """The majority has another result than the scheduler: the round fails."""


Outcome = Waiting | Agreed | Disagreed | Undecided | Overruled


def add_commitment(
    pool: RoundState,
    committee: Committee,
    commitment: ExecutorCommitment,
    *,
    deadline_ns: int,
) -> RoundState:
    """
    Add one node's vote to the open round.

    Parameters
    ----------
    commitment : `ExecutorCommitment`
        For the open round; signatures already verified.
    deadline_ns : `int`
        When patience ends, should this commitment be the first, or move the round to a better
        rank [ns].

    Returns
    -------
    pool : `RoundState`
        With the vote; the argument stays as it was.

    Raises
    ------
    NotInCommittee, NotScheduler, WorseRank, AlreadyCommitted
        See each class.
    """
    node_id, scheduler_id = commitment.node_id, commitment.header.scheduler_id
    rank = verify_part(pool, committee, commitment)
    proposal = pool.proposals.get(rank, ProposalVotes(scheduler_id))
    proposal = replace(proposal, votes=proposal.votes | {node_id: vote_of(commitment)})
    results = commitment.header.results
    if node_id != scheduler_id or results is None:
        # A scheduler that proposed and then fell silent must not keep the round open for ever.
        armed = deadline_ns if pool.deadline_ns is None else pool.deadline_ns
        return replace(pool, proposals=pool.proposals | {rank: proposal}, deadline_ns=armed)
    proposal = replace(
        proposal,
        state_root=results.state_root,
        io_root=results.io_root,
        messages=commitment.messages,
    )
    better = {other: votes for other, votes in pool.proposals.items() if other < rank}
    return replace(
        pool, highest_rank=rank, proposals=better | {rank: proposal}, deadline_ns=deadline_ns
    )


def verify_part(pool: RoundState, committee: Committee, commitment: ExecutorCommitment) -> int:
    """
    Verify that a node may vote on a proposal now, and has not; gives the proposal's rank.

    After a discrepancy only backup workers may, so that silent workers do not mend their record.

    Raises
    ------
    NotInCommittee, NotScheduler, WorseRank, AlreadyCommitted
        See each class.
    """
    node_id, scheduler_id = commitment.node_id, commitment.header.scheduler_id
    is_backup = node_id in committee.backups()
    if not is_backup and (pool.is_discrepancy or node_id not in committee.workers()):
        raise NotInCommittee(f"node {node_id.hex()} has no vote now")
    rank = committee.scheduler_rank(commitment.round, scheduler_id)
    if rank is None:
        raise NotScheduler(f"node {scheduler_id.hex()} is no worker")
    highest = pool.highest_rank
    if highest is not None and (rank > highest or (pool.is_discrepancy and rank != highest)):
        raise WorseRank(rank, highest)
    if rank in pool.proposals and node_id in pool.proposals[rank].votes:
        raise AlreadyCommitted(f"node {node_id.hex()} has voted on the proposal of rank {rank}")
    return rank


def contradicts(pool: RoundState, committee: Committee, commitment: ExecutorCommitment) -> bool:
    """Say whether the node has voted for another result of the same proposal."""
    rank = committee.scheduler_rank(commitment.round, commitment.header.scheduler_id)
    proposal = None if rank is None else pool.proposals.get(rank)
    before = None if proposal is None else proposal.votes.get(commitment.node_id)
    if before is None or before == FAILURE_VOTE or commitment.header.results is None:
        return False  # a failure says nothing that another vote could contradict
    return vote_of(commitment) != before


def vote_of(commitment: ExecutorCommitment) -> bytes:
    """What the vote counts as: the hash of the results, 32 bytes, or `FAILURE_VOTE`."""
    results = commitment.header.results
    return FAILURE_VOTE if results is None else sha512_256(encode_record(results))


def judge(
    pool: RoundState, committee: Committee, *, allowed_stragglers: int, is_timeout: bool
) -> Outcome:
    """
    Say what the votes decide.

    Parameters
    ----------
    allowed_stragglers : `int`
        Workers that may be silent or fail [nodes].
    is_timeout : `bool`
        Whether the deadline has passed.
    """
    if pool.highest_rank is None:
        return Waiting()
    proposal = pool.proposals[pool.highest_rank]
    if pool.is_discrepancy:
        return _resolve(proposal, committee.backups(), is_timeout)
    return _compare(
        proposal,
        committee.workers(),
        allowed_stragglers,
        is_timeout,
        may_wait=pool.highest_rank > 0,
    )


def _compare(
    proposal: ProposalVotes,
    workers: tuple[bytes, ...],
    allowed_stragglers: int,
    is_timeout: bool,
    *,
    may_wait: bool,
) -> Waiting | Agreed | Disagreed:
    votes = [proposal.votes[node] for node in workers if node in proposal.votes]
    results = {vote for vote in votes if vote != FAILURE_VOTE}
    failures = votes.count(FAILURE_VOTE)
    if len(results) > 1 or failures > allowed_stragglers:
        # The proposal of a later rank waits for the deadline: whoever colludes to fail early must
        # not win the place of the better scheduler.
        return Waiting() if may_wait and not is_timeout else Disagreed(is_timeout)
    if len(votes) - failures >= len(workers) - allowed_stragglers:
        return Agreed()
    return Disagreed(is_timeout=True) if is_timeout else Waiting()


def _resolve(
    proposal: ProposalVotes, backups: tuple[bytes, ...], is_timeout: bool
) -> Waiting | Agreed | Undecided | Overruled:
    votes = [proposal.votes[node] for node in backups if node in proposal.votes]
    needed = len(backups) // 2 + 1
    counts = Counter(vote for vote in votes if vote != FAILURE_VOTE)
    winner, count = max(counts.items(), key=lambda item: item[1], default=(FAILURE_VOTE, 0))
    if count >= needed:
        return Agreed() if winner == proposal.votes[proposal.scheduler_id] else Overruled()
    can_still_win = count + len(backups) - len(votes) >= needed
    return Waiting() if can_still_win and not is_timeout else Undecided()
