"""
What is void after a rewind, for who knew an earlier life of the chain.

Lives form one line: each begins on the chain of the one before, and going back removes all that was
made above. So the lowest start among the lives that somebody missed says how far back to go.
"""

from collections.abc import Callable, Mapping

from shared.encoding.record import decode_record
from shared.rules import state_keys
from shared.types.identity import Incarnation
from shared.types.incarnation import IncarnationStart, IncarnationState

MAX_STARTS = 64
"""Starts kept in the state; older ones are merged into the oldest, which then voids too much."""
NOTHING = -1
"""Stands for the newest round, or epoch with a secret, where there was none."""
FIRST_LIFE = IncarnationState(Incarnation(0), ())


def read_incarnation(values: Mapping[bytes, bytes | None]) -> IncarnationState:
    """Give the life that proven values tell of; the first where they tell of none."""
    raw = values.get(state_keys.INCARNATION)
    return FIRST_LIFE if raw is None else decode_record(IncarnationState, raw)


def with_start(state: IncarnationState, start: IncarnationStart) -> IncarnationState:
    """Add a start, without those that it undercuts; bounded."""
    starts = [one for one in state.starts if one.height < start.height]
    while len(starts) >= MAX_STARTS:
        oldest, following = starts[:2]
        starts[:2] = [
            IncarnationStart(following.incarnation, oldest.height, oldest.rounds, oldest.secrets)
        ]
    return IncarnationState(start.incarnation, (*starts, start))


def last_shared_round(state: IncarnationState, known: Incarnation, runtime_id: bytes) -> int | None:
    """Newest round that the life `known` has too; None where nothing was missed."""
    return _lowest(state, known, lambda start: start.rounds.get(runtime_id, NOTHING))


def last_shared_height(state: IncarnationState, known: Incarnation) -> int | None:
    """Newest height that the life `known` has too; None where nothing was missed."""
    return _lowest(state, known, lambda start: start.height)


def last_shared_secret(
    state: IncarnationState, known: Incarnation, key_manager: bytes
) -> int | None:
    """Newest epoch whose secret the life `known` has too; None where nothing was missed."""
    return _lowest(state, known, lambda start: start.secrets.get(key_manager, NOTHING))


def _lowest(
    state: IncarnationState, known: Incarnation, of: Callable[[IncarnationStart], int]
) -> int | None:
    return min((of(start) for start in state.starts if start.incarnation > known), default=None)
