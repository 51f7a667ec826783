"""Spans in a file of the node, a JSON object a line: what `make profile` reads."""

from pathlib import Path

import orjson
import structlog

from shared.kit.spans import Span

log = structlog.get_logger()

MAX_FILE_BYTES = 256 * 1024 * 1024
"""What is traced beyond this is lost: some 100,000 rounds [bytes]."""
FLUSH_NS = 200_000_000
"""Lines reach the file at most so much later, where more come [ns]."""


class FileSink:
    """Appends spans to a file."""

    def __init__(self, file: Path, service: str, node: str) -> None:
        """Begin, or go on where the file ends."""
        self._file = file.open("ab")
        self._left_bytes = MAX_FILE_BYTES - file.stat().st_size
        self._node = {"service": service, "node": node}
        self._flushed_ns = 0

    def take(self, span: Span) -> None:
        """Write a span."""
        parent = span.parent
        line = orjson.dumps(
            {
                "name": span.name,
                "trace": span.context.trace_id.hex(),
                "span": span.context.span_id.hex(),
                "parent": None if parent is None else parent.span_id.hex(),
                "begun_ns": span.begun_ns,
                "ended_ns": span.ended_ns,
                **self._node,
                "attributes": dict(span.attributes),
                "links": [[one.trace_id.hex(), one.span_id.hex()] for one in span.links],
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        if self._left_bytes < len(line):
            if self._left_bytes > 0:
                log.warning("trace_file_full", bytes=MAX_FILE_BYTES)
            self._left_bytes = 0
            return
        self._left_bytes -= len(line)
        try:
            self._file.write(line)
            if span.ended_ns - self._flushed_ns > FLUSH_NS:
                self._file.flush()
                self._flushed_ns = span.ended_ns
        except OSError as error:
            # A full disk ends tracing, not the node.
            log.warning("trace_file_failed", reason=str(error))
            self._left_bytes = 0

    def close(self) -> None:
        """Write what is still held."""
        try:
            self._file.close()
        except OSError as error:
            log.warning("trace_file_failed", reason=str(error))
