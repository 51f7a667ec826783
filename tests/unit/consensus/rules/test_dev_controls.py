"""Rules by which dev controls move time and make rounds; nobody else may."""

import itertools

import pytest

from services.consensus.rules.beacon.epoch import NotDevControl
from services.consensus.rules.beacon.time_travel import MAX_SHIFT_NS, TooFarAhead
from services.consensus.rules.roothash.mining import MAX_MINED, TimestampInPast, TooManyMined
from services.consensus.rules.roothash.round_state import RoundState
from services.consensus.rules.roothash.rounds import NoOpenRound
from shared.crypto.hashes import EMPTY_HASH
from shared.rules import state_keys
from shared.types.block import HeaderType
from shared.types.methods import Method, Mine, MoveTime, SetMining, SetNextTimestamp
from shared.types.mining import REPLAYED, Mining, TimeShift
from tests.support.consensus_world import (
    COMPUTE,
    CONTROL,
    KEY_MANAGER,
    PARATIME,
    SECOND,
    World,
    make_genesis,
    signer,
)

YEAR_MS = 365 * 86_400_000
BODIES = (
    (Method.MOVE_TIME, MoveTime(1)),
    (Method.MINE, Mine(PARATIME)),
    (Method.SET_MINING, SetMining(PARATIME, automine=False)),
    (Method.SET_NEXT_TIMESTAMP, SetNextTimestamp(PARATIME, 2**40)),
)


@pytest.fixture
def world() -> World:
    return World.running()


def refused(world: World, method: Method, body: object, error: type) -> None:
    root, last = world.last, world.load(Mining, state_keys.mining_key(PARATIME))
    (result,) = world.block(world.tx(CONTROL, method, body))
    assert (result.codespace, result.code) == (error.module, error.code), result.log
    assert (world.last, world.load(Mining, state_keys.mining_key(PARATIME))) == (root, last)
    assert shift_of(world) == 0


def shift_of(world: World) -> int:
    shift = world.load(TimeShift, state_keys.TIME_SHIFT)
    return 0 if shift is None else shift.shift_ns


@pytest.mark.parametrize(("method", "body"), BODIES)
def test_only_the_dev_control_key_rules_time_and_rounds(method, body):
    world = World.running()
    for key in (COMPUTE[0].node, COMPUTE[0].entity, signer("anybody")):
        (result,) = world.block(world.tx(key, method, body))
        assert (result.codespace, result.code) == (NotDevControl.module, NotDevControl.code)
    assert shift_of(world) == 0
    assert world.load(Mining, state_keys.mining_key(PARATIME)) is None


@pytest.mark.parametrize(("method", "body"), BODIES)
def test_a_network_without_dev_controls_has_no_such_key(method, body):
    world = World(make_genesis(dev_control_key=None))
    (result,) = world.block(world.tx(CONTROL, method, body))
    assert (result.codespace, result.code) == (NotDevControl.module, NotDevControl.code)


def test_time_is_moved_by_as_much_as_was_asked_for_and_moves_add_up(world):
    world.must(CONTROL, Method.MOVE_TIME, MoveTime(YEAR_MS))
    world.must(CONTROL, Method.MOVE_TIME, MoveTime(1))
    assert world.app.time_shift_ns() == shift_of(world) == (YEAR_MS + 1) * 1_000_000


