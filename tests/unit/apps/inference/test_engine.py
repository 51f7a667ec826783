"""The door to the models: what is under way when the service ends."""

import asyncio
import threading

import pytest

from apps.inference.errors import NobodyListens, TooBusy
from apps.inference.models.answered import Answered
from apps.inference.serve.engine import Engine
from tests.support.turns import until


@pytest.fixture
def engine():
    made = Engine()
    yield made
    made.close()


async def collect(engine, compute):
    return [one async for one in engine.stream(compute)]


async def test_the_end_cuts_what_is_computed_and_refuses_what_waits(engine) -> None:
    asked = threading.Event()

    def long_prompt(on_text):
        on_text("so ")
        on_text("far")
        while not on_text(""):
            asked.set()
        return Answered("stop", 7, 2)

    under_way = asyncio.create_task(collect(engine, long_prompt))
    await until(asked.is_set)
    waiting = asyncio.create_task(engine.run(lambda: 1))
    await asyncio.sleep(0)
    engine.end_answers()
    assert await under_way == ["so ", "far", Answered("length", 7, 2)]
    with pytest.raises(TooBusy):
        await waiting
    with pytest.raises(TooBusy):
        await collect(engine, long_prompt)


async def test_the_end_comes_between_two_computations_of_one_turn(engine) -> None:
    done = []

    def first():
        done.append(1)
        engine.end_answers()

    with pytest.raises(TooBusy):
        await engine.run_each([first, lambda: done.append(2)])
    assert done == [1]


async def test_who_went_before_his_turn_has_nothing_computed(engine) -> None:
    computed = []

    async def is_gone():
        return True

    def compute(_):
        computed.append(1)
        return Answered("stop", 1, 1)

    with pytest.raises(NobodyListens):
        await anext(engine.stream(compute, is_gone))
    with pytest.raises(NobodyListens):
        await engine.run_each([lambda: computed.append(1)], is_gone)
    assert computed == []
    assert await collect(engine, compute) == [Answered("stop", 1, 1)]
