"""
The commitment pool against a model that keeps the plain list of votes.

The model knows no pool: from the list it derives, each time anew, which proposal stands and what
the votes decide.
"""

from collections import Counter
from dataclasses import replace

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.consensus.rules.roothash.pool import (
    Agreed,
    AlreadyCommitted,
    Disagreed,
    NotInCommittee,
    NotScheduler,
    Overruled,
    Undecided,
    Waiting,
    WorseRank,
    add_commitment,
    judge,
    vote_of,
)
from services.consensus.rules.roothash.round_state import RoundState
from shared.types.commitment import (
    CommitmentFailure,
    CommitmentHeader,
    ComputeResultsHeader,
    ExecutorCommitment,
)
from shared.types.registry import Committee, CommitteeMember, CommitteeRole

NODES = [bytes([index]) * 32 for index in range(5)]
ROUND = 7
ROOTS = {"good": b"g" * 32, "bad": b"b" * 32, "worse": b"w" * 32}
FAILURE = "failure"


def commitment(node: bytes, scheduler: bytes, said: str) -> ExecutorCommitment:
    if said == FAILURE:
        header = CommitmentHeader(scheduler, None, CommitmentFailure.UNKNOWN)
    else:
        results = ComputeResultsHeader(ROUND, bytes(32), bytes(32), ROOTS[said])
        header = CommitmentHeader(scheduler, results, rak_signature=bytes(64))
    return ExecutorCommitment(node, header, bytes(64), ROUND)


class PoolMachine(RuleBasedStateMachine):
    @initialize(
        workers=st.permutations(NODES).map(lambda order: order[:3]),
        backups=st.permutations(NODES),
        backup_count=st.integers(1, 5),
        stragglers=st.integers(0, 1),
    )
    def begin(self, workers, backups, backup_count, stragglers) -> None:
        self.workers, self.backups = workers, backups[:backup_count]
        members = [CommitteeMember(n, CommitteeRole.WORKER) for n in self.workers]
        members += [CommitteeMember(n, CommitteeRole.BACKUP_WORKER) for n in self.backups]
        self.committee = Committee(bytes(32), 1, tuple(members))
        self.stragglers = stragglers
        self.clock = 0
        self.open_round()

    def open_round(self) -> None:
        self.pool = RoundState()
        # The model: who said what about whose proposal, in order; and whether it came to a dispute.
        self.said: list[tuple[bytes, int, str]] = []
        self.is_dispute = False
        self.armed: int | None = None
        self.decided: str | None = None

    def rank(self, node: bytes) -> int | None:
        if node not in self.workers:
            return None
        return (ROUND + self.workers.index(node)) % len(self.workers)

    def scheduler(self, rank: int) -> bytes:
        return next(node for node in self.workers if self.rank(node) == rank)

    def standing(self) -> int | None:
        """Best rank whose own scheduler has spoken."""
        ranks = [rank for node, rank, _ in self.said if node == self.scheduler(rank)]
        return min(ranks, default=None)

    def about(self, rank: int) -> dict[bytes, str]:
        return {node: what for node, of, what in self.said if of == rank}

    def expected_refusal(self, node: bytes, proposer: bytes):
        standing, rank = self.standing(), self.rank(proposer)
        if node not in self.backups and (self.is_dispute or node not in self.workers):
            return NotInCommittee
        if rank is None:
            return NotScheduler
        if standing is not None and (rank > standing or (self.is_dispute and rank != standing)):
            return WorseRank
        if node in self.about(rank):
            return AlreadyCommitted
        return None

    @precondition(lambda self: self.decided is None)
    @rule(
        node=st.sampled_from(NODES),
        rank=st.sampled_from([0, 0, 0, 1, 2, None]),
        said=st.sampled_from(["good", *ROOTS, FAILURE]),
    )
    def vote(self, node, rank, said) -> None:
        outsider = next(other for other in NODES if other not in self.workers)
        proposer = outsider if rank is None else self.scheduler(rank)
        if node == proposer and said == FAILURE:
            return  # refused before the pool sees it
        expected = self.expected_refusal(node, proposer)
        before = self.pool
        try:
            self.pool = add_commitment(
                self.pool,
                self.committee,
                commitment(node, proposer, said),
                deadline_ns=self.clock + 10,
            )
        except (NotInCommittee, NotScheduler, WorseRank, AlreadyCommitted) as error:
            assert type(error) is expected
            assert self.pool is before
            return
        assert expected is None
        standing = self.standing()
        self.said.append((node, rank, said))
        is_better = node == proposer and (standing is None or rank < standing)
        if is_better or self.armed is None:
            self.armed = self.clock + 10

    @precondition(lambda self: self.decided is None)
    @rule(ticks=st.integers(0, 12))
    def end_block(self, ticks) -> None:
        self.clock += ticks
        late = self.armed is not None and self.armed <= self.clock
        outcome = judge(
            self.pool, self.committee, allowed_stragglers=self.stragglers, is_timeout=late
        )
        assert type(outcome) is self.expected_outcome(late)
        match outcome:
            case Disagreed():
                self.armed = self.clock + 15
                self.pool = replace(self.pool, is_discrepancy=True, deadline_ns=self.armed)
                self.is_dispute = True
            case Agreed() | Undecided() | Overruled():
                self.decided = type(outcome).__name__

    @precondition(lambda self: self.decided is not None)
    @rule()
    def next_round(self) -> None:
        self.open_round()

    def expected_outcome(self, late: bool):
        standing = self.standing()
        if standing is None:
            return Waiting
        votes = self.about(standing)
        proposed = votes[self.scheduler(standing)]
        if self.is_dispute:
            return self.expected_verdict(votes, proposed, late)
        of_workers = [votes.get(node) for node in self.workers]
        differing = any(vote not in (None, FAILURE, proposed) for vote in of_workers)
        if differing or of_workers.count(FAILURE) > self.stragglers:
            return Disagreed if standing == 0 or late else Waiting
        if of_workers.count(proposed) >= len(self.workers) - self.stragglers:
            return Agreed
        return Disagreed if late else Waiting

    def expected_verdict(self, votes, proposed: str, late: bool):
        ballots = [votes.get(node) for node in self.backups]
        counts = Counter(vote for vote in ballots if vote not in (None, FAILURE))
        winners = [vote for vote, count in counts.items() if 2 * count > len(self.backups)]
        if winners:
            return Agreed if winners == [proposed] else Overruled
        open_ballots = ballots.count(None)
        best = max(counts.values(), default=0)
        return Waiting if 2 * (best + open_ballots) > len(self.backups) and not late else Undecided

    @invariant()
    def pool_shows_the_standing_proposal(self) -> None:
        if not hasattr(self, "pool"):
            return
        standing = self.standing()
        assert self.pool.highest_rank == standing
        assert self.pool.deadline_ns == self.armed
        if standing is not None:
            assert all(rank <= standing for rank in self.pool.proposals)
            kept = self.pool.proposals[standing].votes
            assert kept.keys() == self.about(standing).keys()
            for node, said in self.about(standing).items():
                assert kept[node] == vote_of(commitment(node, self.scheduler(standing), said))


TestPoolMachine = PoolMachine.TestCase
