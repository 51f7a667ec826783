"""What computes beside others pauses, and keeps its share of a core."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.inference.models.pace import LONGEST_PAUSE_S, TURN_S, Pace, pause_after
from tests.support.networks import wait_for

SHARE = 0.2


class Beside:
    """A process on two cores, of which others want so many."""

    def __init__(self, others, gets=None):
        self.others, self.gets = others, min(1.0, 2 - others) if gets is None else gets
        self.now_s = self.cpu_s = self.idle_s = 0.0
        self.is_stopped = False
        self.signals = []
        self.pace = Pace(
            7,
            SHARE,
            cpu_s=lambda: self.cpu_s,
            idle_s=lambda: self.idle_s,
            cores=2,
            now_s=lambda: self.now_s,
            send=self.take,
        )

    def take(self, process, number):
        assert process == 7
        self.is_stopped = number is signal.SIGSTOP
        self.signals.append(number)

    def compute(self, seconds):
        """Compute for so long; gives the share of a core that it had."""
        self.pace.begin()
        until_s, before_s = self.now_s + seconds, self.cpu_s
        while self.now_s < until_s:
            passed = self.pace.step()
            assert passed > 0
            used = 0.0 if self.is_stopped else passed * self.gets
            self.now_s += passed
            self.cpu_s += used
            self.idle_s += max(2 * passed - self.others * passed - used, 0.0)
        return (self.cpu_s - before_s) / seconds


@pytest.mark.parametrize("others", [0.0, 0.4])
def test_who_is_left_enough_is_never_stopped(others):
    beside = Beside(others)
    beside.compute(2)
    assert beside.signals == []


@pytest.mark.parametrize(("others", "gets"), [(1.4, 0.6), (1.4, 0.97), (0.7, 1.0), (1.7, 0.3)])
def test_who_is_left_little_has_his_share(others, gets):
    assert Beside(others, gets).compute(10) == pytest.approx(SHARE, rel=0.15)


def test_who_gets_less_than_his_share_is_not_stopped_besides():
    crowded = Beside(2, 0.1)
    crowded.compute(2)
    assert crowded.signals == []


def test_once_the_others_are_quiet_it_goes_on():
    beside = Beside(1.4)
    beside.compute(5)
    beside.others, beside.gets = 0.0, 1.0
    beside.compute(1)
    assert beside.compute(5) == pytest.approx(1, rel=0.01)


def test_who_was_left_pausing_goes_on_with_the_next_request():
    beside = Beside(1.4)
    beside.compute(1)
    beside.pace.stop()
    assert beside.is_stopped
    beside.pace.stop()
    beside.pace.begin()
    assert not beside.is_stopped
    assert beside.signals[-2:] == [signal.SIGSTOP, signal.SIGCONT]


def test_a_pause_has_an_end():
    assert pause_after(5.0, 6.0, 0.001) == LONGEST_PAUSE_S
    assert pause_after(TURN_S, 2 * TURN_S, 0.25) == pytest.approx(2 * TURN_S)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone counts another process's CPU")
def test_a_real_process_is_stopped_and_continued():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            state = Path(f"/proc/{process.pid}/stat")

            def is_stopped():
                return state.read_text().rpartition(")")[2].split()[0] == "T"

            # No core ever idles here, and the clock is twice as fast as what was computed.
            pace = Pace(
                process.pid, SHARE, idle_s=lambda: 0.0, cores=2, now_s=lambda: 2 * time.monotonic()
            )
            pace.begin()
            for _ in range(1_000):
                time.sleep(pace.step() / 2)
                if is_stopped():
                    break
            assert is_stopped()
            pace.begin()
            wait_for(lambda: not is_stopped(), 30, "it goes on")
            pace.stop()
            assert os.waitpid(process.pid, os.WUNTRACED)[1] == signal.SIGSTOP << 8 | 0x7F
        finally:
            process.kill()
