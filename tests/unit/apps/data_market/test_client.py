"""A model owner waits for a job: as long as it moves, and no longer than it stands still."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from apps.data_market import client
from apps.data_market.chain.contracts import State
from apps.data_market.client import Market, ModelOwner, Worker
from apps.data_market.errors import BadJob, GatewayAway

TIMEOUT_S = 10.0
STEPS = ("the start", "the computation", "the other worker", "the pay")


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(client, "time", clock)
    return clock


class SlowJob:
    """A job, its market and its worker: each step takes most of what may pass without one."""

    def __init__(self, clock: Clock, steps: tuple[str, ...]) -> None:
        self._clock, self._steps = clock, steps

    def _at(self) -> int:
        return int(self._clock.now // (0.9 * TIMEOUT_S))

    def job(self, _: bytes) -> Any:
        is_over = self._at() >= len(self._steps)
        return SimpleNamespace(state=State.SETTLED if is_over else State.RUNNING)

    def standing(self, _: bytes) -> dict[str, str | None]:
        return {"state": "running", "waits_for": self._steps[self._at()], "refused": None}


class Away(SlowJob):
    """A job whose gateway says something else each time."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, STEPS)
        self._words: Iterator[int] = iter(range(1_000_000))

    def job(self, _: bytes) -> Any:
        raise GatewayAway(f"not there, for the {next(self._words)}th time")


def wait(job: SlowJob) -> tuple[State, list[str]]:
    told: list[str] = []
    owner = ModelOwner(cast("Market", job), b"", "label")
    return owner.wait(bytes(32), [cast("Worker", job)], TIMEOUT_S, told.append), told


def test_a_job_that_moves_is_waited_for(clock: Clock) -> None:
    state, told = wait(SlowJob(clock, STEPS))
    assert state is State.SETTLED
    assert told == [f"running: waiting for {step}" for step in STEPS]
    assert clock.now > 3 * TIMEOUT_S


def test_a_job_that_stands_still_is_given_up(clock: Clock) -> None:
    with pytest.raises(BadJob, match=r"nothing has changed for 10 s: .*the start"):
        wait(SlowJob(clock, ("the start",) * 9))


def test_words_of_a_gateway_that_is_away_are_no_progress(clock: Clock) -> None:
    with pytest.raises(BadJob, match="not there"):
        wait(Away(clock))
    assert clock.now < 2 * TIMEOUT_S
