"""
Blocks of ParaTimes: how a round ends, and what else makes a block.

Source: oasis-core go/consensus/cometbft/apps/roothash/{finalization,roothash}.go @ f9f1fdc.
"""

from dataclasses import replace

from services.consensus.rules.beacon.time_travel import keep_up
from services.consensus.rules.context import BlockContext
from services.consensus.rules.parameters import load_parameters
from services.consensus.rules.roothash.commitments import hash_of
from services.consensus.rules.roothash.liveness import with_missed_proposal, with_round
from services.consensus.rules.roothash.messages import (
    execute_messages,
    load_inbox,
    save_inbox,
)
from services.consensus.rules.roothash.penalties import punish_incorrect_results
from services.consensus.rules.roothash.round_state import (
    FAILURE_VOTE,
    LivenessStatistics,
    RoundResults,
    RoundState,
    RuntimeState,
)
from services.consensus.rules.state import State
from shared.api.consensus import FinalizedRound
from shared.crypto.hashes import EMPTY_HASH
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.block import BlockHeader, HeaderType, RoundRoots
from shared.types.identity import Height, Round, RuntimeId
from shared.types.messages import Inbox, hash_inbox, hash_messages, read_messages
from shared.types.mining import USUAL, Mining
from shared.types.registry import Committee, RuntimeDescriptor

BLOCK_VERSION = 1


class NoOpenRound(Rejected, module="roothash", code=1):
    """The runtime makes no rounds now: it is unknown, a key manager, or without a committee."""


def load_last_block(state: State, runtime_id: bytes) -> BlockHeader:
    """Give the newest block of a ParaTime, or raise `NoOpenRound`."""
    last = state.load(BlockHeader, state_keys.last_block_key(runtime_id))
    if last is None:
        raise NoOpenRound(f"runtime {runtime_id.hex()} makes no rounds")
    return last


def open_runtime(state: State, context: BlockContext, runtime: RuntimeDescriptor) -> None:
    """Make block 0 of a new ParaTime. Its state is empty: the first round lays down its genesis."""
    header = BlockHeader(
        version=BLOCK_VERSION,
        namespace=runtime.id,
        round=Round(0),
        timestamp=context.time_s,
        header_type=HeaderType.NORMAL,
        previous_hash=EMPTY_HASH,
        io_root=EMPTY_HASH,
        state_root=EMPTY_HASH,
    )
    state.save(state_keys.runtime_state_key(runtime.id), RuntimeState(_snapshot(runtime)))
    _save_block(state, context, FinalizedRound(runtime.id, header))


def begin_committee(
    state: State,
    context: BlockContext,
    runtime: RuntimeDescriptor,
    committee: Committee | None,
) -> None:
    """
    End the open round, whatever was voted, and go on with a new committee, or with none.

    The block says so: EPOCH_TRANSITION, or SUSPENDED at the first time without a committee.
    """
    key = state_keys.runtime_state_key(runtime.id)
    was_suspended = state.load_required(RuntimeState, key).is_suspended
    is_suspended = committee is None
    state.save(key, RuntimeState(_snapshot(runtime), is_suspended))
    if is_suspended and was_suspended:
        return
    kind = HeaderType.SUSPENDED if is_suspended else HeaderType.EPOCH_TRANSITION
    header = _empty_block(state, context, runtime.id, kind)
    _save_block(state, context, FinalizedRound(runtime.id, header))
    _keep_up(state, context, header)


def _snapshot(runtime: RuntimeDescriptor) -> RuntimeDescriptor:
    return replace(runtime, genesis=None)


def fail_round(state: State, context: BlockContext, runtime_id: bytes, pool: RoundState) -> None:
    """Give a round up: the state stays as it was, and nobody is punished."""
    if pool.highest_rank is not None:
        scheduler = pool.proposals[pool.highest_rank].scheduler_id
        key = state_keys.liveness_key(runtime_id)
        statistics = state.load(LivenessStatistics, key) or LivenessStatistics()
        state.save(key, with_missed_proposal(statistics, scheduler))
    header = _empty_block(state, context, runtime_id, HeaderType.ROUND_FAILED)
    _save_block(
        state, context, FinalizedRound(runtime_id, header, had_discrepancy=pool.is_discrepancy)
    )
    _keep_up(state, context, header)


def make_empty_blocks(
    state: State, context: BlockContext, runtime_id: RuntimeId, count: int, interval_s: int
) -> BlockHeader:
    """Give the open round up and make others without transactions; the header of the last."""
    first = _timestamp(state, context, runtime_id)
    for number in range(count):
        header = _empty_block(state, context, runtime_id, HeaderType.ROUND_FAILED)
        header = replace(header, timestamp=first + number * interval_s)
        _save_block(state, context, FinalizedRound(runtime_id, header))
    _release_timestamp(state, runtime_id)
    return load_last_block(state, runtime_id)


def load_mining(state: State, runtime_id: bytes) -> Mining:
    """Give what dev controls say about the rounds of a ParaTime."""
    return state.load(Mining, state_keys.mining_key(runtime_id)) or USUAL


