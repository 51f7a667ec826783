"""The one source of time in host processes."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now_ns(self) -> int:
        """Unix time [ns]."""
        ...


class SystemClock:
    """
    Time of the machine, which here never runs backwards.

    Where somebody sets the machine's clock back, time goes on from where it was at its own pace
    until the machine has caught up: timeouts that hang on it would else last for hours.
    """

    def __init__(self, not_before_ns: int = 0) -> None:
        """Begin now, or at a Unix time [ns] that has been told already."""
        self._now_ns, self._at_ns = not_before_ns, time.monotonic_ns()

    def now_ns(self) -> int:
        """Unix time [ns]."""
        at_ns = time.monotonic_ns()
        steady_ns = self._now_ns + at_ns - self._at_ns
        self._now_ns, self._at_ns = max(time.time_ns(), steady_ns), at_ns
        return self._now_ns


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
