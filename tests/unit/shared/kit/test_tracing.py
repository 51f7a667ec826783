"""Spans: ids that all processes derive, what a client may say, and where spans go."""

import json
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from qanat.cpu import code_root
from shared.crypto.hashes import sha256
from shared.kit import trace_file
from shared.kit.settings import BadSettings
from shared.kit.trace_file import FileSink
from shared.kit.trace_otlp import OtlpSink
from shared.kit.tracing import (
    TRACE_FILE,
    Span,
    SpanContext,
    Tracer,
    active,
    begin_ns,
    read_traceparent,
    record_in_round,
    traced_by,
    tracing,
)
from tests.support.spans import KeptSpans

RUNTIME, NETWORK = b"\x01" * 32, b"genesis"


def environment(folder: Path, trace: str) -> dict[str, str]:
    (folder / "genesis.cbor").write_bytes(NETWORK)
    return {
        "QANAT_TRACE": trace,
        "QANAT_NODE_NAME": "compute-0",
        "QANAT_DATA_DIR": str(folder),
        "QANAT_GENESIS": str(folder / "genesis.cbor"),
    }


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / TRACE_FILE).read_text().splitlines()]


def test_processes_of_one_network_derive_the_same_ids_for_a_round():
    one, other = Tracer(KeptSpans(), NETWORK), Tracer(KeptSpans(), NETWORK)
    root = one.round_root(RUNTIME, 0, 7)
    assert root == other.round_root(RUNTIME, 0, 7)
    assert (len(root.trace_id), len(root.span_id)) == (16, 8)


def test_no_two_rounds_share_a_trace():
    tracer, other_network = Tracer(KeptSpans(), NETWORK), Tracer(KeptSpans(), b"another")
    roots = {
        tracer.round_root(RUNTIME, 0, 7),
        tracer.round_root(RUNTIME, 0, 8),
        tracer.round_root(RUNTIME, 1, 7),
        tracer.round_root(b"\x02" * 32, 0, 7),
        other_network.round_root(RUNTIME, 0, 7),
    }
    assert len({root.trace_id for root in roots}) == len({root.span_id for root in roots}) == 5


def test_where_nothing_is_traced_nothing_is_noted_or_told():
    assert active() is None
    assert begin_ns() == 0
    assert record_in_round(RUNTIME, 0, 7, "compute.vote", 1) is None


def test_what_began_before_tracing_did_is_not_told():
    sink = KeptSpans()
    with traced_by(Tracer(sink, NETWORK)):
        assert record_in_round(RUNTIME, 0, 7, "compute.vote", 0) is None
    assert sink.spans == []
    assert sink.is_closed


def test_a_span_of_a_round_stands_under_its_root():
    sink = KeptSpans()
    with traced_by(tracer := Tracer(sink, NETWORK)):
        told = record_in_round(RUNTIME, 0, 7, "compute.vote", begun := begin_ns())
    [span] = sink.spans
    assert span.parent == tracer.round_root(RUNTIME, 0, 7)
    assert span.context == told
    assert 0 < begun == span.begun_ns <= span.ended_ns
    assert active() is None


TRACE_ID, SPAN_ID = b"0af7651916cd43dd8448eb211c80319c", b"b7ad6b7169203331"


def test_a_traceparent_names_a_span():
    # Source: the example of W3C Trace Context.
    assert read_traceparent(b"00-%b-%b-01" % (TRACE_ID, SPAN_ID)) == SpanContext(
        bytes.fromhex(TRACE_ID.decode()), bytes.fromhex(SPAN_ID.decode())
    )


@pytest.mark.parametrize(
    "untrusted",
    [
        None,
        b"",
        b"00-" + TRACE_ID,
        b"ff-%b-%b-01" % (TRACE_ID, SPAN_ID),
        b"00-%b-%b-01" % (b"0" * 32, SPAN_ID),
        b"00-%b-%b-01" % (TRACE_ID, b"0" * 16),
        b"00-%b-%b-01" % (b"g" * 32, SPAN_ID),
        b"00-%b-%b-01" % (b" " * 32, SPAN_ID),
        b"00-%b-%b-01" % (b"\xff" * 32, SPAN_ID),
        b"00-%b-%b-01-and more" % (TRACE_ID, SPAN_ID),
        b"00_%b_%b_01" % (TRACE_ID, SPAN_ID),
        b"-" * 55,
        b"0" * 1_000_000,
    ],
)
def test_what_is_no_traceparent_is_none(untrusted):
    assert read_traceparent(untrusted) is None


