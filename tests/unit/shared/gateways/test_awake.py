import asyncio
import time

import pytest

from shared.errors import PeerUnavailable
from shared.gateways import awake
from shared.gateways.awake import PAUSE_S, RENEW_S, Awake
from shared.gateways.compute_nodes import ComputeNodes


class Node:
    """A compute node; says of a round what it is told to."""

    def __init__(self):
        self.told = 0
        self.answer: bool | Exception | None = False

    async def keep_awake(self):
        self.told += 1
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def fakes():
    return [Node(), Node(), Node()]


@pytest.fixture
def nodes(fakes):
    nodes = ComputeNodes({f"host:{n}": node for n, node in enumerate(fakes)})
    nodes.newest_shown = lambda: 10
    for node in nodes.members:
        node.round = 10
    return nodes


@pytest.fixture
def now(monkeypatch):
    times = [1_000.0]
    monkeypatch.setattr(awake, "monotonic", lambda: times[0])
    return times


async def wait_of(told: Awake) -> float:
    """How long a request is held [s]."""
    began = time.monotonic()
    await told.renew()
    return time.monotonic() - began


async def told_all(fakes):
    await asyncio.sleep(0.01)
    return [fake.told for fake in fakes]


async def test_nodes_are_told_at_once_and_then_every_other_second(fakes, nodes, now):
    told = Awake(nodes)
    for number in range(1, 4):
        assert told.is_due
        await told.renew()
        assert await told_all(fakes) == [number] * 3
        assert not told.is_due
        for _ in range(10):
            now[0] += RENEW_S / 20
            await told.renew()
        assert await told_all(fakes) == [number] * 3
        now[0] += RENEW_S / 2


async def test_who_listens_alone_keeps_nodes_awake_and_waits_for_nothing(fakes, nodes, now):
    told = Awake(nodes)
    told.note()
    told.note()
    assert await told_all(fakes) == [1, 1, 1]


async def test_after_a_pause_every_request_waits_for_the_round_that_is_due(fakes, nodes, now):
    told = Awake(nodes)
    # One hangs, one cannot be reached: any other will do.
    fakes[0].answer, fakes[1].answer, fakes[2].answer = None, PeerUnavailable("gone"), True
    asking = [asyncio.create_task(told.renew()) for _ in range(3)]
    await asyncio.sleep(0.02)
    assert told.is_due
    assert not any(request.done() for request in asking)
    nodes.newest_shown = lambda: 11
    nodes.note_delivered(nodes.members[2], 11)
    await asyncio.wait_for(asyncio.gather(*asking), 0.2)
    assert not told.is_due
    assert [fake.told for fake in fakes] == [1, 1, 1]


async def test_who_asks_again_soon_is_not_held(fakes, nodes, now):
    told = Awake(nodes)
    await told.renew()
    fakes[0].answer = True
    now[0] += PAUSE_S - 0.1
    assert await wait_of(told) < 0.1
    now[0] += PAUSE_S
    assert await wait_of(told) >= awake.ROUND_WAIT_S * 0.9, "the round did not come"


@pytest.mark.parametrize("answer", [False, PeerUnavailable("gone")])
async def test_nobody_is_held_where_no_round_is_due(fakes, nodes, now, answer):
    for fake in fakes:
        fake.answer = answer
    assert await wait_of(Awake(nodes)) < 0.1


async def test_nodes_that_hang_hold_a_request_for_a_moment(fakes, nodes, now):
    for fake in fakes:
        fake.answer = None
    told = Awake(nodes)
    assert await wait_of(told) < 2 * awake.ROUND_WAIT_S
    assert not told.is_due


async def test_nodes_that_are_down_are_not_told(fakes, nodes, now):
    nodes.members[1].mark_down("it left")
    await Awake(nodes).renew()
    assert await told_all(fakes) == [1, 0, 1]
    for node in nodes.members:
        node.mark_down("it left")
    assert await wait_of(Awake(nodes)) < 0.1
