"""When a node asks what its enclave may forget, and what it then has it forget."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from services.compute import pruning
from services.compute.pruning import ROUNDS_BETWEEN, Pruning
from shared.enclave.state import Pruned
from tests.support.keymanager import PARATIME_ID

KEPT = 40


class Consensus:
    """Can be taken back to one round after the other, each time it is asked."""

    def __init__(self, *oldest: int) -> None:
        self._oldest = list(oldest)

    async def fetch_oldest_round(self, runtime_id: object) -> int:
        assert runtime_id == PARATIME_ID
        return self._oldest.pop(0)


class Enclave:
    """Notes what it shall forget, and is done with the second step."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def prune(self, keep_from: int) -> Pruned:
        is_done = keep_from in self.asked
        self.asked.append(keep_from)
        return Pruned(keep_from, is_done)


def prune_at(newest: int, *oldest: int, monkeypatch: Any) -> list[int]:
    monkeypatch.setattr(pruning, "HELD_BACK_S", 0.0)
    enclave = Enclave()
    started: list[Coroutine[Any, Any, None]] = []
    Pruning(PARATIME_ID, KEPT, enclave, Consensus(*oldest)).start(newest, started.append)
    for task in started:
        asyncio.run(task)
    return enclave.asked


def test_what_the_window_and_consensus_both_let_go_is_forgotten_in_steps(monkeypatch):
    assert prune_at(100, 80, monkeypatch=monkeypatch) == [60, 60]


def test_where_consensus_keeps_more_it_is_asked_once_more(monkeypatch):
    assert prune_at(100, 5, 70, monkeypatch=monkeypatch) == [5, 5, 60, 60]


def test_what_consensus_still_keeps_then_stays(monkeypatch):
    assert prune_at(100, 5, 5, monkeypatch=monkeypatch) == [5, 5, 5]


def test_nothing_is_asked_before_the_window_is_full(monkeypatch):
    assert prune_at(KEPT, monkeypatch=monkeypatch) == []


def test_it_is_looked_again_after_some_rounds_and_never_twice_at_once():
    enclave, started = Enclave(), []
    one = Pruning(PARATIME_ID, KEPT, enclave, Consensus(900, 900))
    one.start(100, started.append)
    one.start(100 + 10 * ROUNDS_BETWEEN, started.append)
    asyncio.run(started.pop())
    for newest in range(100, 100 + ROUNDS_BETWEEN + 1):
        one.start(newest, started.append)
    assert not started
    one.start(101 + ROUNDS_BETWEEN, started.append)
    asyncio.run(started.pop())
    assert enclave.asked == [60, 60, 61 + ROUNDS_BETWEEN, 61 + ROUNDS_BETWEEN]