def test_a_file_has_a_line_a_span(tmp_path):
    with tracing("compute", environment(tmp_path, "file")):
        record_in_round(RUNTIME, 0, 7, "compute.check", 5, 9, {"position": 3})
    [line] = lines(tmp_path)
    root = Tracer(KeptSpans(), sha256(NETWORK)).round_root(RUNTIME, 0, 7)
    assert (line["trace"], line["parent"]) == (root.trace_id.hex(), root.span_id.hex())
    assert (line["name"], line["begun_ns"], line["ended_ns"]) == ("compute.check", 5, 9)
    assert (line["service"], line["node"]) == ("compute", "compute-0")
    assert line["attributes"] == {"position": 3}


def test_a_file_goes_on_after_a_restart_and_ends_at_its_limit(tmp_path, monkeypatch):
    tracer = Tracer(KeptSpans(), NETWORK)
    root = tracer.round_root(RUNTIME, 0, 7)
    span = Span("compute.vote", root, None, 1, 2, {})
    FileSink(tmp_path / TRACE_FILE, "compute", "c").close()
    for _ in range(2):
        sink = FileSink(tmp_path / TRACE_FILE, "compute", "c")
        sink.take(span)
        sink.close()
    size = (tmp_path / TRACE_FILE).stat().st_size
    assert len(lines(tmp_path)) == 2
    monkeypatch.setattr(trace_file, "MAX_FILE_BYTES", size + size // 2 + 1)
    sink = FileSink(tmp_path / TRACE_FILE, "compute", "c")
    for _ in range(5):
        sink.take(span)
    sink.close()
    assert len(lines(tmp_path)) == 3


@pytest.mark.parametrize("trace", ["jaeger", "/tmp/spans", "FILE"])
def test_an_unknown_target_stops_the_process(tmp_path, trace):
    refused = pytest.raises(BadSettings, match="must be one of file, otlp")
    with refused, tracing("compute", environment(tmp_path, trace)):
        pass


class Collector(BaseHTTPRequestHandler):
    """Keeps what an exporter posts."""

    got: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.got.append((self.path, body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.mark.enable_socket
def test_a_collector_gets_the_same_ids_and_times(monkeypatch):
    Collector.got = []
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        tracer = Tracer(OtlpSink("consensus", "consensus-0"), NETWORK)
        root = tracer.round_root(RUNTIME, 0, 7)
        client = SpanContext(b"\x0a" * 16, b"\x0b" * 8)
        tracer.record_root(root, 10, 90, {"round": 7})
        child = tracer.record("gateway.send", root, 20, 30, links=(client,))
        tracer.close()
        server.shutdown()
    assert {path for path, _ in Collector.got} == {"/v1/traces"}
    told = {}
    for _, body in Collector.got:
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {a.key: a.value.string_value for a in of_resource.resource.attributes}
            assert named["service.name"] == "qanat-consensus"
            assert named["service.instance.id"] == "consensus-0"
            told |= {span.name: span for scope in of_resource.scope_spans for span in scope.spans}
    first, second = told["round"], told["gateway.send"]
    assert (first.trace_id, first.span_id, first.parent_span_id) == (*ids(root), b"")
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (10, 90)
    assert (second.trace_id, second.span_id, second.parent_span_id) == (*ids(child), root.span_id)
    assert [(link.trace_id, link.span_id) for link in second.links] == [ids(client)]


@pytest.mark.long
@pytest.mark.enable_socket
def test_a_collector_that_is_gone_holds_up_no_end(monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv(
            "OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}"
        )
        tracer = Tracer(OtlpSink("consensus", "consensus-0"), NETWORK)
        root = tracer.round_root(RUNTIME, 0, 7)
        with structlog.testing.capture_logs() as logged:
            for _ in range(1_000):
                tracer.record("compute.vote", root, 1, 2)
            began_s = time.monotonic()
            tracer.close()
            took_s = time.monotonic() - began_s
    # The launcher has five seconds; the SDK would have taken thirty.
    assert took_s < 4
    assert {line["event"] for line in logged} == {"trace_exporter"}


def ids(context: SpanContext) -> tuple[bytes, bytes]:
    return context.trace_id, context.span_id


LOADED = """
import os, sys
import services.{service}.__main__
from shared.kit.tracing import tracing
with tracing("{service}", os.environ):
    print(*[name for name in sys.modules if name.startswith("opentelemetry")][:3])
"""


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("service", ["compute", "consensus", "gateway", "keymanager"])
@pytest.mark.parametrize("trace", ["", "file"])
def test_opentelemetry_is_loaded_by_who_sends_to_a_collector_alone(tmp_path, service, trace):
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(service=service)],
        cwd=code_root(),
        env=environment(tmp_path, trace),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []
