"""Spans kept where a test can look at them."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.kit.spans import Span
from shared.kit.tracing import Tracer, traced_by

NETWORK = b"only network"


class KeptSpans:
    """A sink."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.is_closed = False

    def take(self, span: Span) -> None:
        self.spans.append(span)

    def close(self) -> None:
        self.is_closed = True

    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    def find(self, name: str) -> Span:
        [span] = [span for span in self.spans if span.name == name]
        return span


@contextmanager
def kept_spans() -> Iterator[KeptSpans]:
    """Trace this process into a sink."""
    sink = KeptSpans()
    with traced_by(Tracer(sink, NETWORK)):
        yield sink
