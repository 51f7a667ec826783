"""Consensus time is moved by days and years; keys, sessions, attestations and rewinds go along."""

import itertools

import pytest

from services.consensus.rules.beacon.time_travel import TooFarAhead
from services.consensus.rules.roothash.mining import TimestampInPast
from tests.integration.world.test_back_in_time import slashed, until_level
from tests.integration.world.test_world import Vault, execute, head_of, in_a_world
from tests.support.keymanager import PARATIME_ID
from tests.support.world import World
from tests.support.world_genesis import identity_of

NS, DAY_S = 10**9, 86_400
SECRET = b"older than it looks"


async def now_s(world: World) -> int:
    return (await world.client.fetch_status()).time_ns // NS


async def until_round(world: World, round_: int) -> None:
    names = [name for name in world.compute if name in world.nodes]
    await world.until(lambda: all(head_of(world, n).round >= round_ for n in names))


async def until_keys(world: World) -> None:
    """Wait until every node has the keys of the epoch that consensus is in."""
    status = await world.client.fetch_status()
    nodes = [world.nodes[name] for name in world.compute if name in world.nodes]
    await world.until(
        lambda: world.is_ready() and all(n.state.epoch >= status.epoch for n in nodes)
    )


@pytest.mark.parametrize("jumps", [(1_200, 1_200), (30 * DAY_S, 365 * DAY_S)])
def test_secrets_outlive_any_jump(jumps):
    async def test(world: World) -> None:
        vault = Vault(world)
        await vault.deploy()
        await vault.store(SECRET)
        for jump_s in jumps:
            before = await now_s(world)
            reached = await world.client.move_time(jump_s * 1_000) // NS
            assert before + jump_s <= reached <= before + jump_s + 5
            newest = await world.client.fetch_last_block(PARATIME_ID)
            assert newest.timestamp >= before + jump_s
            await until_round(world, newest.round)
            await until_keys(world)
            for name in world.compute:
                assert await vault.holds(SECRET, name)
            await vault.store(SECRET, by="compute-1")
        await until_level(world)
        assert slashed(world) == []
        assert world.is_ready()

    in_a_world(test)


def test_enclave_killed_before_and_started_after_a_year_registers_and_gets_its_keys():
    async def test(world: World) -> None:
        vault = Vault(world)
        await vault.deploy()
        await vault.store(SECRET)
        for name in ("compute-1", "keymanager-1"):
            await world.kill(name)
        await world.client.move_time(365 * DAY_S * 1_000)
        for name in ("compute-1", "keymanager-1"):
            await world.start_node(name)
        await world.until(world.is_ready)
        await until_keys(world)
        assert await vault.holds(SECRET, "compute-1")
        await vault.store(SECRET, by="compute-1")

    in_a_world(test)


def test_the_next_block_and_the_one_that_contracts_see_have_the_chosen_time():
    async def test(world: World) -> None:
        chosen = await now_s(world) + 7 * DAY_S
        shown = await world.client.set_next_timestamp(PARATIME_ID, chosen)
        await until_round(world, shown)
        assert (await world.client.fetch_last_block(PARATIME_ID)).timestamp == chosen
        # Rounds without transactions do not use it up.
        await until_round(world, shown + 3)
        await execute(world, 0)
        rounds = [
            world.nodes["compute-0"].feed.find(n)
            for n in range(shown, shown + 6)
            if n < world.nodes["compute-0"].feed.next_round
        ]
        (with_transaction,) = [one for one in rounds if one.transactions]
        assert {
            one.header.timestamp
            for one in rounds
            if one.header.round <= with_transaction.header.round
        } == {chosen}
        await until_round(world, with_transaction.header.round + 2)
        later = head_of(world, "compute-0").timestamp
        assert chosen < later < chosen + 60

    in_a_world(test)


def test_time_goes_back_with_a_snapshot_and_does_not_run_backwards_otherwise():
    async def test(world: World) -> None:
        snapshot, before = await world.client.take_snapshot(), await now_s(world)
        await world.client.move_time(30 * DAY_S * 1_000)
        with pytest.raises(TimestampInPast):
            await world.client.set_next_timestamp(PARATIME_ID, before)
        with pytest.raises(TooFarAhead):
            await world.client.move_time(100 * 365 * DAY_S * 1_000)
        assert await now_s(world) >= before + 30 * DAY_S
        await world.client.revert(snapshot.id, 2_000)
        assert await now_s(world) < before + DAY_S
        await until_level(world)
        await execute(world, 0)

    in_a_world(test)


def test_many_rounds_are_mined_at_once_and_every_node_follows():
    async def test(world: World) -> None:
        first = await world.client.fetch_last_block(PARATIME_ID)
        last = await world.client.mine_rounds(PARATIME_ID, 600, 60)
        assert last >= first.round + 600
        await until_round(world, last)
        newest = await world.client.fetch_round_header(PARATIME_ID, last)
        mined = await world.client.fetch_round_headers(PARATIME_ID, last - 599, 256)
        stamps = [one.timestamp for one in mined]
        steps = [b - a for a, b in itertools.pairwise(stamps)]
        # Nodes follow into new epochs between the steps of the call, and rounds go on meanwhile.
        assert min(steps) >= 0
        assert steps.count(60) >= 200
        assert newest.timestamp >= first.timestamp + 599 * 60
        assert await now_s(world) >= newest.timestamp
        await until_level(world)
        await execute(world, 0)

    in_a_world(test)


def test_without_automine_transactions_wait_until_a_round_is_mined():
    async def test(world: World) -> None:
        await world.client.set_mining(PARATIME_ID, automine=False, interval_ms=0)
        start = (await world.client.fetch_last_block(PARATIME_ID)).round
        await until_round(world, start)
        sent = world.loop.time()
        waiting = world.loop.create_task(execute(world, 0))
        await world.until(lambda: world.loop.time() > sent + 20)
        assert (await world.client.fetch_last_block(PARATIME_ID)).round == start
        assert not waiting.done()
        # The choice is state: a node that starts anew keeps to it. It is not the one that schedules
        # the next round: what waited in its pool is gone.
        restarted = next(
            name
            for name in world.compute[1:]
            if world.committee.scheduler_rank(start + 1, identity_of(name).node.public_key) != 0
        )
        await world.kill(restarted)
        await world.start_node(restarted)
        mined = await world.client.mine_waiting(PARATIME_ID)
        await until_round(world, mined)
        await waiting
        await world.until(lambda: world.loop.time() > sent + 60)
        assert (await world.client.fetch_last_block(PARATIME_ID)).round == mined
        await world.client.set_mining(PARATIME_ID, automine=True, interval_ms=1_000)
        await execute(world, 1)

    in_a_world(test)
