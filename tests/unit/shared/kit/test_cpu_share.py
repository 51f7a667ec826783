"""What works for minutes steps back: its own thread, or its own session, and nothing else."""

import ctypes
import os
import platform
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shared.kit import cpu_share

SCHED_GETATTR = {"x86_64": 315, "aarch64": 275, "riscv64": 275}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has it")


def in_thread(*acts):
    found = []
    thread = threading.Thread(target=lambda: found.extend(act() for act in acts))
    thread.start()
    thread.join()
    return found


def scheduling():
    return os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)


def turn_ns():
    attributes = ctypes.create_string_buffer(cpu_share._ATTRIBUTES.size)
    number = SCHED_GETATTR[platform.machine()]
    assert ctypes.CDLL(None).syscall(number, 0, attributes, len(attributes), 0) == 0
    return cpu_share._ATTRIBUTES.unpack(attributes)[5]


def test_a_thread_steps_back_and_the_others_stay():
    before = scheduling()

    _, after, of_its_own = in_thread(
        cpu_share.give_way, scheduling, lambda: in_thread(scheduling)[0]
    )

    assert after == of_its_own == (19, os.SCHED_BATCH)
    assert scheduling() == before


@pytest.mark.skipif(
    platform.machine() not in SCHED_GETATTR
    or tuple(map(int, os.uname().release.split(".")[:2])) < (6, 12),
    reason="the kernel takes no turn from a thread",
)
def test_a_thread_that_steps_back_asks_for_a_long_turn():
    ordinary, _, asked = in_thread(turn_ns, cpu_share.give_way, turn_ns)

    assert ordinary < asked == cpu_share.LONGEST_TURN_NS


@pytest.mark.skipif(not cpu_share.SESSION.exists(), reason="the kernel does not group by session")
@pytest.mark.parametrize(("is_first", "expected"), [(True, "nice 10"), (False, "nice 0")])
def test_a_session_is_lowered_by_its_first_process_alone(is_first, expected):
    lower = "from shared.kit.cpu_share import *; lower_session(10); print(SESSION.read_text())"
    command = [sys.executable, "-c", lower]
    if not is_first:
        # In a session of its own, so that the test's own is not at stake.
        run = f"import subprocess; print(subprocess.check_output({command!r}, text=True))"
        command = [sys.executable, "-c", run]

    shown = subprocess.check_output(command, text=True, start_new_session=True)

    assert shown.strip().endswith(expected)


def test_a_kernel_without_sessions_is_no_failure(monkeypatch):
    monkeypatch.setattr(cpu_share, "SESSION", Path("/proc/self/none/autogroup"))
    monkeypatch.setattr(os, "getsid", lambda _: os.getpid())

    cpu_share.lower_session(10)
