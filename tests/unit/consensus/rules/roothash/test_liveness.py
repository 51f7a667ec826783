"""Liveness: who is suspended, and who pays."""

import pytest

from services.consensus.rules.roothash.liveness import is_live, with_missed_proposal, with_round
from services.consensus.rules.roothash.round_state import LivenessStatistics
from shared.rules import state_keys
from shared.types.methods import Method, UnfreezeNode
from shared.types.registry import ExecutorParameters, NodeStatus
from tests.support.consensus_world import COMPUTE, PARATIME, World, make_genesis

GOOD = b"g" * 32
STRICT = ExecutorParameters(
    allowed_stragglers=1, min_live_rounds_percent=80, min_live_rounds_eval=4, max_liveness_fails=2
)


def status(world: World, keys) -> NodeStatus:
    return world.load(NodeStatus, state_keys.node_status_key(keys.id)) or NodeStatus()


def run_epoch_without(world: World, lazy, rounds: int = 5) -> None:
    """Finalize rounds in which one worker is silent; those it should propose go to rank 1."""
    for _ in range(rounds):
        active = [k for k in world.workers() if k != lazy]
        scheduler = next(k for r in (0, 1) if (k := world.scheduler(r)) != lazy)
        world.block(*(world.commit(k, GOOD, scheduler=scheduler) for k in active))
        world.block(seconds=2.1)


def world_with_lazy_worker():
    world = World.running(make_genesis(executor=STRICT))
    return world, world.workers()[0]


def test_a_worker_that_is_not_live_is_left_out_of_the_next_elections():
    world, lazy = world_with_lazy_worker()
    run_epoch_without(world, lazy)
    world.next_epoch(*COMPUTE)
    assert status(world, lazy).faults == {PARATIME: 1}
    assert status(world, lazy).suspended_until == {PARATIME: world.epoch + 2}
    for _ in range(2):
        assert lazy.id not in {m.node_id for m in world.committee.members}
        world.next_epoch(*COMPUTE)
    assert not any(event for event in world.events.slashed)


def with_a_newcomer(first_part, wanted, place=0) -> tuple[World, object, object]:
    """
    A world in which a fourth node registers within the epoch; the worker at a place before that,
    and the newcomer.

    How the lots fall hangs on the genesis, so names of the chain are tried until it is as `wanted`.
    """
    for attempt in range(40):
        world = World(make_genesis(executor=STRICT, chain_id=f"newcomer-{attempt}"))
        present, late = COMPUTE[:3], COMPUTE[3]
        world.register(*present)
        world.next_epoch(*present)
        first = world.workers()[place]
        first_part(world, first)
        before = world.workers()
        world.register(late)
        if world.workers() != before and wanted(world, first, late):
            return world, first, late
    raise AssertionError("the lots never fell as wanted")


@pytest.mark.parametrize("stays", [True, False])
def test_a_newcomer_does_not_wash_the_record_of_a_lazy_worker(stays):
    world, lazy, _ = with_a_newcomer(
        run_epoch_without,
        lambda world, lazy, _: (lazy in world.workers()) == stays,
        # The lots stay, and who has the last one makes room.
        place=0 if stays else -1,
    )
    world.next_epoch(*COMPUTE)
    assert status(world, lazy).faults == {PARATIME: 1}
    assert status(world, lazy).suspended_until == {PARATIME: world.epoch + 2}


def test_a_newcomer_is_measured_by_the_rounds_in_which_it_was_a_worker():
    def agree(world, _):
        for _ in range(20):
            world.agree(GOOD)

    world, *_ = with_a_newcomer(agree, lambda world, _, late: late in world.workers())
    for _ in range(6):
        world.agree(GOOD)
    world.next_epoch(*COMPUTE)
    assert all(status(world, keys) == NodeStatus() for keys in COMPUTE)


def test_statistics_begin_anew_with_the_epoch():
    world, lazy = world_with_lazy_worker()
    run_epoch_without(world, lazy, rounds=3)
    world.next_epoch(*COMPUTE)
    statistics = world.load(LivenessStatistics, state_keys.liveness_key(PARATIME))
    assert statistics == LivenessStatistics()


def test_live_workers_are_not_suspended():
    world, lazy = world_with_lazy_worker()
    run_epoch_without(world, lazy)
    world.next_epoch(*COMPUTE)
    assert all(status(world, k) == NodeStatus() for k in COMPUTE if k != lazy)


def test_few_rounds_judge_nobody():
    world, lazy = world_with_lazy_worker()
    run_epoch_without(world, lazy, rounds=3)
    world.next_epoch(*COMPUTE)
    assert status(world, lazy) == NodeStatus()


def test_repeated_faults_are_slashed_and_frozen():
    genesis = make_genesis(
        executor=ExecutorParameters(
            allowed_stragglers=1,
            min_live_rounds_percent=80,
            min_live_rounds_eval=2,
            max_liveness_fails=1,
        )
    )
    world = World.running(genesis)
    lazy = world.workers()[1]
    run_epoch_without(world, lazy)
    world.next_epoch(*COMPUTE)
    assert world.account(lazy).active.balance == 1000 - 30
    assert status(world, lazy).freeze_end == world.epoch + 1
    world.next_epoch(*COMPUTE)
    world.must(lazy.entity, Method.UNFREEZE_NODE, UnfreezeNode(lazy.id))
    assert status(world, lazy).freeze_end is None


def test_a_live_epoch_clears_the_faults():
    world, lazy = world_with_lazy_worker()
    run_epoch_without(world, lazy)
    for _ in range(12):
        world.next_epoch(*COMPUTE)
        for _ in range(4):
            if lazy in world.workers():
                world.agree(GOOD)
        if status(world, lazy) == NodeStatus():
            return
    pytest.fail("the fault was never forgotten")


@pytest.mark.parametrize(
    ("missed", "finalized", "limit", "live"),
    [(1, 1, 50, True), (2, 1, 50, False), (9, 0, 0, True), (0, 0, 1, True)],
)
def test_missed_proposals_are_measured_against_ones_own(missed, finalized, limit, live):
    statistics = LivenessStatistics(
        {b"n": 10},
        {b"n": 10},
        finalized_proposals={b"n": finalized},
        missed_proposals={b"n": missed},
    )
    executor = ExecutorParameters(max_missed_proposals_percent=limit)
    assert is_live(statistics, b"n", executor) is live


def test_a_round_counts_for_its_voters_and_for_the_first_in_rank():
    counted = with_round(
        LivenessStatistics(),
        workers=[b"a", b"b"],
        good=[b"a", b"b"],
        primary=b"a",
        is_primary_proposal=True,
    )
    counted = with_round(
        counted, workers=[b"b", b"c"], good=[b"b"], primary=b"a", is_primary_proposal=False
    )
    counted = with_missed_proposal(counted, b"b")
    assert counted == LivenessStatistics(
        {b"a": 1, b"b": 2, b"c": 1},
        {b"a": 1, b"b": 2},
        finalized_proposals={b"a": 1},
        missed_proposals={b"a": 1, b"b": 1},
    )
