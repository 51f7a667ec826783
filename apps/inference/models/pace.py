"""
A process that computes for minutes pauses where others want the CPU.

The scheduler alone is not enough. Whoever wakes takes the CPU from the model at once, but finds it
busy and its caches cold, on each of the hops that a transaction makes; a core that idles costs it
nothing. So the process has a turn, and if it was not alone during it, it is stopped until its
share is kept. What is asked is how much CPU it got, which the kernel counts for each process: no
word of the network's, which an app has no reason to believe.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable

BUSY_SHARE = 0.2
"""
Of one core, for the model, while others want it. Beside a network of three workers on two cores
it would take 0.6 and more.
"""
TURN_S = 0.004
"""CPU that it has between two looks, at least [s]."""
ALONE = 0.9
"""Who got so much of his turn's time had the core for himself."""
LONGEST_PAUSE_S = 0.25


def pause_after(used_s: float, passed_s: float, share: float) -> float:
    """
    Say how long to pause after a turn.

    Parameters
    ----------
    used_s : `float`
        CPU of the turn [s].
    passed_s : `float`
        From its begin to its end [s].
    share : `float`
        Of one core, for who is not alone.

    Returns
    -------
    pause_s : `float`
        After which the turn and the pause together keep the share; 0 where nobody else wanted the
        core, or where the others left less than the share anyway [s].
    """
    if used_s >= ALONE * passed_s:
        return 0.0
    return min(max(used_s / share - passed_s, 0.0), LONGEST_PAUSE_S)


class Pace:
    """
    Stops and continues one process, which is a child of this one and computes on one thread.

    Where the kernel counts no CPU for other processes nothing is ever stopped.
    """

    def __init__(
        self,
        process: int,
        share: float,
        *,
        cpu_s: Callable[[], float] | None = None,
        now_s: Callable[[], float] = time.monotonic,
        send: Callable[[int, signal.Signals], None] = os.kill,
    ) -> None:
        self._process, self._share = process, share
        self._cpu_s = cpu_s or cpu_clock(process)
        self._now_s, self._send = now_s, send
        self._is_stopped = False
        self._until_s = self._began_s = self._had_s = 0.0

    def begin(self) -> None:
        """Let it compute."""
        if self._cpu_s is not None:
            self._continue(self._cpu_s)

    def step(self) -> float | None:
        """Stop or continue it where that is due; gives when to come again [s], None for never."""
        if self._cpu_s is None:
            return None
        now = self._now_s()
        if self._is_stopped:
            if now < self._until_s:
                return self._until_s - now
            self._continue(self._cpu_s)
            return TURN_S
        used = self._cpu_s() - self._had_s
        if used < TURN_S:
            return max(TURN_S - used, TURN_S / 4)
        pause = pause_after(used, now - self._began_s, self._share)
        if pause == 0.0:
            self._continue(self._cpu_s)
            return TURN_S
        self._until_s = now + pause
        self.stop()
        return pause

    def stop(self) -> None:
        """Stop it until the next `begin` or `step`."""
        if self._cpu_s is not None and not self._is_stopped:
            self._send(self._process, signal.SIGSTOP)
            self._is_stopped = True

    def _continue(self, cpu_s: Callable[[], float]) -> None:
        if self._is_stopped:
            self._send(self._process, signal.SIGCONT)
            self._is_stopped = False
        self._began_s, self._had_s = self._now_s(), cpu_s()


def cpu_clock(process: int) -> Callable[[], float] | None:
    """Give what reads a process's CPU time [s]; None where the system has no such clock."""
    if sys.platform != "linux":
        return None
    # As glibc's `clock_getcpuclockid`, which Python does not have. Source: linux
    # include/linux/posix-timers_types.h, CPUCLOCK_SCHED of a process.
    clock = ctypes.c_int32(~process << 3 | 2).value
    try:
        time.clock_gettime(clock)
    except OSError:
        return None
    return lambda: time.clock_gettime(clock)
