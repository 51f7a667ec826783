"""
Who follows the chain from life to life: so that a rewind can say when the whole network is there.

A node reports the incarnation that it has arrived in, at its start and after each rewind. Who did
not arrive in time is named, and is not waited for again until it reports: a dead node costs one
patience, not one at each rewind.
"""

import asyncio

from shared.api.consensus import TooManyFollowers
from shared.types.identity import Incarnation

MAX_FOLLOWERS = 256
"""Bounds what strangers can make this process remember."""
MAX_NAME_BYTES = 128


class Followers:
    """Reports by name. Lives as long as the process: nodes report again when it restarts."""

    def __init__(self) -> None:
        self._arrived: dict[str, Incarnation] = {}
        self._given_up: set[str] = set()
        self._news = asyncio.Event()

    def report(self, follower: str, incarnation: Incarnation) -> None:
        """
        Note that a follower is in a life of the chain and in no earlier one.

        Raises
        ------
        TooManyFollowers
            See the class.
        """
        is_new = follower not in self._arrived
        if len(follower.encode()) > MAX_NAME_BYTES:
            raise TooManyFollowers(f"a follower's name has at most {MAX_NAME_BYTES} bytes")
        if is_new and len(self._arrived) >= MAX_FOLLOWERS:
            raise TooManyFollowers(f"{MAX_FOLLOWERS} nodes follow already")
        self._arrived[follower] = incarnation
        self._given_up.discard(follower)
        self._news.set()

    def missing(self, incarnation: Incarnation) -> tuple[str, ...]:
        """Who has not arrived in a life, or a later one; without those that were given up."""
        return tuple(
            sorted(
                name
                for name, arrived in self._arrived.items()
                if arrived < incarnation and name not in self._given_up
            )
        )

    def names(self) -> tuple[str, ...]:
        """Everybody who ever reported, in order."""
        return tuple(sorted(self._arrived))

    async def until_arrived(self, incarnation: Incarnation, patience_s: float) -> tuple[str, ...]:
        """Wait until everybody is in a life, or patience ends; give up and name who is not."""
        try:
            async with asyncio.timeout(patience_s):
                while self.missing(incarnation):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            missing = self.missing(incarnation)
            self._given_up |= set(missing)
        return tuple(name for name in self.names() if self._arrived[name] < incarnation)
