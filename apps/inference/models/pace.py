"""
A process that computes for minutes pauses where others want the CPU.

The scheduler alone is not enough. Whoever wakes takes the CPU from the model at once, but finds it
busy and its caches cold, on each of the hops that a transaction makes, or waits on the other core;
a core that idles costs it nothing. So while all others together leave little of the machine, the
process has a turn, and is stopped after it until its share is kept. What is asked is what the
kernel counts: how long cores idled, and how much CPU the process had. It is no word of the
network's, which an app has no reason to believe, and counts for speed alone.

The model's own turns do not say whether others want the CPU: who wakes takes it for a fraction of
a millisecond, or goes elsewhere.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

BUSY_SHARE = 0.15
"""
Of one core, for the model, while others want it. Beside a network of three workers on two cores
it would take 0.6 and more.
"""
TURN_S = 0.004
"""CPU that it has between two looks, at least [s]."""
WINDOW_S = 0.1
"""Over which is counted what others leave, at least [s]; the kernel counts in 0.01 s."""
SPARE_CORES = 1.5
"""What others leave is enough from here on: a core for the model, and half of one to wake on."""
SPARE_SHARE = 0.75
"""The same on a machine of one core, of that."""
STAT = Path("/proc/stat")
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
        After which the turn and the pause together keep the share; 0 where the others left less
        than the share anyway [s].
    """
    return min(max(used_s / share - passed_s, 0.0), LONGEST_PAUSE_S)


class Pace:
    """
    Stops and continues one process, which is a child of this one and computes on one thread.

    Where the system does not count CPU as Linux does, nothing is ever stopped.
    """

    def __init__(
        self,
        process: int,
        share: float,
        *,
        cpu_s: Callable[[], float] | None = None,
        idle_s: Callable[[], float] | None = None,
        cores: int = os.cpu_count() or 1,
        now_s: Callable[[], float] = time.monotonic,
        send: Callable[[int, signal.Signals], None] = os.kill,
    ) -> None:
        self._process, self._share = process, share
        self._cpu_s = cpu_s or cpu_clock(process)
        idle_s = idle_s or idle_clock()
        if idle_s is None:
            self._cpu_s = None
        self._idle_s = idle_s or (lambda: 0.0)
        self._enough = min(SPARE_CORES, SPARE_SHARE * cores)
        self._is_crowded = False
        self._seen_s = self._seen_idle_s = self._seen_cpu_s = 0.0
        self._now_s, self._send = now_s, send
        self._is_stopped = False
        self._until_s = self._began_s = self._had_s = 0.0

    def begin(self) -> None:
        """Let it compute."""
        if self._cpu_s is not None:
            self._continue(self._cpu_s)
            if self._now_s() - self._seen_s > LONGEST_PAUSE_S + WINDOW_S:
                # What was counted is of before; what was found stands until there is news.
                self._look(self._cpu_s)

    def _look(self, cpu_s: Callable[[], float]) -> None:
        """See what others leave: what idles, and what the process itself takes."""
        now, idle, cpu = self._now_s(), self._idle_s(), cpu_s()
        passed = now - self._seen_s
        if WINDOW_S <= passed <= LONGEST_PAUSE_S + WINDOW_S:
            left = (idle - self._seen_idle_s + cpu - self._seen_cpu_s) / passed
            self._is_crowded = left < self._enough
        self._seen_s, self._seen_idle_s, self._seen_cpu_s = now, idle, cpu

    def step(self) -> float | None:
        """Stop or continue it where that is due; gives when to come again [s], None for never."""
        if self._cpu_s is None:
            return None
        now = self._now_s()
        if now - self._seen_s >= WINDOW_S:
            self._look(self._cpu_s)
        if self._is_stopped:
            if now < self._until_s:
                return self._until_s - now
            self._continue(self._cpu_s)
            return TURN_S
        used = self._cpu_s() - self._had_s
        if used < TURN_S:
            return max(TURN_S - used, TURN_S / 4)
        pause = pause_after(used, now - self._began_s, self._share) if self._is_crowded else 0.0
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


def idle_clock() -> Callable[[], float] | None:
    """Give what reads how long all cores together have idled [s]; None where nothing says so."""
    if not STAT.exists():
        return None
    ticks = os.sysconf("SC_CLK_TCK")

    def idle_s() -> float:
        with STAT.open("rb") as file:
            fields = file.readline().split()
        # "cpu", user, nice, system, idle, iowait. Source: linux Documentation/filesystems/proc.rst
        return (int(fields[4]) + int(fields[5])) / ticks

    return idle_s
