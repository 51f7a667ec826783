"""Few traces run at a time in one enclave, so that other questions find a thread."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from runtimes.evm.sight import AT_ONCE, TooManyTraces, simulate

WAIT_S = 20


class SlowEngine:
    """Simulates until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.let_go = threading.Event()

    def simulate(self, environment, request, *, version):
        self.entered.release()
        assert self.let_go.wait(WAIT_S)
        return request


def test_more_traces_than_places_are_refused_at_once_and_leave_the_others_running():
    engine = SlowEngine()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        running = [threads.submit(simulate, engine, None, b"[%d]" % i, 1) for i in range(AT_ONCE)]
        for _ in running:
            assert engine.entered.acquire(timeout=WAIT_S)
        with pytest.raises(TooManyTraces):
            simulate(engine, None, b"[]", 1)
        engine.let_go.set()
        assert [one.result(WAIT_S) for one in running] == [b"[%d]" % i for i in range(AT_ONCE)]
    assert simulate(engine, None, b"[]", 1) == b"[]"


def test_a_failure_gives_its_place_back():
    class Broken:
        def simulate(self, environment, request, *, version):
            raise ValueError

    for _ in range(AT_ONCE + 1):
        with pytest.raises(ValueError):
            simulate(Broken(), None, b"[]", 1)
