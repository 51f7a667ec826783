"""Time that never runs backwards."""

import time

import pytest

from shared.kit.clock import SystemClock

HOUR_NS = 3_600 * 10**9


@pytest.fixture
def machine(monkeypatch):
    """The machine's two clocks, as a test sets them."""
    clocks = {"wall": 10 * HOUR_NS, "steady": 5}
    monkeypatch.setattr(time, "time_ns", lambda: clocks["wall"])
    monkeypatch.setattr(time, "monotonic_ns", lambda: clocks["steady"])
    return clocks


def test_it_is_the_machines_time(machine):
    clock = SystemClock()
    assert clock.now_ns() == 10 * HOUR_NS
    machine["wall"] += 100
    machine["steady"] += 90
    assert clock.now_ns() == 10 * HOUR_NS + 100


def test_a_machine_that_is_set_back_leaves_it_running_at_its_own_pace(machine):
    clock = SystemClock()
    before = clock.now_ns()
    machine["wall"] -= HOUR_NS
    for passed in (0, 10, 20):
        machine["steady"] += passed
        machine["wall"] += passed
        assert clock.now_ns() == before + passed
        before += passed
    machine["wall"] += HOUR_NS + 500  # and is set right again
    assert clock.now_ns() == machine["wall"]


def test_it_does_not_begin_before_what_was_told_already(machine):
    clock = SystemClock(not_before_ns=11 * HOUR_NS)
    machine["steady"] += 7
    assert clock.now_ns() == 11 * HOUR_NS + 7
