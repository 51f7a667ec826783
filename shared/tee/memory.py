"""
Giving memory back to the system.

glibc keeps what a process has freed for what comes. That is right for what comes again, and wrong
for what is large and comes once, such as the state with which a chain begins. Other C libraries
have neither call, and are not asked.
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Source: glibc malloc/malloc.h."""
LARGE_BYTES = 2**20
"""A buffer of this length is a mapping of its own, which goes with it [bytes]."""


def free_at_once() -> None:
    """
    Let large buffers go back when they are freed. For the start of a process.

    By itself glibc takes the largest buffer ever freed as its measure, and keeps twice as much.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(M_MMAP_THRESHOLD, LARGE_BYTES)
        set_option(M_TRIM_THRESHOLD, LARGE_BYTES)


def give_back() -> None:
    """Give back what is free within the heap, after much that was small was freed."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
