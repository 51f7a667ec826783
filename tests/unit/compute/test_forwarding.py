import asyncio

import pytest

from services.compute import forwarding
from services.compute.forwarding import Forwarder
from tests.support.virtual_time import run_virtual

OWN, A, B = b"o" * 32, b"a" * 32, b"b" * 32


class Recorder:
    """Stands for the connections to peers; B is not known."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes | None, tuple[bytes, ...]]] = []

    def send_transactions(self, raws, node_id):
        if node_id == B:
            return False
        self.sent.append((node_id, raws))
        return True

    def broadcast_transactions(self, raws):
        self.sent.append((None, raws))


@pytest.fixture
def peers():
    return Recorder()


@pytest.fixture
def forwarder(peers, monkeypatch):
    monkeypatch.setattr(forwarding, "PATIENCE_S", 0.02)
    return Forwarder(OWN, peers)


async def test_a_scheduler_hears_of_a_transaction_once(forwarder, peers):
    forwarder.add((b"1", b"2"), A)
    forwarder.offer(A)
    assert peers.sent == [(A, (b"1", b"2"))]


async def test_the_node_itself_and_nobody_are_not_told(forwarder, peers):
    forwarder.add((b"1",), OWN)
    forwarder.offer(None)
    assert peers.sent == []


async def test_a_peer_that_is_not_known_is_tried_again(forwarder, peers):
    forwarder.add((b"1",), B)
    assert forwarder._told[b"1"] == {OWN}


async def test_what_a_round_holds_is_not_offered_to_the_next_scheduler(forwarder, peers):
    forwarder.add((b"1", b"2"), OWN)
    forwarder.settle((b"1",))
    forwarder.offer(A)
    assert peers.sent == [(A, (b"2",))]


def test_after_a_while_everybody_hears_of_it_once(forwarder, peers):
    async def scenario():
        forwarder.add((b"1",), A)
        await asyncio.sleep(60)
        forwarder.offer(A)

    run_virtual(scenario())
    assert peers.sent == [(A, (b"1",)), (None, (b"1",))]


def test_what_was_executed_in_time_is_not_told_to_everybody(forwarder, peers):
    async def scenario():
        forwarder.add((b"1",), A)
        forwarder.settle((b"1",))
        await asyncio.sleep(60)

    run_virtual(scenario())
    assert peers.sent == [(A, (b"1",))]


async def test_memory_is_bounded(forwarder, peers, monkeypatch):
    monkeypatch.setattr(forwarding, "MAX_FORWARDED", 3)
    for number in range(10):
        forwarder.add((b"%d" % number,), OWN)
    assert list(forwarder._told) == [b"7", b"8", b"9"]
    forwarder.clear()
    assert forwarder._told == {}
