"""Waits for what comes, and says when nothing did for a while."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

Item = TypeVar("Item")


async def with_pauses(
    items: AsyncGenerator[Item, None], every_s: float
) -> AsyncGenerator[Item | None, None]:
    """
    Give what comes, and None each time that nothing did for so long.

    Parameters
    ----------
    items : `AsyncGenerator`
        Is ended with this one, in the middle of a wait too.
    every_s : `float`
        [s].
    """
    while True:
        coming = asyncio.create_task(_next(items))
        try:
            while not (await asyncio.wait({coming}, timeout=every_s))[0]:
                yield None
        finally:
            # Who was cancelled can wait for nothing more; the task ends its generator by itself.
            coming.cancel()
        try:
            item = coming.result()
        except StopAsyncIteration:
            return
        try:
            yield item
        except BaseException:
            await items.aclose()
            raise


async def _next(items: AsyncGenerator[Item, None]) -> Item:
    return await anext(items)
