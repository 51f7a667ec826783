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
    """A process that gets so much of each second that it is not stopped in."""

    def __init__(self, gets):
        self.gets = gets
        self.now_s = self.cpu_s = self.stopped_s = 0.0
        self.is_stopped = False
        self.signals = []
        self.pace = Pace(
            7, SHARE, cpu_s=lambda: self.cpu_s, now_s=lambda: self.now_s, send=self.take
        )

    def take(self, process, number):
        assert process == 7
        self.is_stopped = number is signal.SIGSTOP
        self.signals.append(number)

    def compute(self, seconds):
        self.pace.begin()
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            passed = self.pace.step()
            assert passed > 0
            self.now_s += passed
            if not self.is_stopped:
                self.cpu_s += passed * self.gets


def test_who_is_alone_is_never_stopped():
    alone = Beside(1.0)
    alone.compute(2)
    assert alone.signals == []


@pytest.mark.parametrize("gets", [0.25, 0.5, 0.85])
def test_who_is_not_alone_has_his_share(gets):
    beside = Beside(gets)
    beside.compute(10)
    assert beside.cpu_s / 10 == pytest.approx(SHARE, rel=0.1)


def test_who_gets_less_than_his_share_is_not_stopped_besides():
    crowded = Beside(0.1)
    crowded.compute(2)
    assert crowded.signals == []


def test_who_was_left_pausing_goes_on_with_the_next_request():
    beside = Beside(0.5)
    beside.compute(1)
    beside.pace.stop()
    assert beside.is_stopped
    beside.pace.stop()
    beside.pace.begin()
    assert not beside.is_stopped
    assert beside.signals[-2:] == [signal.SIGSTOP, signal.SIGCONT]


def test_a_pause_has_an_end():
    assert pause_after(5.0, 6.0, 0.001) == LONGEST_PAUSE_S
    assert pause_after(TURN_S, TURN_S, 0.001) == 0.0
    assert pause_after(TURN_S, 2 * TURN_S, 0.25) == pytest.approx(2 * TURN_S)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone counts another process's CPU")
def test_a_real_process_is_stopped_and_continued():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            state = Path(f"/proc/{process.pid}/stat")

            def is_stopped():
                return state.read_text().rpartition(")")[2].split()[0] == "T"

            # By a clock that is twice as fast it never had a core for itself.
            pace = Pace(process.pid, SHARE, now_s=lambda: 2 * time.monotonic())
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
