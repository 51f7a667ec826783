"""The one source of time in host processes."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now_ns(self) -> int:
        """Unix time [ns]."""
        ...


class SystemClock:
    """Time of the machine."""

    def now_ns(self) -> int:
        """Unix time [ns]."""
        return time.time_ns()


class ManualClock:
    """Time that stands still until it is moved: for tests and exact replay."""

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Unix time [ns]."""
        return self._now_ns

    def advance(self, delta_ns: int) -> None:
        """Move forward [ns]."""
        if delta_ns < 0:
            raise ValueError("time does not run backwards")
        self._now_ns += delta_ns
