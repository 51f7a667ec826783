"""
What works for minutes leaves the CPU to what answers at once, where Linux lets it say so.

A nice value counts within a session only where the kernel groups processes by session, as
desktops' do, and each process of a network has a session of its own. So a thread at the lowest
priority still kept its CPU for the whole of its turn, 1 to 3 ms, from each that woke there.
Elsewhere nothing changes.
"""

import contextlib
import ctypes
import os
import platform
import struct
from pathlib import Path

LOWEST = 19
"""The nice value that nothing is below."""
LONGEST_TURN_NS = 100_000_000
"""Turn that a thread may ask for, at most. Source: linux kernel/sched/syscalls.c."""
SESSION = Path("/proc/self/autogroup")
SCHED_SETATTR = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
"""Number of the system call. Source: linux arch/*/entry/syscalls, asm-generic/unistd.h."""
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")
"""`struct sched_attr`: size, policy, flags, nice, priority, runtime, deadline, period."""


def give_way() -> None:
    """
    Put the calling thread, and those that it starts, behind all others that want its CPU.

    Whoever wakes with an ordinary turn takes the CPU from a thread with a longer one, at once
    (Linux from 6.12 on).
    """
    if not hasattr(os, "SCHED_BATCH"):
        return
    os.setpriority(os.PRIO_PROCESS, 0, LOWEST)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    number = SCHED_SETATTR.get(platform.machine())
    if number is not None:
        asked = (os.SCHED_BATCH, 0, LOWEST, 0, LONGEST_TURN_NS, 0, 0)
        # An older kernel refuses, or does not look at the turn.
        ctypes.CDLL(None).syscall(number, 0, _ATTRIBUTES.pack(_ATTRIBUTES.size, *asked), 0)


def lower_session(nice: int) -> None:
    """Give a session less of the CPU than others, which its first process must ask for."""
    if os.getsid(0) != os.getpid():
        # It would be somebody's terminal with all that runs there.
        return
    with contextlib.suppress(OSError):
        SESSION.write_text(f"{nice}\n")