def _timestamp(state: State, context: BlockContext, runtime_id: bytes) -> int:
    """Timestamp of the next round, by the time and by dev controls; it never falls [s]."""
    mining, last = load_mining(state, runtime_id), load_last_block(state, runtime_id).timestamp
    if mining.next_timestamp is not None:
        return max(mining.next_timestamp, last)
    if mining.is_step_exact:
        return last + mining.step_s
    return max(context.time_s, last + mining.step_s)


def _keep_up(state: State, context: BlockContext, header: BlockHeader) -> None:
    """Have time not be behind timestamps that were asked to run ahead of it."""
    if load_mining(state, header.namespace).step_s:
        keep_up(state, context.time_ns, header.timestamp)


def _release_timestamp(state: State, runtime_id: bytes) -> None:
    mining = load_mining(state, runtime_id)
    if mining.next_timestamp is not None:
        state.save(state_keys.mining_key(runtime_id), replace(mining, next_timestamp=None))


def _empty_block(
    state: State, context: BlockContext, runtime_id: bytes, kind: HeaderType
) -> BlockHeader:
    last = load_last_block(state, runtime_id)
    return BlockHeader(
        version=BLOCK_VERSION,
        namespace=runtime_id,
        round=Round(last.round + 1),
        timestamp=_timestamp(state, context, runtime_id),
        header_type=kind,
        previous_hash=hash_of(last),
        io_root=EMPTY_HASH,
        state_root=last.state_root,
        # Nobody has heard it yet: the round after this one begins with it.
        in_msgs_hash=hash_inbox(load_inbox(state, runtime_id)),
    )


def finalize_round(
    state: State, context: BlockContext, runtime_id: bytes, pool: RoundState, committee: Committee
) -> None:
    """
    Make the result of the scheduler at the highest rank the next block.

    Who voted for another result is bad, and is slashed if there was a discrepancy; who failed or
    was silent is neither good nor bad.
    """
    last = load_last_block(state, runtime_id)
    if pool.highest_rank is None:
        raise LookupError("no scheduler has committed")
    proposal = pool.proposals[pool.highest_rank]
    if proposal.state_root is None or proposal.io_root is None:
        raise LookupError("the scheduler at the highest rank has not committed")
    messages = proposal.messages or ()
    asked = read_messages(messages, hash_messages(messages))
    # What the round began with has been heard: its results are in the state root.
    inbox = Inbox(execute_messages(state, runtime_id, asked))
    save_inbox(state, runtime_id, inbox)
    header = BlockHeader(
        version=BLOCK_VERSION,
        namespace=runtime_id,
        round=Round(last.round + 1),
        timestamp=_timestamp(state, context, runtime_id),
        header_type=HeaderType.NORMAL,
        previous_hash=hash_of(last),
        io_root=proposal.io_root,
        state_root=proposal.state_root,
        messages_hash=hash_messages(messages),
        in_msgs_hash=hash_inbox(inbox),
    )
    if header.io_root != EMPTY_HASH:
        _release_timestamp(state, runtime_id)
    result = proposal.votes[proposal.scheduler_id]
    votes = sorted(proposal.votes.items())
    good = tuple(node for node, vote in votes if vote == result)
    bad = tuple(node for node, vote in votes if vote not in (result, FAILURE_VOTE))
    _count(state, runtime_id, committee, header.round, pool.highest_rank, good)
    state.save(state_keys.round_results_key(runtime_id), RoundResults(header.round, good, bad))
    if pool.is_discrepancy:
        runtime = state.load_required(RuntimeState, state_keys.runtime_state_key(runtime_id))
        punish_incorrect_results(state, runtime.descriptor, good, bad)
    _save_block(state, context, FinalizedRound(runtime_id, header, pool.is_discrepancy, good, bad))
    _keep_up(state, context, header)


def _count(
    state: State,
    runtime_id: bytes,
    committee: Committee,
    round_: int,
    rank: int,
    good: tuple[bytes, ...],
) -> None:
    primary = next(n for n in committee.workers() if committee.scheduler_rank(round_, n) == 0)
    key = state_keys.liveness_key(runtime_id)
    statistics = state.load(LivenessStatistics, key) or LivenessStatistics()
    counted = with_round(
        statistics,
        workers=committee.workers(),
        good=good,
        primary=primary,
        is_primary_proposal=rank == 0,
    )
    state.save(key, counted)


def _save_block(state: State, context: BlockContext, finalized: FinalizedRound) -> None:
    """Save a block, keep its roots, and open the next round with an empty pool."""
    runtime_id, header = finalized.runtime_id, finalized.header
    state.save(state_keys.last_block_key(runtime_id), header)
    state.save(state_keys.round_state_key(runtime_id), RoundState())
    roots = RoundRoots(header.state_root, header.io_root, Height(context.height))
    state.save(state_keys.past_roots_key(runtime_id, header.round), roots)
    oldest = header.round - load_parameters(state).roothash.max_past_roots_stored
    if oldest >= 0:
        state.remove(state_keys.past_roots_key(runtime_id, oldest))
    state.emit(finalized)
