"""Turns of senders: who fills in nonces for an account gives them out one after another."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager


class Turn:
    """
    The turn of one sender.

    A nonce is chosen by what pools and blocks say, which lags behind what was just handed in.
    """

    def __init__(self) -> None:
        self.users = 0
        self._choosing = asyncio.Lock()
        self._least_nonce = 0

    @asynccontextmanager
    async def choosing(self) -> AsyncIterator[Callable[[], None]]:
        """Wait until nobody else chooses for this sender; gives what lets the next one before."""
        await self._choosing.acquire()
        is_over = False

        def end() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                self._choosing.release()

        try:
            yield end
        finally:
            end()

    def number(self, found: int) -> int:
        """Give the nonce to take, where pools and blocks say `found`."""
        return max(found, self._least_nonce)

    def note_taken(self, nonce: int) -> None:
        """Remember that a pool has taken a transaction with this nonce."""
        self._least_nonce = max(self._least_nonce, nonce + 1)


class Turns:
    """The turns of all senders with a transaction under way."""

    def __init__(self) -> None:
        self._turns: dict[bytes, Turn] = {}

    @contextmanager
    def of(self, sender: bytes) -> Iterator[Turn]:
        """
        Give the sender's turn for as long as a transaction of his is under way.

        With the last one it is forgotten, for then the blocks say it, also after a rewind.
        """
        turn = self._turns.setdefault(sender, Turn())
        turn.users += 1
        try:
            yield turn
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[sender]
