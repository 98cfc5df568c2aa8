"""Spans, as a collector gets them: real OTLP over HTTP."""

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gpu_worker.contract import Timing
from gpu_worker.contract_logs import bound
from gpu_worker.contract_trace import below, go_on, tracing
from infra import spans
from infra.otlp import exporting
from infra.settings import SettingsInvalid

TRACE, CAUSE, JOB = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "b7ad6b7169203331"
GIVEN = f"00-{TRACE}-{CAUSE}-01"
SECOND_NS = 10**9


class Collector:
    """What came."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[ExportTraceServiceRequest] = []
        self.paths: list[str] = []

    @property
    def spans(self) -> dict[str, Span]:
        """Every span by its name."""
        scopes = [
            scope
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
        ]
        return {span.name: span for scope in scopes for span in scope.spans}

    @property
    def service(self) -> str:
        """Who sent them."""
        (resource,) = self.requests[0].resource_spans
        named = {each.key: each.value.string_value for each in resource.resource.attributes}
        return named["service.name"]


@pytest.fixture
def collector() -> Iterator[Collector]:
    """One that listens."""
    kept = Collector("")

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.headers.get("content-encoding") is None
            kept.paths.append(self.path)
            kept.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests need no access log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    kept.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield kept
    server.shutdown()
    server.server_close()
    thread.join()


def test_spans_reach_a_collector_under_the_ids_that_logs_have(collector: Collector) -> None:
    with exporting(collector.url, "serve"):
        with tracing(below(GIVEN)) as request, bound(media_id="m-1", other="not told"):
            spans.record("GET /x", spans.Kind.SERVER, 5, {"http.route": "/x"}, failed=False)
            spans.call("RunPod run", 6, failed=True)
        with tracing(below(None)):
            spans.of_item("sealer step", 7, failed=False)
            go_on(GIVEN)
            spans.of_item("dispatcher step", 8, failed=False)
    found = collector.spans
    assert collector.paths == ["/v1/traces"]
    assert collector.service == "codex-media-serve"
    assert found.keys() == {"GET /x", "RunPod run", "dispatcher step"}
    assert {span.trace_id.hex() for span in found.values()} == {TRACE}
    served, called = found["GET /x"], found["RunPod run"]
    assert (served.span_id.hex(), served.parent_span_id.hex()) == (request.span_id, CAUSE)
    assert called.parent_span_id == served.span_id
    assert (served.kind, called.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    assert (served.status.code, called.status.code) == (0, 2)
    assert served.start_time_unix_nano == 5
    told = {each.key: each.value.string_value for each in served.attributes}
    assert told == {"media_id": "m-1", "http.route": "/x"}


def test_a_job_s_stages_lie_one_after_the_other_within_it(collector: Collector) -> None:
    timing = Timing(
        stage_seconds={"download": 1.0, "encode": 3.0},
        caused_by=GIVEN,
        traceparent=f"00-{TRACE}-{JOB}-01",
    )
    with exporting(collector.url, "serve"):
        spans.job(timing, 10 * SECOND_NS, failed=False)
        spans.job(Timing(stage_seconds={}, traceparent="nonsense"), 0, failed=False)
    found = collector.spans
    assert (found["job"].span_id.hex(), found["job"].parent_span_id.hex()) == (JOB, CAUSE)
    times = {
        name: (span.start_time_unix_nano / SECOND_NS, span.end_time_unix_nano / SECOND_NS)
        for name, span in found.items()
    }
    assert times == {"job": (6, 10), "download": (6, 7), "encode": (7, 10)}
    assert {found[name].parent_span_id.hex() for name in ("download", "encode")} == {JOB}


def test_what_is_not_sampled_is_not_sent(collector: Collector) -> None:
    with exporting(collector.url, "work"), tracing(below(f"00-{TRACE}-{CAUSE}-00")):
        spans.record("GET /x", spans.Kind.SERVER, 1, failed=False)
    assert not collector.requests


def test_nobody_collects_unless_told_to() -> None:
    with exporting(None, "serve"):
        assert not spans.wanted()


def test_an_endpoint_without_the_extra_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "infra.otlp_sink", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    with (
        pytest.raises(SettingsInvalid, match=r"requirements/otel\.txt"),
        exporting("http://collector:4318", "serve"),
    ):
        pytest.fail("it began without")
    assert not spans.wanted()
