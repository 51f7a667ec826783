"""
The node's part in the open round: when it proposes, what it executes, how it votes.

Drives the table of `rules.round` with the pool, the enclave and the node's voice. Called by the
node's loop only; what takes time runs as a task and comes back as a message.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, assert_never

import structlog

from services.compute import metrics
from services.compute.admission import Admission
from services.compute.enclave.errors import NotLevel
from services.compute.enclave.protocol import ComputeEnclaveApi, ExecutedBatch
from services.compute.held import HeldProposals
from services.compute.peers import Peers
from services.compute.rules.proposal import RoundDomain, verify_batch, verify_proposal
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
    judge_proposal,
    move,
)
from services.compute.rules.timing import RoundTiming
from services.compute.store import Store, Vote
from services.compute.voting import Voice
from services.compute.witness import Witness
from shared.api.consensus import DiscrepancyDetected
from shared.errors import QanatError, Rejected, Unavailable
from shared.kit.clock import Clock
from shared.types.block import BlockHeader, HeaderType, RoundBlock
from shared.types.commitment import CommitmentFailure, Proposal
from shared.types.identity import Incarnation, NodeId, Round
from shared.types.registry import Committee, SchedulerParameters
from shared.types.runtime import SpentSequence

log = structlog.get_logger()

RESEND_AFTER_S = 2.0
"""Age of the open round's vote at which it is sent again: consensus may have died with it [s]."""
RETRY_PAUSE_S = 0.05
"""Pause before a batch is executed again that lacked something, such as keys at the start [s]."""


@dataclass(frozen=True, slots=True)
class BatchExecuted:
    """The enclave is through with a proposal."""

    proposal: Proposal
    outcome: ExecutedBatch | QanatError


@dataclass(frozen=True, slots=True)
class DueReached:
    """A time that the open round waits for has come."""

    round: Round
    unanswered: Vote | None = None
    """A vote of this round that has waited for an end for long."""


@dataclass(frozen=True, slots=True)
class SettledRound:
    """A finalized round that this node executed itself, or in which nothing was executed."""

    block: RoundBlock
    spent: tuple[SpentSequence, ...]


