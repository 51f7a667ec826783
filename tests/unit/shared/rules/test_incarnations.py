"""How far back somebody must go who missed lives of the chain."""

from hypothesis import given
from hypothesis import strategies as st

from shared.encoding.record import encode_record
from shared.rules import state_keys
from shared.rules.incarnations import (
    FIRST_LIFE,
    MAX_STARTS,
    last_shared_round,
    last_shared_secret,
    read_incarnation,
    with_start,
)
from shared.types.incarnation import IncarnationStart

RUNTIME, MANAGER = b"r" * 32, b"m" * 32


def start(incarnation: int, height: int) -> IncarnationStart:
    """Rounds and epochs rise with heights, ten heights a round and a hundred an epoch."""
    return IncarnationStart(incarnation, height, {RUNTIME: height // 10}, {MANAGER: height // 100})


def test_who_missed_nothing_keeps_everything():
    life = with_start(FIRST_LIFE, start(1, 50))
    assert last_shared_round(life, 1, RUNTIME) is None
    assert last_shared_secret(life, 1, MANAGER) is None
    assert last_shared_round(FIRST_LIFE, 0, RUNTIME) is None


def test_a_runtime_that_came_later_shares_no_round():
    life = with_start(FIRST_LIFE, start(1, 50))
    assert last_shared_round(life, 0, b"x" * 32) == -1
    assert last_shared_secret(life, 0, b"x" * 32) == -1


def test_state_without_the_key_is_of_the_first_life():
    assert read_incarnation({}) == read_incarnation({state_keys.INCARNATION: None}) == FIRST_LIFE
    life = with_start(FIRST_LIFE, start(1, 50))
    assert read_incarnation({state_keys.INCARNATION: encode_record(life)}) == life


# Each rewind goes back from a height to one below; the chain then grows again.
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 100)), max_size=100))
def test_nobody_goes_back_less_far_than_the_lowest_start_that_was_missed(steps):
    height, life, lows, kept = 400, FIRST_LIFE, [], {}
    for incarnation, (back, growth) in enumerate(steps, start=1):
        height = max(height - back, 1)
        # What the state says at that height: the newest life that had begun below it.
        at = max((h for h in kept if h < height), default=None)
        before = FIRST_LIFE if at is None else kept[at]
        kept = {h: one for h, one in kept.items() if h < height}
        life = with_start(before, start(incarnation, height))
        kept[height] = life
        lows.append(height)
        height += growth
    assert len(life.starts) <= MAX_STARTS
    for known in range(len(steps)):
        lowest = min(lows[known:])
        shared = last_shared_round(life, known, RUNTIME)
        assert shared <= lowest // 10
        if len(steps) < MAX_STARTS:
            assert shared == lowest // 10
            assert last_shared_secret(life, known, MANAGER) == lowest // 100
