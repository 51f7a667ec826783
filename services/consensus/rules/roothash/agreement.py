"""
Roothash: votes of committees come in, and at the end of each block rounds are decided.

`pool` says what votes mean, `commitments` who stands behind them, `rounds` how blocks come out.
Source: oasis-core go/consensus/cometbft/apps/roothash/{transactions,finalization,timeout}.go
@ f9f1fdc.
"""

from dataclasses import replace
from typing import assert_never

from services.consensus.rules.context import BlockContext, Caller
from services.consensus.rules.registry.runtimes import list_runtimes
from services.consensus.rules.roothash.commitments import verify_commitment, verify_sender
from services.consensus.rules.roothash.evidence import apply_double_vote
from services.consensus.rules.roothash.pool import (
    Agreed,
    Disagreed,
    Overruled,
    Undecided,
    Waiting,
    add_commitment,
    contradicts,
    judge,
    verify_part,
)
from services.consensus.rules.roothash.round_state import RoundState, RuntimeState
from services.consensus.rules.roothash.rounds import (
    NoOpenRound,
    fail_round,
    finalize_round,
    load_last_block,
)
from services.consensus.rules.state import State
from shared.api.consensus import CommitmentAccepted, DiscrepancyDetected
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.commitment import ExecutorCommitment
from shared.types.identity import Round
from shared.types.methods import ExecutorCommit
from shared.types.registry import Committee, RuntimeKind

NS_PER_MS = 1_000_000
RESOLUTION_FACTOR = (3, 2)
"""A discrepancy gives backup workers half as long again. Source: roothash timeout.go @ f9f1fdc."""
MAX_COMMITMENTS = 64
"""In one transaction: bounds what its verification costs."""


class CommitmentCount(Rejected, module="roothash", code=11):
    """A transaction carries at least one commitment, and not too many."""


def apply_executor_commit(
    state: State, context: BlockContext, caller: Caller, body: ExecutorCommit
) -> None:
    """
    Add votes to the open round of a runtime, each for itself.

    One that does not count, or was cast already, keeps no other out: who gathers votes is no judge
    of them. Who has voted for another result already does not vote again, and is punished for it.

    Raises
    ------
    NoOpenRound, CommitmentCount
        See each class.
    Rejected
        No vote counts. It is why the first does not, of the classes of `verify_commitment`,
        `add_commitment` and `apply_double_vote`.
    """
    if not 1 <= len(body.commitments) <= MAX_COMMITMENTS:
        raise CommitmentCount(f"{len(body.commitments)} commitments, 1 to {MAX_COMMITMENTS}")
    runtime_id = body.runtime_id
    last = load_last_block(state, runtime_id)
    committee = state.load(Committee, state_keys.committee_key(runtime_id))
    if committee is None:
        raise NoOpenRound(f"runtime {runtime_id.hex()} has no committee")
    key = state_keys.round_state_key(runtime_id)
    pool = state.load_required(RoundState, key)
    deadline_ns = context.time_ns + _round_timeout_ns(state, runtime_id)
    counted: list[ExecutorCommitment] = []
    refusals: list[Rejected] = []
    for commitment in body.commitments:
        try:
            if contradicts(pool, committee, commitment):
                with state.attempt():
                    apply_double_vote(state, context, caller, runtime_id, commitment, last)
                continue
            verify_sender(commitment, caller)
            verify_part(pool, committee, commitment)  # before the signatures: it costs nothing
            verify_commitment(state, context, runtime_id, commitment, last)
            pool = add_commitment(pool, committee, commitment, deadline_ns=deadline_ns)
        except Rejected as error:
            refusals.append(error)
        else:
            counted.append(commitment)
    if len(refusals) == len(body.commitments):
        raise refusals[0]
    state.save(key, pool)
    for commitment in counted:
        state.emit(CommitmentAccepted(runtime_id, commitment.round, commitment.node_id))


def decide_round(state: State, context: BlockContext, runtime_id: bytes) -> None:
    """At the end of a block: decide what can be decided of the open round of a ParaTime."""
    pool = state.load(RoundState, state_keys.round_state_key(runtime_id))
    committee = state.load(Committee, state_keys.committee_key(runtime_id))
    if committee is None or pool is None:
        return
    if pool.highest_rank is not None:
        _decide(state, context, runtime_id, pool, committee)
    elif pool.deadline_ns is not None and pool.deadline_ns <= context.time_ns:
        # Workers voted on a proposal whose scheduler never did: the next one has its turn.
        fail_round(state, context, runtime_id, pool)


def give_up_round(state: State, context: BlockContext, runtime_id: bytes) -> None:
    """End the open round without a result, where `decide_round` fails by a bug."""
    pool = state.load_required(RoundState, state_keys.round_state_key(runtime_id))
    fail_round(state, context, runtime_id, pool)


def forget_votes(state: State, context: BlockContext, runtime_id: bytes) -> None:  # noqa: ARG001
    """Take the votes and the deadline off the open round, where it cannot even be given up."""
    state.save(state_keys.round_state_key(runtime_id), RoundState())


def _decide(
    state: State, context: BlockContext, runtime_id: bytes, pool: RoundState, committee: Committee
) -> None:
    is_timeout = pool.deadline_ns is not None and pool.deadline_ns <= context.time_ns
    executor = state.load_required(
        RuntimeState, state_keys.runtime_state_key(runtime_id)
    ).descriptor.executor
    outcome = judge(
        pool,
        committee,
        allowed_stragglers=executor.allowed_stragglers,
        is_timeout=is_timeout,
    )
    match outcome:
        case Waiting():
            pass
        case Agreed():
            finalize_round(state, context, runtime_id, pool, committee)
        case Undecided() | Overruled():
            fail_round(state, context, runtime_id, pool)
        case Disagreed():
            pool = _begin_resolution(state, context, runtime_id, pool, outcome)
            # Backup workers that are workers as well have voted already.
            _decide(state, context, runtime_id, pool, committee)
        case _:
            assert_never(outcome)


def _begin_resolution(
    state: State,
    context: BlockContext,
    runtime_id: bytes,
    pool: RoundState,
    disagreed: Disagreed,
) -> RoundState:
    numerator, denominator = RESOLUTION_FACTOR
    # At least one block long, lest a runtime without patience never hears its backup workers.
    patience_ns = max(_round_timeout_ns(state, runtime_id) * numerator // denominator, 1)
    pool = replace(pool, is_discrepancy=True, deadline_ns=context.time_ns + patience_ns)
    state.save(state_keys.round_state_key(runtime_id), pool)
    round_ = Round(load_last_block(state, runtime_id).round + 1)
    rank = 0 if pool.highest_rank is None else pool.highest_rank
    state.emit(DiscrepancyDetected(runtime_id, round_, rank, disagreed.is_timeout))
    return pool


def _round_timeout_ns(state: State, runtime_id: bytes) -> int:
    runtime = state.load_required(RuntimeState, state_keys.runtime_state_key(runtime_id))
    return runtime.descriptor.executor.round_timeout_ms * NS_PER_MS


def next_deadline_ns(state: State) -> int | None:
    """Consensus time at which the first open round runs out of patience [ns]."""
    deadlines = []
    for runtime in list_runtimes(state, RuntimeKind.COMPUTE):
        pool = state.load(RoundState, state_keys.round_state_key(runtime.id))
        if pool is not None and pool.deadline_ns is not None:
            deadlines.append(pool.deadline_ns)
    return min(deadlines, default=None)
