"""Waiting for others in the same event loop, without a sleep that hopes to be long enough."""

import asyncio
from collections.abc import Callable

LOOK_S = 0.01
"""How often a test looks at another process [s]."""

MANY = 200
"""Turns of the loop in which whatever can run has run, messages over local sockets included."""


async def turns(count: int = MANY) -> None:
    """Let all others have their turn: what has not happened then waits for something else."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], timeout_s: float = 10) -> None:
    """Let others have their turn until something holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0)


async def until_seen(condition: Callable[[], object], timeout_s: float = 10) -> None:
    """Look until another process has done something: turns would take its processor."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(LOOK_S)
