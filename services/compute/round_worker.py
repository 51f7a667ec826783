"""
The node's part in the open round: when it proposes, what it executes, how it votes.

Drives the table of `rules.round` with the pool, the enclave and the node's voice. Called by the
node's loop only; what takes time runs as a task and comes back as a message.
"""

import asyncio
from dataclasses import replace
from typing import assert_never

import structlog

from services.compute import metrics
from services.compute.enclave.protocol import ExecutedBatch
from services.compute.executed import ExecutedFeed
from services.compute.execution import BatchExecuted, failure_of, tell_stages
from services.compute.joint_votes import VotesDue
from services.compute.open_rounds import Vote
from services.compute.own_votes import DueReached, SettledRound
from services.compute.pool_times import PoolTimes
from services.compute.rules.filling import Filling
from services.compute.rules.round import (
    Committed,
    Duty,
    Execute,
    Failed,
    Following,
    HoldForEvent,
    HoldUntil,
    Ignore,
    Processing,
    RoundPhase,
    WaitingForBatch,
    WaitingForEvent,
    duty_of,
    first_scheduler,
    judge_proposal,
    move,
    resume,
)
from services.compute.rules.timing import NEVER_NS, RoundTiming
from services.compute.surroundings import Surroundings
from shared.api.consensus import DiscrepancyDetected
from shared.crypto.hashes import EMPTY_HASH
from shared.errors import QanatError
from shared.kit.spans import SpanContext
from shared.kit.tracing import begin_ns, record_in_round
from shared.types.block import BlockHeader, ExecutedRound
from shared.types.commitment import ExecutorCommitment, Proposal
from shared.types.identity import Incarnation, NodeId, Round
from shared.types.mining import Mining
from shared.types.registry import Committee

log = structlog.get_logger()


