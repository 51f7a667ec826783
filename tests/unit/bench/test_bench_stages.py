"""Stages are reckoned from spans, without gaps, the slowest of several nodes counting."""

import json

import pytest
from rich.console import Console

from tests.bench.stages import (
    CONSENSUS_STEPS,
    INSIDE,
    IncompleteTrace,
    RoundSpans,
    TracedSpan,
    as_stage_table,
    quantile,
    read_rounds,
    stage_times,
)

MS = 1_000_000


def span(name: str, begun_ms: int, ended_ms: int, node: str = "n", trace: str = "t") -> TracedSpan:
    return TracedSpan(name, trace, node, begun_ms * MS, ended_ms * MS)


def spans_of_a_round() -> list[TracedSpan]:
    steps = [span(f"consensus.{step}", 40 + at, 41 + at) for at, step in enumerate(CONSENSUS_STEPS)]
    workers = [
        one
        for at, node in enumerate(("a", "b", "c"))
        for one in (
            span("compute.execute", 10 + at, 20 + at, node),
            span("compute.vote", 21 + at, 30 + at, node),
            span("compute.settle", 52 - at, 54 - at, node),
            *(span(name, 11 + at, 12 + at, node) for name in INSIDE),
        )
    ]
    return [
        span("round", 1, 60),
        span("gateway.send", 1, 61),
        span("gateway.submit", 1, 5),
        span("compute.check", 2, 4),
        span("compute.pool", 4, 6),
        span("compute.propose", 6, 8),
        span("compute.send_votes", 33, 39),
        span("consensus.gather", 33, 40),
        span("consensus.block", 40, 46),
        *steps,
        *workers,
        span("gateway.index", 55, 59),
    ]


def test_stages_add_up_to_what_the_client_waits():
    times = stage_times([RoundSpans(spans_of_a_round())], [(0, 63 * MS)])
    stages = {name: taken for name, [taken] in times.items() if name not in (*INSIDE, "all")}
    assert sum(stages.values()) == times["all"][0] == 63
    assert stages["gateway has it"] == 1
    assert stages["slowest worker begins"] == 12 - 8
    assert stages["slowest worker has executed"] == 22 - 12
    assert stages["gateway shows the round"] == 59 - 46
    assert times["enclave.sign"] == [1]


@pytest.mark.parametrize("missing", ["gateway.send", "compute.check", "consensus.commit"])
def test_a_missing_span_is_named(missing):
    spans = [one for one in spans_of_a_round() if one.name != missing]
    with pytest.raises(IncompleteTrace, match=missing):
        stage_times([RoundSpans(spans)], [(0, 63 * MS)])


def test_a_span_too_many_is_named():
    spans = [*spans_of_a_round(), span("gateway.index", 55, 58)]
    with pytest.raises(IncompleteTrace, match=r"2 spans gateway\.index"):
        stage_times([RoundSpans(spans)], [(0, 63 * MS)])


def test_a_round_that_went_another_way_is_left_out():
    odd = RoundSpans([one for one in spans_of_a_round() if one.name != "consensus.block"])
    whole = RoundSpans(spans_of_a_round())
    times = stage_times([whole] * 9 + [odd], [(0, 63 * MS)] * 10)
    assert {len(taken) for taken in times.values()} == {9}


def test_other_rounds_than_transactions_are_refused():
    with pytest.raises(IncompleteTrace, match="1 rounds of 2"):
        stage_times([RoundSpans(spans_of_a_round())], [(0, 63 * MS)] * 2)


def test_files_of_all_nodes_are_read_and_rounds_without_a_request_left_out(tmp_path):
    def write(node: str, *spans: TracedSpan) -> None:
        folder = tmp_path / node / "host"
        folder.mkdir(parents=True)
        lines = [
            {
                "name": one.name,
                "trace": one.trace,
                "node": node,
                "begun_ns": one.begun_ns,
                "ended_ns": one.ended_ns,
            }
            for one in spans
        ]
        (folder / "trace.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    write("gateway", span("round", 5, 9, trace="late"), span("round", 1, 4, trace="early"))
    write("compute-0", span("compute.vote", 2, 3, trace="early"), span("compute.vote", 7, 8))
    rounds = read_rounds(tmp_path)
    assert [one.one("round").trace for one in rounds] == ["early", "late"]
    assert rounds[0].one("compute.vote").node == "compute-0"


def test_table_shows_both_kinds_beside_each_other():
    times = stage_times([RoundSpans(spans_of_a_round())] * 2, [(0, 63 * MS), (0, 65 * MS)])
    console = Console(width=120)
    with console.capture() as shown:
        console.print(as_stage_table({"plain": times, "encrypted": times}))
    [row] = [line for line in shown.get().splitlines() if "as the client sees it" in line]
    assert [cell.strip() for cell in row.split("│")][2:6] == ["64.00", "64.90", "64.00", "64.90"]


def test_quantiles():
    assert quantile([4.0], 0.95) == 4
    assert quantile([1.0, 2.0, 3.0], 0.5) == 2
