"""What a span is: made by `shared/kit/tracing.py`, taken away by its sinks."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

Attributes = Mapping[str, str | int]
NO_ATTRIBUTES: Attributes = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SpanContext:
    """Which span of which trace."""

    trace_id: bytes
    """16 bytes."""
    span_id: bytes
    """8 bytes."""


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took time."""

    name: str
    context: SpanContext
    parent: SpanContext | None
    begun_ns: int
    """Unix time [ns]; all processes of a machine share the clock."""
    ended_ns: int
    attributes: Attributes
    links: tuple[SpanContext, ...] = ()
    """Spans of other traces, such as a client's, that this one belongs to."""
