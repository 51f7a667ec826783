"""
Moving consensus time ahead, by dev controls alone (ADR 0032).

The clock belongs to the engine. What the rules say is how far consensus time is ahead of it, as a
value of state: all validators add the same, it survives restarts, and a rewind takes it back.
"""

from dataclasses import replace

from services.consensus.rules.registry.runtimes import list_runtimes
from services.consensus.rules.roothash.round_state import RoundState
from services.consensus.rules.state import State
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.mining import TimeShift
from shared.types.registry import RuntimeKind

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
MAX_SHIFT_NS = 90 * 365 * 86_400 * NS_PER_S
"""As far as the certificates of a mock CPU reach, less ten years; see `qanat/cpu/pki.py`."""


class TooFarAhead(Rejected, module="beacon", code=2):
    """Time would be moved beyond the life of the network's certificates."""


def time_shift_ns(state: State) -> int:
    """Say how far consensus time is ahead of the clock [ns]."""
    shift = state.load(TimeShift, state_keys.TIME_SHIFT)
    return 0 if shift is None else shift.shift_ns


def move_time(state: State, by_ns: int) -> None:
    """
    Have the next block's time be ahead by so much more [ns]; what is not positive does nothing.

    Rounds that are open keep the patience that they have left.

    Raises
    ------
    TooFarAhead
        See the class.
    """
    if by_ns <= 0:
        return
    shift_ns = time_shift_ns(state) + by_ns
    if shift_ns > MAX_SHIFT_NS:
        raise TooFarAhead(f"time can be moved by {MAX_SHIFT_NS // NS_PER_S} s in all")
    state.save(state_keys.TIME_SHIFT, TimeShift(shift_ns))
    for runtime in list_runtimes(state, RuntimeKind.COMPUTE):
        key = state_keys.round_state_key(runtime.id)
        pool = state.load(RoundState, key)
        if pool is not None and pool.deadline_ns is not None:
            state.save(key, replace(pool, deadline_ns=pool.deadline_ns + by_ns))


def keep_up(state: State, now_ns: int, timestamp_s: int) -> None:
    """Have consensus time not be behind a timestamp from the next block on, as far as it may."""
    ahead_ns = timestamp_s * NS_PER_S - now_ns
    if ahead_ns <= MAX_SHIFT_NS - time_shift_ns(state):
        move_time(state, ahead_ns)