WorkerMessage = BatchExecuted | DueReached


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a worker works with."""

    node_id: NodeId
    domain: RoundDomain
    scheduler: SchedulerParameters
    enclave: ComputeEnclaveApi
    store: Store
    admission: Admission
    peers: Peers
    voice: Voice
    witness: Witness
    clock: Clock
    post: Callable[[WorkerMessage], None]
    spawn: Callable[[Coroutine[Any, Any, None]], None]


class RoundWorker:
    """Walks one round after the other."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._with = surroundings
        self._domain = surroundings.domain
        self._phase: RoundPhase = Following(Round(0))
        self._parent: BlockHeader | None = None
        self._committee: Committee | None = None
        self._is_resuming = True
        self._votes: list[Vote] = []
        self._held = HeldProposals()
        self._discrepancy: DiscrepancyDetected | None = None
        self._timing = RoundTiming(surroundings.scheduler, 0)
        self._has_checked = False
        self._suspects: set[bytes] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._resend_timer: asyncio.TimerHandle | None = None

    @property
    def phase(self) -> RoundPhase:
        """Where the node stands in the open round."""
        return self._phase

    @property
    def next_scheduler(self) -> NodeId | None:
        """Who schedules the next batch that can still take a transaction."""
        if self._committee is None:
            return None
        is_proposed = not isinstance(self._phase, Following | WaitingForBatch)
        round_ = self._phase.round + is_proposed
        for node_id in self._committee.workers():
            if self._committee.scheduler_rank(round_, node_id) == 0:
                return node_id
        return None

    # -- rounds begin and end ------------------------------------------------------------------

    def begin(
        self, parent: BlockHeader, committee: Committee | None, *, is_level: bool, is_first: bool
    ) -> None:
        """Begin the round after a block; `is_first` when the state still lacks its genesis."""
        self._parent, self._committee = parent, committee
        self._votes, self._discrepancy = [], None
        now_ns = self._with.clock.now_ns()
        work_ns = now_ns if self._with.admission.has_work() else None
        self._timing = RoundTiming(self._with.scheduler, now_ns, work_ns, is_first)
        self._has_checked = False
        self._held.begin(parent.round)
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
        self.recall_votes(self._phase.round)
        if not self._votes:
            return
        best = self._votes[0]
        results = best.commitment.header.results
        phase: RoundPhase
        if results is None:
            failure = best.commitment.header.failure
            phase = Failed(self._phase.round, duty, best.proposal, best.rank, failure)
        else:
            phase = Committed(self._phase.round, duty, best.proposal, best.rank, results)
        self._phase = move(self._phase, phase)
        self._repeat_vote(best)

    def _repeat_vote(self, vote: Vote) -> None:
        self._with.voice.send(vote.commitment)
        if vote.proposal.node_id == self._with.node_id:
            # Others may have stopped before they had it.
            self._broadcast(vote.proposal)
        self._expect_end(vote)

    def _expect_end(self, vote: Vote) -> None:
        """Have a vote sent again, and again, while its round stays open."""
        if self._resend_timer is not None:
            self._resend_timer.cancel()
        message = DueReached(vote.commitment.round, unanswered=vote)
        self._resend_timer = asyncio.get_running_loop().call_later(
            RESEND_AFTER_S, self._with.post, message
        )

    def _stand_by_vote(self, vote: Vote) -> None:
        phase = self._phase
        if isinstance(phase, Committed | Failed) and phase.proposal is vote.proposal:
            log.warning("vote_repeated", round=phase.round)
            self._repeat_vote(vote)

    def enter(self, incarnation: Incarnation) -> None:
        """Forget the open round where the chain is in another life: it is opened anew."""
        if incarnation == self._domain.incarnation:
            return
        self._domain = replace(self._domain, incarnation=incarnation)
        self._with.voice.enter(self._domain)
        self._with.witness.forget()
        self._phase, self._parent, self._committee = Following(Round(0)), None, None
        self._is_resuming, self._votes, self._held = True, [], HeldProposals()

    def recall_votes(self, round_: Round) -> None:
        """Read back what the node voted for in a round before it stopped."""
        self._votes = list(self._with.store.load_votes(round_))

    def settle(self, header: BlockHeader) -> SettledRound | None:
        """
        Find what a header makes final.

        Returns
        -------
        settled : `SettledRound` or None
            The round, where this node executed what became final, or where nothing was executed.
        """
        if header.header_type is not HeaderType.NORMAL:
            return SettledRound(RoundBlock(header), ())
        for vote in self._votes:
            results = vote.commitment.header.results
            if (
                results is not None
                and results.round == header.round
                and results.state_root == header.state_root
                and results.io_root == header.io_root
            ):
                return SettledRound(RoundBlock(header, vote.transactions, vote.results), vote.spent)
        if isinstance(self._phase, Committed) and self._phase.round == header.round:
            metrics.rounds_not_mine.inc()
            log.warning("round_overruled", round=header.round)
        return None

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
        self._propose(phase.duty.rank, batch)

    def _propose(self, rank: int, batch: tuple[bytes, ...]) -> None:
        if self._parent is None:
            return
        proposal = self._with.voice.propose(self._parent, batch)
        # Peers execute at the same time as our own enclave.
        self._broadcast(proposal)
        metrics.proposals.labels("made").inc()
        self._process(proposal, rank)

    def _broadcast(self, proposal: Proposal) -> None:
        members = () if self._committee is None else self._committee.members
        self._with.peers.broadcast_proposal(proposal, [m.node_id for m in members])

    def _wake_at(self, due_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
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

    def on_proposal(self, proposal: Proposal) -> None:
        """Verify a proposal and do with it what the round asks for."""
        parent, committee = self._parent, self._committee
        round_ = proposal.header.round
        if parent is None or committee is None or round_ > parent.round + 1:
            self._hold_early(proposal)
            return
        if round_ <= parent.round:
            metrics.proposals.labels("late").inc()
            return
        try:
            rank = verify_proposal(
                proposal,
                self._domain,
                parent=parent,
                committee=committee,
                limits=self._with.scheduler,
            )
        except Rejected as error:
            metrics.proposals.labels("refused").inc()
            log.warning(
                "proposal_refused",
                round=round_,
                scheduler=proposal.node_id.hex(),
                reason=error.message,
            )
            return
        self._with.witness.see(proposal)
        self._judge(proposal, rank)

    def _judge(self, proposal: Proposal, rank: int) -> None:
        phase = self._phase
        if isinstance(phase, Following) and self._duty().is_member:
            # Not level yet: the proposal is judged when the node takes part.
            self._held.add(proposal)
            return
        now_ns = self._with.clock.now_ns()
        due_ns = now_ns if rank == 0 else self._timing.due_ns(rank)
        judgement = judge_proposal(phase, rank, now_ns=now_ns, due_ns=due_ns)
        match judgement:
            case Execute():
                self._process(proposal, rank)
            case HoldForEvent():
                duty = self._duty()
                self._phase = move(phase, WaitingForEvent(phase.round, duty, proposal, rank))
                self._judge_discrepancy()
            case HoldUntil(due_ns=due_ns):
                self._held.add(proposal)
                self._wake_at(due_ns)
            case Ignore(reason=reason):
                metrics.proposals.labels("ignored").inc()
                log.debug("proposal_ignored", round=phase.round, rank=rank, reason=reason)
            case _:
                assert_never(judgement)

    def _hold_early(self, proposal: Proposal) -> None:
        """Keep a proposal whose round has not come, once it is sure who signed it."""
        if not self._held.is_wanted(proposal):
            return
        if not self._with.peers.is_known(proposal.node_id):
            metrics.proposals.labels("refused").inc()
            return
        try:
            verify_batch(proposal, self._domain, self._with.scheduler)
        except Rejected as error:
            metrics.proposals.labels("refused").inc()
            log.warning("proposal_refused", scheduler=proposal.node_id.hex(), reason=error.message)
            return
        self._held.add(proposal)

    def _judge_held(self) -> None:
        for proposal in self._held.take(self._phase.round):
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
        self._phase = move(self._phase, Processing(self._phase.round, self._duty(), proposal, rank))
        self._with.spawn(self._execute(proposal))

    async def _execute(self, proposal: Proposal) -> None:
        outcome: ExecutedBatch | QanatError
        begun_s = time.perf_counter()
        try:
            outcome = await self._executed(proposal)
        except QanatError as error:
            outcome = error
        metrics.execution_seconds.inc(time.perf_counter() - begun_s)
        self._with.post(BatchExecuted(proposal, outcome))

    async def _executed(self, proposal: Proposal) -> ExecutedBatch:
        """Execute; again and again while what the enclave needs is not there, such as keys."""
        while True:
            try:
                return await self._with.enclave.execute(proposal.header.round, proposal.batch)
            except NotLevel:
                raise
            except Unavailable as error:
                phase = self._phase
                if not isinstance(phase, Processing) or phase.proposal is not proposal:
                    raise
                log.warning("execution_delayed", round=phase.round, reason=error.message)
                await asyncio.sleep(RETRY_PAUSE_S)

    def on_executed(self, message: BatchExecuted) -> None:
        """Vote for what came out, unless the round has moved on."""
        phase = self._phase
        if not isinstance(phase, Processing) or phase.proposal is not message.proposal:
            return
        match message.outcome:
            case ExecutedBatch() as executed:
                vote = self._with.voice.vote(phase.proposal, phase.rank, executed)
                self._votes.append(vote)
                self._phase = move(
                    phase,
                    Committed(phase.round, phase.duty, phase.proposal, phase.rank, executed.header),
                )
                self._expect_end(vote)
                metrics.executed_batches.inc()
                metrics.executed_transactions.inc(len(executed.included))
                self._suspect(phase.proposal, executed)
            case QanatError() as error:
                log.error("execution_failed", round=phase.round, reason=error.message)
                failure = (
                    CommitmentFailure.STATE_UNAVAILABLE
                    if isinstance(error, NotLevel)
                    else CommitmentFailure.UNKNOWN
                )
                self._with.voice.vote_failure(phase.proposal, phase.rank, failure)
                self._phase = move(
                    phase, Failed(phase.round, phase.duty, phase.proposal, phase.rank, failure)
                )

    def _suspect(self, proposal: Proposal, executed: ExecutedBatch) -> None:
        """Have refused transactions checked again; what fails twice as first of a batch goes."""
        refused = [proposal.batch[position] for position in executed.refused]
        if not refused:
            self._suspects.clear()
            return
        if executed.refused[0] == 0 and refused[0] in self._suspects:
            self._with.admission.drop(refused[0])
        self._suspects = set(refused)
        self._with.admission.recheck(refused)
