"""A network that forgets states of long ago: what can be read, gone back to, and caught up with."""

import sqlite3
from contextlib import closing

import pytest

from shared.api.evm import EvmQueries
from shared.enclave.errors import RoundPruned
from shared.enclave.history import WRITTEN_TOGETHER
from tests.integration.world.test_back_in_time import PATIENCE_MS, until_level
from tests.integration.world.test_world import RICH, execute, head_of, in_a_world
from tests.support.keymanager import PARATIME_ID
from tests.support.world import World

KEPT, KEPT_HEIGHTS = 40, 4
AGE = 8
"""Transactions, each with as many rounds after it as are kept."""
LATE = 32 + 64
"""States more than are kept: it is looked every 32 rounds, and consensus knows every 64th."""


async def mine(world: World) -> None:
    """Let the window's rounds pass, some in a height; consensus forgets what it need not keep."""
    for _ in range(KEPT_HEIGHTS):
        last = await world.client.mine_rounds(PARATIME_ID, KEPT // KEPT_HEIGHTS)
        await world.until(lambda last=last: all(n.feed.next_round > last for n in computes(world)))
    while bounds := world.store.plan_pruning(KEPT_HEIGHTS, 64):
        world.store.prune(*bounds)


def computes(world: World) -> list:
    return [world.nodes[name] for name in world.compute if name in world.nodes]


def oldest_of(world: World, name: str) -> int:
    return int(world.sockets[name].program._ledger._state.oldest)


async def until_pruned(world: World, at_least: int) -> None:
    """Wait until every node has forgotten so much, and is not about to forget more."""
    running = [name for name in world.compute if name in world.nodes]

    def is_pruned(name: str) -> bool:
        return oldest_of(world, name) >= at_least and not world.nodes[name]._pruning._is_running

    await world.until(lambda: all(map(is_pruned, running)))


async def nonce_at(world: World, name: str, round_: int) -> int:
    return (await EvmQueries(world.ask(name)).fetch_account(RICH, round_)).nonce


async def grow(world: World, nonces: range) -> list[int]:
    """Let a window's rounds pass for each transaction; the rounds in which they are."""
    found = []
    for nonce in nonces:
        await execute(world, nonce)
        found.append(head_of(world, "compute-0").round)
        await mine(world)
    return found


def test_states_beyond_the_window_go_on_every_node_and_are_refused_in_clear_words(tmp_path):
    async def test(world: World) -> None:
        await grow(world, range(AGE))
        await until_level(world)
        newest = head_of(world, "compute-0").round
        await until_pruned(world, newest - KEPT - LATE)
        for name in world.compute:
            oldest = oldest_of(world, name)
            assert oldest <= head_of(world, name).round - KEPT
            assert await nonce_at(world, name, oldest) == await nonce_at(world, name, oldest + 1)
            with pytest.raises(RoundPruned, match=f"states are kept from round {oldest} on"):
                await nonce_at(world, name, oldest - 1)
            with closing(sqlite3.connect(tmp_path / name / "headers.db")) as database:
                query = "SELECT min(round), max(round), count(*) FROM chained"
                first, last, count = database.execute(query).fetchone()
            assert (first, count) == (oldest, last - oldest + 1)
            # Rounds go on, and the newest headers wait to be written together.
            assert 0 < world.nodes[name].state.next_round - last <= 1 + WRITTEN_TOGETHER

    in_a_world(test, keep_rounds=KEPT, root=tmp_path)


@pytest.mark.long
def test_a_node_that_begins_long_after_the_start_follows_and_forgets_as_well(tmp_path):
    late = "compute-3"

    async def test(world: World) -> None:
        await grow(world, range(AGE))
        await world.kill(late)
        for path in (tmp_path / late).iterdir():
            path.unlink()
        await execute(world, AGE)
        await mine(world)
        await world.start_node(late)
        await world.until(world.is_ready)
        await grow(world, range(AGE + 1, AGE + 2))
        await until_level(world)
        newest = head_of(world, late).round
        await until_pruned(world, newest - KEPT - LATE)
        assert await nonce_at(world, late, newest) == AGE + 2

    in_a_world(test, keep_rounds=KEPT, root=tmp_path)


@pytest.mark.long
def test_a_snapshot_keeps_its_state_until_it_is_dropped():
    async def test(world: World) -> None:
        await grow(world, range(2))
        snapshot = await world.client.take_snapshot()
        at = head_of(world, "compute-0").round
        await grow(world, range(2, AGE))
        await until_pruned(world, at - LATE)
        assert all(oldest_of(world, name) <= at for name in world.compute)
        assert (await world.client.revert(snapshot.id, PATIENCE_MS)).missing == ()
        for name in world.compute:
            assert await nonce_at(world, name, head_of(world, name).round) == 2
        await grow(world, range(2, 4))
        assert await nonce_at(world, "compute-0", at) == 2
        await world.client.drop_snapshot(snapshot.id)
        await grow(world, range(4, AGE))
        await until_pruned(world, at + 1)
        with pytest.raises(RoundPruned):
            await nonce_at(world, "compute-0", at)
        assert await nonce_at(world, "compute-0", head_of(world, "compute-0").round) == AGE

    in_a_world(test, keep_rounds=KEPT)
