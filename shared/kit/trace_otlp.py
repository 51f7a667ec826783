"""
Spans to a collector, by OpenTelemetry's own SDK: OTLP over HTTP, in protobuf.

Where to and how is said by its standard variables, `OTEL_EXPORTER_OTLP_ENDPOINT` first of all. It
is imported in a process that traces to a collector and in no other; `qanat[trace]` installs it.
"""

import logging
from threading import Thread

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, NonRecordingSpan, TraceFlags, set_span_in_context
from opentelemetry.trace import SpanContext as OtelContext

from shared.kit.spans import Span, SpanContext

log = structlog.get_logger()

CLOSE_S = 1.0
"""How long the end of a process waits for a collector [s]; the SDK alone would wait for 30."""

MAX_REASON_CHARACTERS = 300


class OtlpSink:
    """Hands spans to a thread of the SDK, which sends them in batches; a full queue drops some."""

    def __init__(self, service: str, node: str) -> None:
        """Begin to send what is taken."""
        self._ids = _GivenIds()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create(
                {"service.name": f"qanat-{service}", "service.instance.id": node}
            ),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._exporter = OTLPSpanExporter()
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        told = logging.getLogger("opentelemetry")
        told.handlers, told.propagate = [_LogHandler(logging.WARNING)], False
        self._tracer = self._provider.get_tracer("qanat")

    def take(self, span: Span) -> None:
        """Queue a span."""
        self._ids.next = span.context
        # An empty context, rather than none: nothing of the thread's own is a parent.
        context = Context()
        if span.parent is not None:
            context = set_span_in_context(NonRecordingSpan(_context_of(span.parent)), context)
        made = self._tracer.start_span(
            span.name,
            context=context,
            attributes=dict(span.attributes),
            links=[Link(_context_of(one)) for one in span.links],
            start_time=span.begun_ns,
        )
        made.end(span.ended_ns)

    def close(self) -> None:
        """Send what waits, where the collector takes it soon."""
        ending = Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(CLOSE_S)
        if ending.is_alive():
            # It no longer tries again; what waits is lost.
            self._exporter.shutdown()  # type: ignore[no-untyped-call]
            ending.join(CLOSE_S)


class _LogHandler(logging.Handler):
    """Puts what the SDK has to say into the log of the service."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record."""
        log.warning("trace_exporter", reason=record.getMessage()[:MAX_REASON_CHARACTERS])


class _GivenIds(IdGenerator):
    """Gives the ids that the span has already; `take` is called by one thread."""

    next = SpanContext(bytes(15) + b"\1", bytes(7) + b"\1")

    def generate_span_id(self) -> int:
        return int.from_bytes(self.next.span_id, "big")

    def generate_trace_id(self) -> int:
        return int.from_bytes(self.next.trace_id, "big")


def _context_of(context: SpanContext) -> OtelContext:
    return OtelContext(
        int.from_bytes(context.trace_id, "big"),
        int.from_bytes(context.span_id, "big"),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
