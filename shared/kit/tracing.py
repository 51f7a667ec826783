"""
Spans: where the time of a transaction goes, through all services. Off unless `QANAT_TRACE` says so.

Everybody who works on a round knows its ParaTime, its number and the chain, so each process derives
the same trace id from them: no context crosses the wire, and none of a stranger's is believed.
What happened to a transaction before its round was known is told when it is. Whoever records asks
`active()` first, which is None where nothing is traced: that is all that tracing costs then.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shared.crypto.hashes import sha256
from shared.kit.settings import PREFIX, BadSettings, read_settings
from shared.kit.spans import NO_ATTRIBUTES, Attributes, Span, SpanContext

FILE, OTLP = "file", "otlp"
TARGETS = ("", FILE, OTLP)
TRACE_FILE = "trace.jsonl"
"""In the node's own directory, of which hosts may write no other."""
ROOT = "round"
"""Name of the span over all others of a round."""
_TRACE_LABEL = b"qanat/trace: id of a round's trace"
_ROOT_LABEL = b"qanat/trace: id of its first span"


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """The part of a service's `QANAT_*` variables that tracing needs."""

    node_name: str
    data_dir: Path
    genesis: Path
    """Its bytes tell the rounds of one network from those of another."""
    trace: str = ""
    """`file`, `otlp`, or empty: nothing is traced."""


class Sink(Protocol):
    """Takes spans away."""

    def take(self, span: Span) -> None:
        """Take one span; never raises, and never waits."""
        ...

    def close(self) -> None:
        """Hand on what is still held."""
        ...


class Tracer:
    """Makes the spans of one process."""

    def __init__(self, sink: Sink, network: bytes) -> None:
        """`network` is what only this network has: spans of two others never share a trace."""
        self._sink, self._network = sink, network

    def round_root(self, runtime_id: bytes, incarnation: int, round_: int) -> SpanContext:
        """Give the first span of a round's trace, the same in every process."""
        words = incarnation.to_bytes(8, "big") + round_.to_bytes(8, "big")
        trace_id = sha256(_TRACE_LABEL + self._network + runtime_id + words)[:16]
        return SpanContext(trace_id, sha256(_ROOT_LABEL + trace_id)[:8])

    def record(
        self,
        name: str,
        parent: SpanContext,
        begun_ns: int,
        ended_ns: int | None = None,
        attributes: Attributes = NO_ATTRIBUTES,
        links: tuple[SpanContext, ...] = (),
    ) -> SpanContext:
        """Tell of something that took time, until now where nothing else is said."""
        context = SpanContext(parent.trace_id, os.urandom(8))
        ended_ns = now_ns() if ended_ns is None else ended_ns
        self._sink.take(Span(name, context, parent, begun_ns, ended_ns, attributes, links))
        return context

    def record_root(
        self, root: SpanContext, begun_ns: int, ended_ns: int, attributes: Attributes
    ) -> None:
        """Tell of a whole round; one process does."""
        self._sink.take(Span(ROOT, root, None, begun_ns, ended_ns, attributes))

    def close(self) -> None:
        """Hand on what is still held."""
        self._sink.close()


class _Process:
    """What this process traces."""

    tracer: Tracer | None = None


def active() -> Tracer | None:
    """Give the tracer; None where nothing is traced."""
    return _Process.tracer


def begin_ns() -> int:
    """Give the time where something is traced, and 0 otherwise [Unix ns]."""
    return 0 if _Process.tracer is None else now_ns()


def now_ns() -> int:
    """Give the time [Unix ns]."""
    return time.time_ns()


def record_in_round(
    runtime_id: bytes,
    incarnation: int,
    round_: int,
    name: str,
    begun_ns: int,
    ended_ns: int | None = None,
    attributes: Attributes = NO_ATTRIBUTES,
) -> SpanContext | None:
    """
    Tell what a round of a ParaTime took, until now where nothing else is said.

    Nothing is told where nothing is traced, or was not yet when it began: `begun_ns` is 0 then.
    """
    tracer = _Process.tracer
    if tracer is None or not begun_ns:
        return None
    root = tracer.round_root(runtime_id, incarnation, round_)
    return tracer.record(name, root, begun_ns, ended_ns, attributes)


@contextmanager
def tracing(service: str, environ: Mapping[str, str]) -> Iterator[None]:
    """Trace this process as its environment says, for as long as the context is open."""
    if not environ.get(f"{PREFIX}TRACE"):
        yield
        return
    settings = read_settings(TraceSettings, environ)
    with traced_by(Tracer(_make_sink(service, settings), sha256(settings.genesis.read_bytes()))):
        yield


@contextmanager
def traced_by(tracer: Tracer) -> Iterator[None]:
    """Trace this process by a tracer, for as long as the context is open."""
    _Process.tracer = tracer
    try:
        yield
    finally:
        _Process.tracer = None
        tracer.close()


def _make_sink(service: str, settings: TraceSettings) -> Sink:
    match settings.trace:
        case "file":
            from shared.kit.trace_file import FileSink

            return FileSink(settings.data_dir / TRACE_FILE, service, settings.node_name)
        case "otlp":
            from shared.kit.trace_otlp import OtlpSink

            return OtlpSink(service, settings.node_name)
        case unknown:
            raise BadSettings(f"{PREFIX}TRACE={unknown!r}: must be one of {', '.join(TARGETS[1:])}")


def read_traceparent(untrusted: bytes | None) -> SpanContext | None:
    """
    Read a client's `traceparent`; None where there is none, or another thing.

    A link is all that is made of it. Source: W3C Trace Context, version 00.
    """
    if untrusted is None or len(untrusted) != 55:
        return None
    version, *rest = untrusted.split(b"-")
    if version != b"00" or [len(part) for part in rest] != [32, 16, 2]:
        return None
    try:
        trace_id, span_id, _ = (bytes.fromhex(part.decode("ascii")) for part in rest)
    except ValueError:
        return None
    if (len(trace_id), len(span_id)) != (16, 8) or not any(trace_id) or not any(span_id):
        return None
    return SpanContext(trace_id, span_id)
