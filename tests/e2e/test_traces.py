"""A transaction is followed through every service of a network that traces."""

import json
import time
from collections import Counter

import httpx
import pytest

from shared.kit.tracing import TRACE_FILE
from tests.bench.stages import (
    BY_EACH_WORKER,
    INSIDE,
    ONCE,
    IncompleteTrace,
    RoundSpans,
    read_rounds,
)
from tests.support.networks import ProcessNetwork, port_base, running, wait_for
from tests.support.signing import sign

PORT_BASE = port_base(17545)
WORKERS = 3
COUNT = 10
PATIENCE_S = 60
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def network(tmp_path, monkeypatch):
    """A network of its own: it is traced from its start, and its files are read at its end."""
    monkeypatch.setenv("QANAT_TRACE", "file")
    network = ProcessNetwork(tmp_path / "data", PORT_BASE)
    with running(network):
        yield network


def send(client: httpx.Client, raw: str) -> tuple[int, int]:
    """Send a transaction as a client that traces would; when, and when its receipt was there."""
    sent_ns = time.time_ns()
    hash_ = ask(client, "eth_sendRawTransaction", raw)
    wait_for(lambda: has_succeeded(client, hash_), PATIENCE_S, "the receipt")
    return sent_ns, time.time_ns()


def has_succeeded(client: httpx.Client, hash_: str) -> bool:
    receipt = ask(client, "eth_getTransactionReceipt", hash_)
    return receipt is not None and receipt["status"] == "0x1"


def ask(client: httpx.Client, method: str, parameter: str):
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": [parameter]}
    return client.post("/", json=request, headers={"traceparent": TRACEPARENT}).json()["result"]


def went_as_planned(spans: RoundSpans) -> bool:
    """Whether all workers had a round's first proposal, and voted together before its block."""
    try:
        voted_ns = spans.slowest("compute.vote").ended_ns
        of_node = [Counter(one.node for one in spans.all(name)) for name in BY_EACH_WORKER]
        begun_ns = spans.one("consensus.block").begun_ns
        spans.one("compute.send_votes")
    except IncompleteTrace:
        return False
    return voted_ns < begun_ns and all(sorted(by.values()) == [1] * WORKERS for by in of_node)


@pytest.mark.slow
def test_a_transaction_has_every_stage_once_and_in_order(network):
    with httpx.Client(base_url=network.url, timeout=PATIENCE_S) as client:
        sent = [send(client, sign(nonce)) for nonce in range(COUNT)]
    network.down()
    rounds = read_rounds(network.data)
    assert len(rounds) == COUNT
    # On a busy machine a worker may be late, and a second proposer take over.
    planned = [
        (spans, times) for spans, times in zip(rounds, sent, strict=True) if went_as_planned(spans)
    ]
    assert planned
    for spans, (sent_ns, received_ns) in planned:
        assert [name for name in ONCE if len(spans.all(name)) != 1] == []
        for name in ("compute.vote", *INSIDE):
            assert len(spans.all(name)) == WORKERS, name
        moments = spans.moments(sent_ns, received_ns)
        assert moments == sorted(moments, key=lambda moment: moment[1])

    file = network.data / "gateway" / "host" / TRACE_FILE
    told = [json.loads(line) for line in file.read_text().splitlines()]
    _, trace_id, span_id, _ = TRACEPARENT.split("-")
    links = [one["links"] for one in told if one["name"] == "gateway.send"]
    assert links == [[[trace_id, span_id]]] * COUNT
    # Its trace is the round's, whatever a client says.
    assert trace_id not in {one["trace"] for one in told}
