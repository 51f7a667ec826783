"""Epochs by consensus time, the insecure beacon, and elections."""

from collections import Counter

from services.consensus.rules.beacon.elections import draw_committee
from shared.rules import state_keys
from shared.types.beacon import EpochState
from shared.types.block import HeaderType
from shared.types.registry import ExecutorParameters, RuntimeDescriptor, RuntimeKind
from tests.support.consensus_world import (
    BASE_EPOCH,
    COMPUTE,
    PARATIME,
    SECOND,
    World,
    make_genesis,
)


def epoch_state(world: World) -> EpochState:
    return world.load(EpochState, state_keys.EPOCH)


def test_genesis_begins_its_epoch():
    world = World()
    state = epoch_state(world)
    assert (state.epoch, state.start_height) == (BASE_EPOCH, 1)
    assert state.start_time_ns == world.genesis.time_ns
    assert world.app.next_deadline_ns() == world.genesis.time_ns + 30 * SECOND


def test_an_epoch_ends_by_time_and_not_by_blocks():
    world = World()
    for _ in range(50):
        world.block()
    assert world.epoch == BASE_EPOCH
    world.block(seconds=31)
    assert world.epoch == BASE_EPOCH + 1
    assert world.events.is_epoch_change
    assert world.events.epoch == BASE_EPOCH + 1
    assert epoch_state(world).start_height == world.height


def test_epochs_keep_their_beat_when_blocks_are_late():
    world = World()
    world.block(seconds=33)
    assert epoch_state(world).start_time_ns == world.genesis.time_ns + 30 * SECOND


def test_a_jump_of_time_costs_one_epoch_and_expires_nobody():
    world = World.running()
    epoch = world.epoch
    world.block(seconds=365 * 86_400)
    assert world.epoch == epoch + 1
    assert epoch_state(world).start_time_ns == world.time_ns
    assert world.committee is not None


def test_a_new_epoch_ends_the_open_round_with_a_block_of_its_own():
    world = World.running()
    parent = world.last
    world.vote((world.scheduler(), b"g" * 32))
    world.next_epoch(*COMPUTE)
    assert world.last.round == parent.round + 1
    assert world.last.header_type is HeaderType.EPOCH_TRANSITION
    assert world.last.state_root == parent.state_root
    assert world.last.previous_hash == parent.hash()
    world.agree()


def test_a_runtime_without_committee_is_suspended():
    world = World()
    world.next_epoch()
    assert world.last.header_type is HeaderType.SUSPENDED


def test_the_first_committee_does_not_wait_for_an_epoch():
    world = World()
    world.register(*COMPUTE[:2])
    assert world.committee is None
    world.register(COMPUTE[2])
    assert world.committee is not None
    assert world.last.header_type is HeaderType.EPOCH_TRANSITION
    world.agree()


def test_the_first_committee_waits_for_as_many_nodes_as_are_asked_for():
    world = World(make_genesis(executor=ExecutorParameters(min_pool_size=len(COMPUTE))))
    world.register(*COMPUTE[:3])
    assert world.committee is None
    world.register(COMPUTE[3])
    assert world.committee is not None
    assert world.last.round == 1
    # A node that is lost later stops nobody.
    world.next_epoch(*COMPUTE[:3])
    world.next_epoch(*COMPUTE[:3])
    assert world.committee is not None


def test_a_newcomer_leads_to_another_draw_and_a_renewal_does_not():
    world = World()
    world.register(*COMPUTE[:3])
    first, last = world.committee, world.last
    world.register(COMPUTE[0])
    assert (world.committee, world.last) == (first, last)
    world.register(COMPUTE[3])
    later = world.committee
    # The lots decide whether it is in; who stays, stays in order.
    assert later == draw_committee(
        world.load(RuntimeDescriptor, state_keys.runtime_key(PARATIME)),
        [keys.id for keys in COMPUTE],
        epoch_state(world),
        world.chain_context,
    )
    assert (world.last == last) == (later == first)
    world.agree()


def test_the_same_genesis_and_blocks_give_the_same_state():
    roots = []
    for _ in range(2):
        world = World.running()
        world.agree()
        roots.append(world.app.info().app_hash)
    assert roots[0] == roots[1]


def test_another_chain_draws_another_beacon():
    values = {
        epoch_state(World.running(make_genesis(chain_id=name))).entropy for name in ("a", "b")
    }
    assert len(values) == 2


def draw(epoch: int, candidates: list[bytes], workers: int = 3, backups: int = 3):
    runtime = RuntimeDescriptor(
        PARATIME,
        bytes(32),
        RuntimeKind.COMPUTE,
        (),
        executor=ExecutorParameters(group_size=workers, group_backup_size=backups),
    )
    return draw_committee(runtime, candidates, EpochState(epoch, 1, 0, bytes(32)), "chain")


NODES = [bytes([index]) * 32 for index in range(6)]


def test_the_order_of_candidates_does_not_matter():
    assert draw(5, NODES) == draw(5, NODES[::-1])


def test_workers_come_first_and_each_role_is_filled_without_repeats():
    committee = draw(5, NODES)
    assert len(set(committee.workers())) == 3
    assert len(set(committee.backups())) == 3
    assert tuple(m.node_id for m in committee.members) == committee.workers() + committee.backups()


def test_too_few_candidates_make_no_committee():
    assert draw(5, NODES[:2]) is None
    assert draw(5, NODES[:2], workers=1) is None


def test_over_many_epochs_every_node_has_its_share_of_every_role():
    workers, firsts, backups = Counter(), Counter(), Counter()
    for epoch in range(1000):
        committee = draw(epoch, NODES)
        workers.update(committee.workers())
        backups.update(committee.backups())
        firsts[committee.workers()[0]] += 1
    # Half of 1000 with a standard deviation of 16; a sixth with one of 12.
    assert all(abs(workers[node] - 500) < 80 for node in NODES)
    assert all(abs(backups[node] - 500) < 80 for node in NODES)
    assert all(abs(firsts[node] - 167) < 60 for node in NODES)


def test_every_worker_is_first_in_turn():
    committee = draw(5, NODES)
    firsts = [
        next(node for node in committee.workers() if committee.scheduler_rank(round_, node) == 0)
        for round_ in range(3)
    ]
    assert set(firsts) == set(committee.workers())
