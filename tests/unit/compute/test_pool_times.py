"""When transactions came and went is told in the trace of the round that took them up."""

import pytest

from services.compute import pool_times
from services.compute.pool_times import PoolTimes
from shared.types.block import RoundBlock
from tests.support.keymanager import PARATIME_ID
from tests.support.rounds import make_chain
from tests.support.spans import KeptSpans, kept_spans


@pytest.fixture
def sink():
    with kept_spans() as sink:
        yield sink


def block(*raws: bytes) -> RoundBlock:
    [round_] = make_chain(1)
    return RoundBlock(round_.header, raws, (b"",) * len(raws))


def told(sink: KeptSpans) -> list[tuple[str, object]]:
    return [(span.name, span.attributes["position"]) for span in sink.spans]


def test_who_checked_and_proposed_tells_both(sink):
    times = PoolTimes()
    times.note_checked((b"a", b"b"), arrived_ns=1)
    times.note_proposed((b"a", b"b"), begun_ns=2**62)
    times.tell(PARATIME_ID, 0, block(b"b", b"a"))
    assert told(sink) == [
        ("compute.check", 0),
        ("compute.pool", 0),
        ("compute.check", 1),
        ("compute.pool", 1),
    ]
    check, pool = sink.spans[:2]
    assert check.begun_ns == 1
    assert check.ended_ns == pool.begun_ns
    assert pool.ended_ns == 2**62


def test_a_peers_transaction_was_not_checked_here(sink):
    times = PoolTimes()
    times.note_gossiped((b"a",))
    times.note_proposed((b"a",), begun_ns=2**62)
    times.tell(PARATIME_ID, 0, block(b"a"))
    assert told(sink) == [("compute.pool", 0)]


def test_who_did_not_propose_tells_of_its_check_alone(sink):
    times = PoolTimes()
    times.note_checked((b"a",), arrived_ns=1)
    times.tell(PARATIME_ID, 0, block(b"stranger", b"a"))
    assert told(sink) == [("compute.check", 1)]
    times.tell(PARATIME_ID, 0, block(b"a"))
    assert len(sink.spans) == 1


def test_the_oldest_make_room(sink, monkeypatch):
    monkeypatch.setattr(pool_times, "MAX_TRANSACTIONS", 3)
    times = PoolTimes()
    times.note_gossiped(b"%d" % n for n in range(10))
    assert list(times._times) == [b"7", b"8", b"9"]


def test_nothing_is_remembered_where_nothing_is_traced():
    times = PoolTimes()
    times.note_checked((b"a",), arrived_ns=0)
    times.note_gossiped((b"a",))
    assert not times._times
