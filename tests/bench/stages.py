"""
The stages of a transaction, from the spans that a traced network leaves in its nodes' files.

Stages follow one another without gaps, so what they take adds up to what the client waits. Where
several nodes do the same at once, the slowest counts: the next stage waits for it.
"""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rich.table import Table

from shared.kit.tracing import ROOT, TRACE_FILE

CONSENSUS_STEPS = ("prepare", "sign", "finalize", "store", "commit", "tell")
ONCE = (
    ROOT,
    *("gateway.send", "gateway.submit", "compute.check", "compute.pool", "compute.propose"),
    *("compute.send_votes", "consensus.gather", "consensus.block"),
    *(f"consensus.{step}" for step in CONSENSUS_STEPS),
    "gateway.index",
)
"""Spans of which a round with one transaction has one."""
BY_EACH_WORKER = ("compute.execute", "compute.vote", "compute.settle")
INSIDE = ("enclave.execute", "enclave.persist", "enclave.sign")
"""Parts of `compute.execute`, one of each a worker."""
MAX_ODD = 0.1
"""Share of rounds that may have gone another way."""
SENDS, RECEIPT = "client sends", "client has the receipt"


@dataclass(frozen=True)
class TracedSpan:
    """One line of a node's file."""

    name: str
    trace: str
    node: str
    begun_ns: int
    ended_ns: int

    @property
    def took_ms(self) -> float:
        return (self.ended_ns - self.begun_ns) / 1e6


class IncompleteTrace(Exception):
    """A round lacks a span, or has one too often."""


class RoundSpans:
    """What all nodes told of one round."""

    def __init__(self, spans: Iterable[TracedSpan]) -> None:
        self._by_name: dict[str, list[TracedSpan]] = {}
        for span in spans:
            self._by_name.setdefault(span.name, []).append(span)

    @property
    def is_sent_here(self) -> bool:
        """Whether a client handed in a transaction of it."""
        return ROOT in self._by_name

    def all(self, name: str) -> list[TracedSpan]:
        found = self._by_name.get(name, [])
        if not found:
            raise IncompleteTrace(f"no span {name}")
        return found

    def one(self, name: str) -> TracedSpan:
        found = self.all(name)
        if len(found) > 1:
            raise IncompleteTrace(f"{len(found)} spans {name}")
        return found[0]

    def slowest(self, name: str) -> TracedSpan:
        """The one that ended last."""
        return max(self.all(name), key=lambda span: span.ended_ns)

    def moments(self, sent_ns: int, received_ns: int) -> list[tuple[str, int]]:
        """What was reached when, in order: each is the end of a stage [Unix ns]."""
        check, propose = self.one("compute.check"), self.one("compute.propose")
        last_begun = max(span.begun_ns for span in self.all("compute.execute"))
        steps = [
            (f"consensus: {step}", self.one(f"consensus.{step}").ended_ns)
            for step in CONSENSUS_STEPS
        ]
        return [
            (SENDS, sent_ns),
            ("gateway has it", self.one("gateway.send").begun_ns),
            ("compute host has it", check.begun_ns),
            ("enclave has checked it", check.ended_ns),
            ("in the pool, until proposed", propose.begun_ns),
            ("proposal signed, saved, sent", propose.ended_ns),
            ("slowest worker begins", last_begun),
            ("slowest worker has executed", self.slowest("compute.execute").ended_ns),
            ("last vote signed and saved", self.slowest("compute.vote").ended_ns),
            ("consensus begins the block", self.one("consensus.block").begun_ns),
            *steps,
            ("gateway shows the round", self.one("gateway.index").ended_ns),
            (RECEIPT, received_ns),
        ]


def read_rounds(data: Path) -> list[RoundSpans]:
    """Read what a stopped network traced: rounds that clients sent something to, oldest first."""
    traces: dict[str, list[TracedSpan]] = {}
    for file in data.rglob(TRACE_FILE):
        for line in file.read_text().splitlines():
            told = json.loads(line)
            span = TracedSpan(
                told["name"], told["trace"], told["node"], told["begun_ns"], told["ended_ns"]
            )
            traces.setdefault(span.trace, []).append(span)
    rounds = [one for one in map(RoundSpans, traces.values()) if one.is_sent_here]
    return sorted(rounds, key=lambda one: one.one(ROOT).begun_ns)


def stage_times(
    rounds: Sequence[RoundSpans], sent: Sequence[tuple[int, int]]
) -> dict[str, list[float]]:
    """
    How long each stage took, of transactions that were sent one after the other [ms].

    `sent` is when the client sent each and had its receipt [Unix ns]. A round that took another
    way, such as by a second proposer, has no such stages and is left out; most must have them.
    """
    if len(rounds) != len(sent):
        raise IncompleteTrace(f"{len(rounds)} rounds of {len(sent)} transactions")
    taken: dict[str, list[float]] = {}
    odd: list[IncompleteTrace] = []
    for spans, (sent_ns, received_ns) in zip(rounds, sent, strict=True):
        try:
            moments = spans.moments(sent_ns, received_ns)
        except IncompleteTrace as reason:
            odd.append(reason)
            continue
        for (_, before_ns), (name, at_ns) in pairwise(moments):
            taken.setdefault(name, []).append((at_ns - before_ns) / 1e6)
        taken.setdefault("all", []).append((received_ns - sent_ns) / 1e6)
        for name in INSIDE:
            taken.setdefault(name, []).append(spans.slowest(name).took_ms)
    if len(odd) > MAX_ODD * len(sent):
        raise odd[0]
    return taken


def as_stage_table(times: dict[str, dict[str, list[float]]]) -> Table:
    """Show p50 and p95 of each stage, of each kind of transaction beside the others."""
    table = Table(title=r"stages of one transaction \[ms]", title_justify="left")
    table.add_column("until")
    for kind in times:
        table.add_column(f"{kind} p50", justify="right")
        table.add_column("p95", justify="right")
    names = list(next(iter(times.values())))
    stages = [name for name in names if name not in (*INSIDE, "all")]

    def add(name: str, shown: str) -> None:
        cells = []
        for taken in times.values():
            cells += [f"{quantile(taken[name], q):.2f}" for q in (0.5, 0.95)]
        table.add_row(shown, *cells)

    for name in stages:
        add(name, name)
    table.add_section()
    add("all", "all, as the client sees it")
    table.add_section()
    for name in INSIDE:
        add(name, f"of the execution: {name}")
    return table


def quantile(values: Sequence[float], q: float) -> float:
    """Give the value below which a share of all values lies."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[round(100 * q) - 1]
