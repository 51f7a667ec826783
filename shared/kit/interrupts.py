"""Ending what a task waits for from outside, told apart from a cancellation of the task."""

import asyncio
from typing import Any


class Interrupt:
    """
    Ends one wait of the task that makes it.

    `asyncio.timeout` does the same with a timer for each wait, which costs more than many a wait
    is worth: where there are many, one timer looks after all of them.
    """

    __slots__ = ("_cancelling", "_task", "is_over")

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._task: asyncio.Task[Any] = task
        self._cancelling = task.cancelling()
        self.is_over = False
        """Whether the wait was ended."""

    def end(self) -> None:
        """End the wait: what is awaited raises `CancelledError`."""
        if not self.is_over:
            self.is_over = True
            self._task.cancel()

    def is_only_cause(self) -> bool:
        """
        Say, once a wait raised `CancelledError`, whether nobody else has cancelled the task.

        Whoever else did gets what they asked for: then the error must go on.
        """
        return self.is_over and self._task.uncancel() <= self._cancelling
