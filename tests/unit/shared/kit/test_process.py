"""How a service's process ends, seen by whoever started it."""

import asyncio

import pytest

from shared.errors import PeerUnavailable
from shared.kit.process import EXIT_BAD_START, EXIT_FAILED, mark_serving, run_process


async def fail():
    raise OSError("the port is taken")


async def fail_in_a_task():
    async with asyncio.TaskGroup() as outer:
        outer.create_task(_inner())


async def _inner():
    async with asyncio.TaskGroup() as inner:
        inner.create_task(fail_typed())


async def fail_typed():
    raise PeerUnavailable("gone")


@pytest.mark.parametrize("failure", [fail, fail_typed, fail_in_a_task])
def test_failure_before_serving_is_a_bad_start_and_one_after_it_is_not(failure):
    async def late():
        mark_serving()
        await failure()

    statuses = []
    for main in (failure, late, failure):
        with pytest.raises(SystemExit) as ended:
            run_process(main)
        statuses.append(ended.value.code)
    assert statuses == [EXIT_BAD_START, EXIT_FAILED, EXIT_BAD_START]


def test_bug_in_a_task_crashes_with_its_traceback():
    async def bug():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
            tasks.create_task(_divide())

    async def _divide():
        return 1 // 0

    with pytest.raises(BaseExceptionGroup) as crashed:
        run_process(bug)
    assert crashed.group_contains(ZeroDivisionError)
