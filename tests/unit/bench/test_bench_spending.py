"""What operations cost is shared out by kind of process, and found again by row."""

import os

import pytest

from tests.bench import machine, spending
from tests.bench.spending import Spending


def test_what_was_spent_since_is_shared_among_the_operations(monkeypatch):
    spent = {1: 2.0, 2: 1.0}
    monkeypatch.setattr(machine, "cpu_seconds", lambda pids: sum(spent[pid] for pid in pids))
    clock = Spending({"gateway": [1], "compute": [1, 2]})
    spent[2] = 3.0
    found = clock.figures("calls plain", 100)
    assert found["cpu calls plain: gateway"] == 0
    assert found["cpu calls plain: compute"] == pytest.approx(20)
    assert spending.of_the_network(found, "calls plain") == pytest.approx(20)


def test_the_load_generator_is_this_process():
    clock = Spending({"tests": [os.getpid()]})
    while (found := clock.figures("burst", 1))["cpu burst: load generator"] < 50:
        pass
    assert found["cpu burst: tests"] >= 30


def test_costs_are_of_one_row_alone_and_may_be_those_of_another():
    found = {"cpu plain p50: gateway": 1.0, "cpu plain p50 x: gateway": 2.0, "plain p50": 3.0}
    assert spending.cost_of(found, "plain p50") == {"gateway": 1.0}
    assert spending.under(found, "plain p50", "single p50") == {"cpu single p50: gateway": 1.0}
