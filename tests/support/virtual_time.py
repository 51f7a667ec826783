"""
An event loop whose time jumps: whoever sleeps wakes as soon as nobody has anything else to do.

While a thread works, such as an enclave's, time stands still; a thread that only waits for the loop
does not count. So an hour of a network takes as long as its work.
"""

import asyncio
import contextlib
import selectors
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

REAL_WAIT_S = 0.05
"""How long a step waits for a thread before it looks again [real s]; a result wakes it sooner."""
STALL_S = 2.0
"""
After this time without any event a working thread counts as one that waits [real s].

It may hold up for a lock whose holder asks the loop: what that waits for must be able to come.
"""
MAX_THREADS = 64
"""
More than all enclaves of a test can have at work at once.

With asyncio's default, six on two cores, those that ask a key manager could take every thread, and
none was left in which it would answer.
"""


class _JumpingSelector(selectors.DefaultSelector):
    """Does not wait for what virtual time brings."""

    loop: "VirtualLoop"
    stalled_s = 0.0

    def select(self, timeout=None):
        if timeout is not None and timeout <= 0:
            self.stalled_s = 0.0
            return super().select(0)
        is_stalled = self.stalled_s >= STALL_S
        if timeout is None or (self.loop.is_busy and not is_stalled):
            # Only a thread can go on from here, or a signal.
            events = super().select(REAL_WAIT_S)
            self.stalled_s = 0.0 if events else self.stalled_s + REAL_WAIT_S
            return events
        self.loop.advance(timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time begins at zero."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self._virtual_s = 0.0
        self._busy = 0
        self._counting = threading.Lock()
        super().__init__(selector)
        self.set_default_executor(ThreadPoolExecutor(MAX_THREADS))

    def time(self) -> float:
        return self._virtual_s

    def advance(self, seconds: float) -> None:
        self._virtual_s += seconds

    @property
    def is_busy(self) -> bool:
        return self._busy > 0

    def _count(self, change: int) -> None:
        with self._counting:
            self._busy += change

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """A thread works: time stands still."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """A working thread only waits for the loop."""
        self._count(-1)
        try:
            yield
        finally:
            self._count(1)

    def run_in_executor(self, executor, func, *args):
        self._count(1)
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(lambda _: self._count(-1))
        return future


class LoopClock:
    """Unix time that passes with the loop's. Fulfils `Clock`."""

    def __init__(self, loop: VirtualLoop, start_ns: int) -> None:
        self._loop, self._start_ns = loop, start_ns

    def now_ns(self) -> int:
        return self._start_ns + int(self._loop.time() * 1_000_000_000)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
