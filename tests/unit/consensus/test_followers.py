"""Waiting for the nodes of a network to arrive in a life of the chain."""

import asyncio

import pytest

from services.consensus.followers import MAX_FOLLOWERS, MAX_NAME_BYTES, Followers
from shared.api.consensus import TooManyFollowers

PATIENCE_S = 0.05
LONG_S = 5.0


@pytest.fixture
def followers() -> Followers:
    followers = Followers()
    for name in ("a", "b"):
        followers.report(name, 0)
    return followers


async def test_who_waits_goes_on_when_the_last_one_arrives(followers):
    followers.report("a", 1)
    waiting = asyncio.create_task(followers.until_arrived(1, LONG_S))
    await asyncio.sleep(0)
    assert not waiting.done()
    followers.report("b", 1)
    async with asyncio.timeout(1):
        assert await waiting == ()


async def test_a_later_life_counts_as_well(followers):
    followers.report("a", 3)
    followers.report("b", 2)
    assert await followers.until_arrived(1, LONG_S) == ()


async def test_a_dead_node_is_named_each_time_and_waited_for_once(followers):
    followers.report("a", 1)
    assert await followers.until_arrived(1, PATIENCE_S) == ("b",)
    followers.report("a", 2)
    async with asyncio.timeout(1):
        assert await followers.until_arrived(2, LONG_S) == ("b",)
    followers.report("b", 2)
    assert followers.missing(3) == ("a", "b")


def test_what_strangers_report_is_bounded(followers):
    with pytest.raises(TooManyFollowers):
        followers.report("x" * (MAX_NAME_BYTES + 1), 0)
    for number in range(MAX_FOLLOWERS - 2):
        followers.report(f"node {number}", 0)
    with pytest.raises(TooManyFollowers):
        followers.report("one more", 0)
    followers.report("a", 1)
