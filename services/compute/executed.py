"""Rounds as this node executes them, for gateways that show them once they are final."""

import asyncio
from collections.abc import AsyncIterator

from shared.types.block import ExecutedRound


class ExecutedFeed:
    """Gives the newest executed round to whoever watches. Keeps no other."""

    def __init__(self) -> None:
        self._newest: ExecutedRound | None = None
        self._news = asyncio.Event()

    def publish(self, executed: ExecutedRound) -> None:
        """Hand out a round that was just executed."""
        self._newest = executed
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def watch(self) -> AsyncIterator[ExecutedRound]:
        """Give each round from now on, without those that a slow reader missed."""
        while True:
            await self._news.wait()
            if self._newest is not None:
                yield self._newest
