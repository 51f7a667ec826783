"""Empty rounds: at their pace while clients ask, and more seldom otherwise (ADR 0087)."""

import asyncio

from services.compute.rules.timing import AWAKE_NS, QUIET_FACTOR
from shared.types.block import HeaderType
from tests.integration.world.test_world import in_a_world
from tests.support.world import World
from tests.support.world_genesis import node_id_of

AWAKE_S = AWAKE_NS / 1e9
PACE_S = 1.0
"""Of the world's genesis: `batch_flush_timeout_ms` as it is without a word."""


async def rounds_in(world: World, seconds: float) -> int:
    before = world.head.round
    await asyncio.sleep(seconds)
    return world.head.round - before


def no_round_failed(world: World) -> bool:
    kinds = {header.header_type for header in world.headers()[3:]}
    return kinds == {HeaderType.NORMAL} and not any(
        events.discrepancies or events.slashed for events in world.happened()
    )


def test_rounds_come_more_seldom_where_nobody_asks_and_at_once_when_somebody_does():
    async def test(world: World) -> None:
        await asyncio.sleep(AWAKE_S + PACE_S)
        assert 4 <= await rounds_in(world, 50 * PACE_S) <= 50 / QUIET_FACTOR
        # Wait for a round, so that the next one is far away.
        before = world.head.round
        while world.head.round == before:
            await asyncio.sleep(0.01)
        await asyncio.sleep(2 * PACE_S)
        said = [world.nodes[name].keep_awake() for name in world.compute]
        assert all(said), "a round is due"
        assert await rounds_in(world, 0.3) == 1
        assert not any(world.nodes[name].keep_awake() for name in world.compute)
        assert await rounds_in(world, 5 * PACE_S) in (4, 5)
        assert no_round_failed(world)

    in_a_world(test)


def test_a_scheduler_that_heard_of_no_client_is_not_waited_for():
    async def test(world: World) -> None:
        await asyncio.sleep(AWAKE_S + PACE_S)
        deaf = world.workers()[0]
        scheduled = []
        for _ in range(40):
            for name in set(world.compute) - {deaf}:
                world.nodes[name].keep_awake()
            scheduled.append(world.committee.scheduler_rank(world.head.round + 1, node_id_of(deaf)))
            await asyncio.sleep(PACE_S)
        assert 0 in scheduled
        assert world.head.round >= 20
        assert no_round_failed(world)

    in_a_world(test)
