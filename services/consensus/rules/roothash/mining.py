"""
Rounds that dev controls ask for, and the timestamps that they choose (ADR 0032).

A round without transactions leaves the state as it is, so consensus makes it alone, as it does when
a round fails or an epoch begins: a thousand of them cost no more than their headers.
"""

from dataclasses import replace

from services.consensus.rules.beacon.time_travel import NS_PER_MS, NS_PER_S, move_time
from services.consensus.rules.context import BlockContext
from services.consensus.rules.registry.runtimes import list_runtimes
from services.consensus.rules.roothash.round_state import RuntimeState
from services.consensus.rules.roothash.rounds import (
    NoOpenRound,
    load_last_block,
    load_mining,
    make_empty_blocks,
)
from services.consensus.rules.state import State
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.identity import Round, RuntimeId
from shared.types.methods import Mine, MoveTime, SetMining, SetNextTimestamp
from shared.types.mining import Mining, MiningChanged
from shared.types.registry import RuntimeKind

MAX_MINED = 256
"""Rounds that one transaction makes: some 64 KB of headers in the events of a block."""
MAX_INTERVAL_S = 366 * 86_400
"""Between two of them [s]: a leap year."""
MS_PER_S = 1_000
MAX_INTERVAL_MS = 86_400_000
"""Between rounds that have no other reason [ms]: a day."""


class TooManyMined(Rejected, module="roothash", code=24):
    """More rounds than one transaction makes, or further apart than they may be."""


class TimestampInPast(Rejected, module="roothash", code=25):
    """The timestamp is below that of the newest round."""


def apply_mine(state: State, context: BlockContext, mine: Mine) -> None:
    """
    Make rounds without transactions, or ask for the next one with those that wait.

    Raises
    ------
    NoOpenRound, TooManyMined, TooFarAhead
        See each class.
    """
    _verify_open(state, mine.runtime_id)
    if mine.count > MAX_MINED or mine.interval_s > MAX_INTERVAL_S:
        raise TooManyMined(f"at most {MAX_MINED} at once, and {MAX_INTERVAL_S} s apart")
    if mine.count == 0:
        mining = load_mining(state, mine.runtime_id)
        wanted = Round(load_last_block(state, mine.runtime_id).round + 1)
        _change(state, mine.runtime_id, replace(mining, wanted=wanted))
        return
    last = make_empty_blocks(state, context, mine.runtime_id, mine.count, mine.interval_s)
    move_time(state, last.timestamp * NS_PER_S - context.time_ns)


def apply_set_mining(state: State, change: SetMining) -> None:
    """
    Change when schedulers propose.

    Raises
    ------
    NoOpenRound, TooManyMined
        See each class.
    """
    load_last_block(state, change.runtime_id)
    mining = load_mining(state, change.runtime_id)
    if change.automine is not None:
        mining = replace(mining, automine=change.automine)
    if change.interval_ms is not None:
        if change.interval_ms > MAX_INTERVAL_MS:
            raise TooManyMined(f"rounds are at most {MAX_INTERVAL_MS} ms apart")
        mining = replace(mining, interval_ms=change.interval_ms)
    if change.step_s is not None:
        if change.step_s > MAX_INTERVAL_S:
            raise TooManyMined(f"timestamps are at most {MAX_INTERVAL_S} s apart")
        mining = replace(mining, step_s=change.step_s)
    _change(state, change.runtime_id, mining)


def apply_set_next_timestamp(state: State, context: BlockContext, chosen: SetNextTimestamp) -> None:
    """
    Choose the next timestamp, and have consensus time be no less from the next block on.

    Raises
    ------
    NoOpenRound, TimestampInPast, TooFarAhead
        See each class.
    """
    last = load_last_block(state, chosen.runtime_id)
    if chosen.timestamp_s < last.timestamp:
        raise TimestampInPast(
            f"timestamp {chosen.timestamp_s} is lower than the previous block's, {last.timestamp}"
        )
    move_time(state, chosen.timestamp_s * NS_PER_S - context.time_ns)
    mining = load_mining(state, chosen.runtime_id)
    chosen_next = replace(mining, next_timestamp=chosen.timestamp_s)
    state.save(state_keys.mining_key(chosen.runtime_id), chosen_next)


def apply_move_time(state: State, moved: MoveTime) -> None:
    """
    Move consensus time ahead, and with it timestamps that do not follow it.

    Raises
    ------
    TooFarAhead
        See the class.
    """
    move_time(state, moved.by_ms * NS_PER_MS)
    for runtime in list_runtimes(state, RuntimeKind.COMPUTE):
        mining = load_mining(state, runtime.id)
        if mining.is_step_exact:
            base = mining.next_timestamp or load_last_block(state, runtime.id).timestamp
            ahead = replace(mining, next_timestamp=base + moved.by_ms // MS_PER_S)
            state.save(state_keys.mining_key(runtime.id), ahead)


def _verify_open(state: State, runtime_id: RuntimeId) -> None:
    load_last_block(state, runtime_id)
    if state.load_required(RuntimeState, state_keys.runtime_state_key(runtime_id)).is_suspended:
        raise NoOpenRound(f"runtime {runtime_id.hex()} has no committee")


def _change(state: State, runtime_id: RuntimeId, mining: Mining) -> None:
    state.save(state_keys.mining_key(runtime_id), mining)
    state.emit(MiningChanged(runtime_id, mining))
