"""What holds of a round, whatever some of its nodes do."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.types.block import HeaderType
from shared.types.commitment import CommitmentFailure
from tests.support.consensus_world import COMPUTE, SECOND, World
from tests.support.short_run import examples

GOOD, BAD, WORSE = b"g" * 32, b"b" * 32, b"w" * 32
SILENT, FAILING = "silent", "failing"
LIES = [BAD, WORSE, SILENT, FAILING]
PENALTY = 50
ROUND_TIMEOUT_NS = 2 * SECOND
STEP_NS = SECOND // 10


@dataclass(frozen=True)
class Behaviour:
    said: object
    pause_ms: int


behaviours = st.builds(
    Behaviour, st.sampled_from([GOOD, GOOD, *LIES]), st.integers(min_value=0, max_value=4000)
)


def play(world: World, plays: dict) -> int | None:
    """
    Let every node vote in its own time on rank 0's proposal, and wait for the end of the round.

    Gives how long the round took from its first vote on [ns]; None where none was taken.
    """
    scheduler, round_ = world.scheduler(), world.last.round
    start_ns, begun_ns, ended_ns = world.time_ns, None, None

    def step(seconds: float, *txs: bytes):
        nonlocal ended_ns
        results = world.block(*txs, seconds=seconds)
        if ended_ns is None and world.last.round > round_:
            ended_ns = world.time_ns
        return results

    for keys, behaviour in sorted(plays.items(), key=lambda item: item[1].pause_ms):
        due_ns = start_ns + behaviour.pause_ms * 1_000_000
        while ended_ns is None and world.time_ns + STEP_NS < due_ns:
            step(STEP_NS / SECOND)
        if ended_ns is not None or behaviour.said == SILENT:
            continue
        if behaviour.said == FAILING:
            raw = world.commit(keys, failure=CommitmentFailure.UNKNOWN, scheduler=scheduler)
        else:
            raw = world.commit(keys, behaviour.said, scheduler=scheduler)
        (result,) = step(0.001, raw)
        if begun_ns is None and result.code == 0:
            begun_ns = world.time_ns
    if begun_ns is None:
        return None
    while ended_ns is None and world.time_ns < begun_ns + 15 * SECOND:
        step(STEP_NS / SECOND)
    return (ended_ns or world.time_ns) - begun_ns


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(st.lists(behaviours, min_size=4, max_size=4))
def test_a_round_is_right_or_fails_and_only_the_guilty_pay(plays):
    world = World.running()
    parent, workers, backups = world.last, world.workers(), world.backups()
    scheduler = world.scheduler()
    before = {k: world.account(k).active.balance for k in COMPUTE}
    behaviour = dict(zip(COMPUTE, plays, strict=True))
    took = play(world, behaviour)

    # The round ends in bounded time once somebody has voted: its scheduler has a timeout to commit,
    # and from then on it takes 2.5 timeouts.
    if took is None:
        assert behaviour[scheduler].said not in (GOOD, BAD, WORSE)
        assert world.last == parent
        return
    assert world.last.round > parent.round
    assert took <= ROUND_TIMEOUT_NS * 7 // 2 + 3 * STEP_NS
    if behaviour[scheduler].said not in (GOOD, BAD, WORSE):
        assert world.last.header_type is HeaderType.ROUND_FAILED

    # A wrong result needs all workers, or a majority of backup workers beside the scheduler.
    result = world.last.state_root
    if world.last.header_type is HeaderType.NORMAL and result != GOOD:
        liars = [k for k in backups if behaviour[k].said == result]
        assert behaviour[scheduler].said == result
        assert all(behaviour[k].said == result for k in workers) or 2 * len(liars) > len(backups)
    if world.last.header_type is HeaderType.ROUND_FAILED:
        assert result == parent.state_root

    # Stake is taken from those who voted for another result than the final one, exactly once.
    lost = {k: before[k] - world.account(k).active.balance for k in COMPUTE}
    for keys, amount in lost.items():
        assert amount in (0, PENALTY) or amount < 0
        if amount > 0:
            assert behaviour[keys].said not in (result, SILENT, FAILING)


@pytest.mark.slow
@settings(max_examples=examples(25), deadline=None)
@given(liar=st.integers(0, 3), lie=st.sampled_from(LIES), pause_ms=st.integers(0, 4000))
def test_one_faulty_node_of_four_never_changes_the_result_nor_costs_the_others(liar, lie, pause_ms):
    world = World.running()
    culprit = COMPUTE[liar]
    is_scheduler = world.scheduler() == culprit
    before = {k: world.account(k).active.balance for k in COMPUTE}
    plays = {k: Behaviour(lie if k == culprit else GOOD, pause_ms) for k in COMPUTE}
    parent = world.last
    play(world, plays)
    assert world.last.state_root in (GOOD, parent.state_root)
    if not is_scheduler:
        finalized = world.store.rounds.load_header(world.last.namespace, parent.round + 1)
        assert finalized.state_root == GOOD
    honest = [k for k in COMPUTE if k != culprit]
    assert all(world.account(k).active.balance >= before[k] for k in honest)
    assert before[culprit] - world.account(culprit).active.balance in (0, PENALTY)