def test_time_is_not_moved_beyond_the_certificates(world):
    refused(world, Method.MOVE_TIME, MoveTime(MAX_SHIFT_NS // 1_000_000 + 1), TooFarAhead)
    refused(world, Method.MOVE_TIME, MoveTime(2**64 - 1), TooFarAhead)
    refused(world, Method.SET_NEXT_TIMESTAMP, SetNextTimestamp(PARATIME, 2**63), TooFarAhead)


def test_a_round_that_is_open_keeps_the_patience_that_it_has_left(world):
    scheduler = world.scheduler()
    world.vote((scheduler, b"g" * 32))
    before = world.load(RoundState, state_keys.round_state_key(PARATIME)).deadline_ns
    world.must(CONTROL, Method.MOVE_TIME, MoveTime(YEAR_MS))
    after = world.load(RoundState, state_keys.round_state_key(PARATIME)).deadline_ns
    assert after == before + YEAR_MS * 1_000_000


def test_mined_rounds_follow_each_other_and_keep_the_state(world):
    before = world.last
    world.must(CONTROL, Method.MINE, Mine(PARATIME, count=3, interval_s=10))
    headers = [one.header for one in world.events.finalized]
    assert [one.round for one in headers] == [before.round + n for n in (1, 2, 3)]
    assert headers[0].previous_hash == before.hash()
    for first, second in itertools.pairwise(headers):
        assert second.previous_hash == first.hash()
        assert second.timestamp == first.timestamp + 10
    for header in headers:
        assert (header.header_type, header.io_root) == (HeaderType.ROUND_FAILED, EMPTY_HASH)
        assert header.state_root == before.state_root
    assert world.last == headers[-1]
    # No later block is older than these.
    assert world.time_ns + shift_of(world) >= headers[-1].timestamp * SECOND


def test_mining_blames_nobody_for_the_round_that_it_ends(world):
    scheduler = world.scheduler()
    world.vote((scheduler, b"g" * 32))
    world.must(CONTROL, Method.MINE, Mine(PARATIME))
    assert world.load(RoundState, state_keys.round_state_key(PARATIME)) == RoundState()
    assert world.events.slashed == ()
    world.agree(b"g" * 32)


def test_no_more_is_mined_than_a_block_holds(world):
    refused(world, Method.MINE, Mine(PARATIME, MAX_MINED + 1), TooManyMined)
    refused(world, Method.MINE, Mine(PARATIME, 2, 2**63), TooManyMined)
    refused(world, Method.MINE, Mine(PARATIME, MAX_MINED, 366 * 86_400), TooFarAhead)
    refused(world, Method.SET_MINING, SetMining(PARATIME, interval_ms=2**63), TooManyMined)
    for unknown in (KEY_MANAGER, bytes(32)):
        refused(world, Method.MINE, Mine(unknown), NoOpenRound)
        refused(world, Method.SET_MINING, SetMining(unknown), NoOpenRound)


def test_a_chosen_timestamp_lasts_until_a_round_with_transactions(world):
    chosen = world.time_ns // SECOND + 1_000
    world.must(CONTROL, Method.SET_NEXT_TIMESTAMP, SetNextTimestamp(PARATIME, chosen))
    assert world.time_ns + shift_of(world) >= chosen * SECOND - 1
    world.agree(b"a" * 32, io_root=EMPTY_HASH)
    assert world.last.timestamp == chosen
    world.agree(b"b" * 32)
    assert world.last.timestamp == chosen
    assert world.load(Mining, state_keys.mining_key(PARATIME)).next_timestamp is None


def test_no_timestamp_is_below_that_of_the_block_before(world):
    world.must(CONTROL, Method.MINE, Mine(PARATIME, 2, 100))
    newest = world.last.timestamp
    shift = shift_of(world)
    (result,) = world.block(
        world.tx(CONTROL, Method.SET_NEXT_TIMESTAMP, SetNextTimestamp(PARATIME, newest - 1))
    )
    assert (result.codespace, result.code) == (TimestampInPast.module, TimestampInPast.code)
    # This world's clock knows nothing of the shift.
    world.agree(b"g" * 32)
    assert world.last.timestamp == newest
    assert shift_of(world) == shift


def test_how_rounds_are_made_is_told_and_kept(world):
    world.must(CONTROL, Method.SET_MINING, SetMining(PARATIME, automine=False))
    world.must(CONTROL, Method.SET_MINING, SetMining(PARATIME, interval_ms=0))
    (change,) = world.events.mining
    assert change.mining == Mining(automine=False, interval_ms=0)
    world.must(CONTROL, Method.MINE, Mine(PARATIME, 0))
    (change,) = world.events.mining
    assert change.mining.wanted == world.last.round + 1
    assert world.load(Mining, state_keys.mining_key(PARATIME)) == change.mining


def test_timestamps_do_not_repeat_where_a_step_was_asked_for(world):
    world.must(CONTROL, Method.SET_MINING, SetMining(PARATIME, step_s=7))
    stamps = [world.last.timestamp]
    for _ in range(3):
        world.agree(b"g" * 32)
        stamps.append(world.last.timestamp)
    world.must(CONTROL, Method.MINE, Mine(PARATIME))
    stamps.append(world.last.timestamp)
    assert {b - a for a, b in itertools.pairwise(stamps)} == {7}
    # No clock that the chain knows is behind what contracts see.
    assert world.time_ns + shift_of(world) >= stamps[-1] * SECOND
    chosen = stamps[-1] + 100
    world.must(CONTROL, Method.SET_NEXT_TIMESTAMP, SetNextTimestamp(PARATIME, chosen))
    world.agree(b"h" * 32)
    assert world.last.timestamp == chosen
    refused_step = SetMining(PARATIME, step_s=2**40)
    (result,) = world.block(world.tx(CONTROL, Method.SET_MINING, refused_step))
    assert (result.codespace, result.code) == (TooManyMined.module, TooManyMined.code)


def test_timestamps_of_a_network_that_replays_hang_on_no_clock():
    for seconds in (1, 20):
        world = World.running(make_genesis(mining=REPLAYED))
        stamps = [world.last.timestamp]
        world.block(seconds=seconds)
        world.agree(b"g" * 32)
        stamps.append(world.last.timestamp)
        world.must(CONTROL, Method.MOVE_TIME, MoveTime(3_600_000))
        world.must(CONTROL, Method.MOVE_TIME, MoveTime(60_000))
        world.agree(b"h" * 32)
        stamps.append(world.last.timestamp)
        world.must(CONTROL, Method.MINE, Mine(PARATIME))
        stamps.append(world.last.timestamp)
        chosen = SetNextTimestamp(PARATIME, world.last.timestamp + 500)
        world.must(CONTROL, Method.SET_NEXT_TIMESTAMP, chosen)
        world.agree(b"i" * 32)
        stamps.append(world.last.timestamp)
        assert [b - a for a, b in itertools.pairwise(stamps)] == [1, 3_660, 1, 500]


def test_a_step_never_stops_rounds_where_time_can_be_moved_no_further(world):
    world.must(CONTROL, Method.SET_MINING, SetMining(PARATIME, step_s=366 * 86_400))
    for _ in range(95):
        world.agree(b"g" * 32)
    assert shift_of(world) <= MAX_SHIFT_NS