class RoundWorker:
    """Walks one round after the other."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._with = surroundings
        self._phase: RoundPhase = Following(Round(0))
        self._parent: BlockHeader | None = None
        self._committee: Committee | None = None
        self._is_resuming = True
        self._discrepancy: DiscrepancyDetected | None = None
        self._timing = RoundTiming(surroundings.scheduler, 0)
        self._filling, self._processed_ns = Filling(), 0
        self._has_checked = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def phase(self) -> RoundPhase:
        """Where the node stands in the open round."""
        return self._phase

    @property
    def only_follows(self) -> bool:
        """Whether the node is no worker, and has nothing to do in the open round."""
        is_idle = isinstance(self._phase, Following | WaitingForBatch | WaitingForEvent)
        return is_idle and not self._duty().is_worker

    @property
    def next_scheduler(self) -> NodeId | None:
        """Who schedules the next batch that can still take a transaction."""
        if self._committee is None:
            return None
        is_proposed = not isinstance(self._phase, Following | WaitingForBatch)
        return first_scheduler(self._committee, Round(self._phase.round + is_proposed))

    @property
    def pool_times(self) -> PoolTimes:
        """When transactions came and went, where that is traced."""
        return self._with.pool_times

    @property
    def executed(self) -> ExecutedFeed:
        """Rounds as they are executed."""
        return self._with.executed

    def _tell(self, name: str, begun_ns: int, ended_ns: int | None = None) -> SpanContext | None:
        """Tell what the open round took, where that is traced."""
        domain = self._with.incoming.domain
        told = domain.runtime_id, domain.incarnation, self._phase.round
        return record_in_round(*told, name, begun_ns, ended_ns)

    # -- rounds begin and end ------------------------------------------------------------------

    def begin(
        self, parent: BlockHeader, committee: Committee | None, *, is_level: bool, is_first: bool
    ) -> None:
        """Begin the round after a block; `is_first` when the state still lacks its genesis."""
        self._parent, self._committee = parent, committee
        last = self._with.votes.best
        self._with.votes.begin()
        self._with.joint_votes.begin(Round(parent.round + 1), committee)
        self._with.execution.stop()
        self._discrepancy = None
        now_ns = self._with.clock.now_ns()
        work_ns = now_ns if self._with.admission.has_work() else None
        self._timing = replace(
            self._timing,
            begun_ns=now_ns,
            work_ns=work_ns,
            is_first=is_first,
            round=Round(parent.round + 1),
        )
        self._filling.begin(
            now_ns,
            last_size=0 if last is None else len(last.transactions),
            took_ns=now_ns - self._processed_ns,
            waiting=self._with.admission.waiting,
        )
        self._has_checked = False
        self._with.incoming.begin(parent.round)
        round_ = Round(parent.round + 1)
        if self._phase.round != round_:
            self._phase = move(self._phase, Following(round_))
        if is_level:
            self.take_part()

    def take_part(self) -> None:
        """Join the open round: the node is level now."""
        duty = self._duty()
        if not isinstance(self._phase, Following) or not duty.is_member:
            return
        self._phase = move(self._phase, WaitingForBatch(self._phase.round, duty))
        if self._is_resuming:
            self._is_resuming = False
            self._resume(duty)
        self._judge_held()
        self._consider_proposing()

    def _duty(self) -> Duty:
        return duty_of(self._committee, self._phase.round, self._with.node_id)

    def _resume(self, duty: Duty) -> None:
        """Stand by a vote from before a restart, and send it again in case it got lost."""
        self._with.votes.recall(self._phase.round)
        best = self._with.votes.best
        if best is None:
            return
        header = best.commitment.header
        self._phase = resume(self._phase, duty, best.proposal, best.rank, header)
        self._repeat_vote(best)

    def _repeat_vote(self, vote: Vote) -> None:
        self._with.voice.send(vote.commitment)
        if vote.proposal.node_id == self._with.node_id:
            # Others may have stopped before they had it.
            self._with.peers.propose(vote.proposal, self._committee)
            self._with.peers.hand_to_backups(vote.proposal, self._committee)
        self._with.votes.expect_end(vote)

    def _stand_by_vote(self, vote: Vote) -> None:
        phase = self._phase
        if isinstance(phase, Committed | Failed) and phase.proposal is vote.proposal:
            log.warning("vote_repeated", round=phase.round)
            self._repeat_vote(vote)

    def enter(self, incarnation: Incarnation) -> None:
        """Forget the open round where the chain is in another life: it is opened anew."""
        domain = self._with.incoming.domain
        if incarnation == domain.incarnation:
            return
        domain = replace(domain, incarnation=incarnation)
        self._with.incoming.enter(domain)
        self._with.voice.enter(domain)
        self._phase, self._parent, self._committee = Following(Round(0)), None, None
        self._is_resuming = True
        self._with.votes.begin()
        self._with.joint_votes.begin(Round(0), None)
        self._with.execution.stop()

    def recall_votes(self, round_: Round) -> None:
        """Read back what the node voted for in a round before it stopped."""
        self._with.votes.recall(round_)

    def settle(self, header: BlockHeader) -> SettledRound | None:
        """Find what a header makes final; see `OwnVotes.settle`."""
        settled = self._with.votes.settle(header)
        is_mine = isinstance(self._phase, Committed) and self._phase.round == header.round
        if settled is None and is_mine:
            metrics.rounds_not_mine.inc()
            log.warning("round_overruled", round=header.round)
        return settled

    # -- proposing -----------------------------------------------------------------------------

    def note_work(self) -> None:
        """Look at the pool again: something may be in it now."""
        if self._timing.work_ns is None and self._with.admission.has_work():
            self._timing = replace(self._timing, work_ns=self._with.clock.now_ns())
        self._consider_proposing()

    def _consider_proposing(self) -> None:
        phase = self._phase
        if not isinstance(phase, WaitingForBatch) or phase.duty.rank is None:
            return
        now_ns, due_ns = self._with.clock.now_ns(), self._timing.due_ns(phase.duty.rank)
        if now_ns < due_ns:
            self._wake_at(due_ns)
            return
        waiting = self._with.admission.waiting
        if phase.duty.rank == 0 and self._filling.is_filling(waiting, now_ns):
            self._wake_at(self._filling.until_ns)
            return
        if not self._has_checked and self._with.admission.needs_check():
            # Its outcome comes back here through `note_work`.
            self._has_checked = True
            self._with.admission.check_gossiped()
            return
        batch = self._with.admission.select_batch()
        if not batch:
            due_ns = self._timing.empty_due_ns(phase.duty.rank)
            if now_ns < due_ns:
                self._wake_at(due_ns)
                return
        self._filling.end(waiting)
        self._propose(phase.duty.rank, batch)

    def keep_awake(self) -> bool:
        """
        Make empty rounds at their usual pace for a while; whether one is due by that.

        May be called beside the loop, which looks in its turn at what that makes due.
        """
        now_ns, before_ns = self._with.clock.now_ns(), self._timing.due_ns(0)
        self._timing = self._timing.kept_awake(now_ns)
        due_ns = self._timing.due_ns(0)
        if due_ns == before_ns:
            return False
        self._with.post(DueReached(self._phase.round))
        return due_ns <= now_ns

    def follow(self, mining: Mining) -> None:
        """Make rounds as dev controls say from now on."""
        self._timing = replace(self._timing, mining=mining)
        self._judge_held()
        self._consider_proposing()

    def _propose(self, rank: int, batch: tuple[bytes, ...]) -> None:
        if self._parent is None:
            return
        begun_ns = begin_ns()
        proposal = self._with.voice.propose(self._parent, batch)
        # Peers execute at the same time as our own enclave.
        self._with.peers.propose(proposal, self._committee)
        self._with.pool_times.note_proposed(batch, begun_ns)
        self._tell("compute.propose", begun_ns)
        metrics.proposals.labels("made").inc()
        self._process(proposal, rank)

    def _wake_at(self, due_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if due_ns == NEVER_NS:
            return
        delay_s = max(0, due_ns - self._with.clock.now_ns()) / 1e9
        message = DueReached(self._phase.round)
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._with.post, message)

    def on_due(self, message: DueReached) -> None:
        """Do what waited for its time."""
        if message.round == self._phase.round:
            if message.unanswered is not None:
                self._stand_by_vote(message.unanswered)
            self._judge_held()
            self._consider_proposing()

    # -- proposals of this node and others -----------------------------------------------------

    def on_proposal(self, proposal: Proposal, arrived_ns: int = 0) -> None:
        """Verify a proposal and do with it what the round asks for."""
        rank = self._with.incoming.judge(proposal, self._parent, self._committee)
        if rank is not None:
            self._judge(proposal, rank)
            if self._phase.round == proposal.header.round:
                self._tell("compute.take_proposal", arrived_ns)

    def _judge(self, proposal: Proposal, rank: int) -> None:
        phase = self._phase
        if isinstance(phase, Following) and self._duty().is_member:
            # Not level yet: the proposal is judged when the node takes part.
            self._with.incoming.hold(proposal)
            return
        now_ns = self._with.clock.now_ns()
        due_ns = now_ns if rank == 0 else self._timing.peer_due_ns(rank)
        judgement = judge_proposal(phase, rank, now_ns=now_ns, due_ns=due_ns)
        match judgement:
            case Execute():
                self._process(proposal, rank)
            case HoldForEvent():
                duty = self._duty()
                self._phase = move(phase, WaitingForEvent(phase.round, duty, proposal, rank))
                self._judge_discrepancy()
            case HoldUntil(due_ns=due_ns):
                self._with.incoming.hold(proposal)
                self._wake_at(due_ns)
            case Ignore(reason=reason):
                metrics.proposals.labels("ignored").inc()
                log.debug("proposal_ignored", round=phase.round, rank=rank, reason=reason)
            case _:
                assert_never(judgement)

    def _judge_held(self) -> None:
        for proposal in self._with.incoming.take(self._phase.round):
            self.on_proposal(proposal)

    def on_discrepancy(self, discrepancy: DiscrepancyDetected) -> None:
        """Let backup workers vote."""
        if discrepancy.round != self._phase.round:
            return
        log.warning(
            "discrepancy_detected",
            round=discrepancy.round,
            rank=discrepancy.rank,
            is_timeout=discrepancy.is_timeout,
        )
        self._discrepancy = discrepancy
        phase = self._phase
        if (
            isinstance(phase, Processing | Committed | Failed)
            and phase.duty.is_worker
            and phase.rank == discrepancy.rank
        ):
            self._with.peers.hand_to_backups(phase.proposal, self._committee)
        self._judge_discrepancy()

    def _judge_discrepancy(self) -> None:
        phase = self._phase
        if (
            self._discrepancy is not None
            and isinstance(phase, WaitingForEvent)
            and phase.rank == self._discrepancy.rank
        ):
            self._process(phase.proposal, phase.rank)

    # -- execution -----------------------------------------------------------------------------

    def _process(self, proposal: Proposal, rank: int) -> None:
        self._processed_ns = self._with.clock.now_ns()
        self._phase = move(self._phase, Processing(self._phase.round, self._duty(), proposal, rank))
        handed = EMPTY_HASH if self._parent is None else self._parent.in_msgs_hash
        self._with.execution.start(proposal, handed)

    def on_executed(self, message: BatchExecuted) -> None:
        """Vote for what came out, unless the round has moved on."""
        phase = self._phase
        if not isinstance(phase, Processing) or phase.proposal is not message.proposal:
            return
        tell_stages(self._tell("compute.execute", message.begun_ns, message.ended_ns), message)
        begun_ns = begin_ns()
        match message.outcome:
            case ExecutedBatch() as executed:
                vote = self._with.voice.vote(phase.proposal, phase.rank, executed)
                self._phase = move(
                    phase,
                    Committed(phase.round, phase.duty, phase.proposal, phase.rank, executed.header),
                )
                self._with.votes.add(vote)
                self._send(vote.commitment)
                if vote.transactions:
                    told = phase.round, vote.transactions, vote.results
                    self._with.executed.publish(ExecutedRound(*told))
                self._with.execution.note_executed(phase.proposal, executed)
                self._tell("compute.vote", begun_ns)
            case QanatError() as error:
                log.error("execution_failed", round=phase.round, reason=error.message)
                failure = failure_of(error)
                self._with.voice.vote_failure(phase.proposal, phase.rank, failure)
                self._phase = move(
                    phase, Failed(phase.round, phase.duty, phase.proposal, phase.rank, failure)
                )

    # -- votes ---------------------------------------------------------------------------------

    def _send(self, vote: ExecutorCommitment) -> None:
        if self._discrepancy is None:
            self._with.joint_votes.cast(vote)
        else:
            # Backup workers are late already.
            self._with.voice.send(vote)

    def on_vote(self, vote: ExecutorCommitment) -> None:
        """Take another member's vote on a proposal of this node."""
        self._with.joint_votes.hear(vote, self._with.incoming.domain)

    def on_votes_due(self, message: VotesDue) -> None:
        """Do what a vote that waited asks for."""
        phase = self._phase
        if (
            message.alone is not None
            and isinstance(phase, Committed)
            and phase.round == message.round
        ):
            # It takes long: its scheduler may be gone, and backup workers be asked soon.
            self._with.peers.hand_to_backups(phase.proposal, self._committee)
        self._with.joint_votes.on_due(message)
