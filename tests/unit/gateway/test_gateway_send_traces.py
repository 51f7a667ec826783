"""A client's request is told in the trace of the round that its transaction came to be in."""

import pytest

from services.gateway import send_traces
from services.gateway.encryption import ASKER
from services.gateway.index.chain_index import ChainIndex
from services.gateway.index.recent import RecentRounds
from services.gateway.send_traces import SendTraces
from services.gateway.store import BlockStore
from shared.kit.spans import SpanContext
from shared.kit.tracing import active
from tests.support.fake_compute import RUNTIME_ID
from tests.support.rounds import digest, make_record, make_round
from tests.support.spans import kept_spans


@pytest.fixture
def sink():
    with kept_spans() as sink:
        yield sink


@pytest.fixture
def index(tmp_path):
    store = BlockStore(f"sqlite:///{tmp_path}/index.sqlite", RUNTIME_ID)
    return ChainIndex(store, RecentRounds(10, 1 << 20))


@pytest.fixture
def traces(index):
    return SendTraces(RUNTIME_ID, index)


async def test_a_request_that_waits_for_its_round(sink, index, traces):
    with traces.sending(digest("tx", 1)) as sent:
        sent.note_admitted()
        index.append(make_round(0, make_record(1)))
    root = active().round_root(RUNTIME_ID, 0, 0)
    whole, request = sink.find("round"), sink.find("gateway.send")
    assert (whole.context, whole.parent, whole.attributes) == (root, None, {"round": 0})
    assert request.parent == root
    assert whole.begun_ns == request.begun_ns
    submit = sink.find("gateway.submit")
    assert submit.parent == request.context
    assert request.begun_ns <= submit.ended_ns <= request.ended_ns
    assert not traces._sent


async def test_a_request_that_was_answered_before_its_round_came(sink, index, traces):
    with traces.sending(digest("tx", 1)) as sent:
        sent.note_admitted()
    assert sink.names() == []
    index.append(make_round(0, make_record(1)))
    assert sorted(sink.names()) == ["gateway.send", "gateway.submit", "round"]


async def test_several_requests_of_one_round_have_one_root_that_begins_with_the_first(
    sink, index, traces
):
    with (
        traces.sending(digest("tx", 1)) as first,
        traces.sending(digest("tx", 2)) as second,
        traces.sending(digest("tx", 3)),
    ):
        first.note_admitted()
        second.note_admitted()
        index.append(make_round(0, make_record(2), make_record(1)))
    assert sink.names().count("gateway.send") == 2
    assert sink.find("round").begun_ns == first.begun_ns


async def test_a_refused_transaction_leaves_nothing(sink, index, traces):
    with pytest.raises(ValueError, match="refused"), traces.sending(digest("tx", 1)):
        raise ValueError("refused")
    assert not traces._sent
    assert sink.names() == []


async def test_the_same_transaction_twice_is_followed_once(sink, index, traces):
    with traces.sending(digest("tx", 1)) as first, traces.sending(digest("tx", 1)) as again:
        assert again is None
        first.note_admitted()
        index.append(make_round(0, make_record(1)))
    assert sink.names().count("gateway.send") == 1


async def test_of_requests_that_wait_the_oldest_make_room(sink, traces, monkeypatch):
    monkeypatch.setattr(send_traces, "MAX_REQUESTS", 2)
    for seed in range(5):
        with traces.sending(digest("tx", seed)) as sent:
            sent.note_admitted()
    assert list(traces._sent) == [digest("tx", 3), digest("tx", 4)]


async def test_a_clients_span_is_linked_and_nothing_else_of_it_is_believed(sink, index, traces):
    traceparent = b"00-%b-%b-01" % (b"ab" * 16, b"cd" * 8)
    token = ASKER.set((None, {b"traceparent": traceparent}))
    try:
        with traces.sending(digest("tx", 1)) as sent:
            sent.note_admitted()
            index.append(make_round(0, make_record(1)))
    finally:
        ASKER.reset(token)
    request = sink.find("gateway.send")
    assert request.links == (SpanContext(b"\xab" * 16, b"\xcd" * 8),)
    assert request.context.trace_id != b"\xab" * 16


async def test_nothing_is_followed_where_nothing_is_traced(index, traces):
    with traces.sending(digest("tx", 1)) as sent:
        assert sent is None
    assert not traces._sent
