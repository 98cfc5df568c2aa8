"""Our spans as OpenTelemetry's. Importing this needs the extra `otel`."""

from collections.abc import Callable
from typing import NamedTuple

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from infra.spans import Kind, Sink, Span

TIMEOUT_S = 5
KINDS = {
    Kind.SERVER: SpanKind.SERVER,
    Kind.CLIENT: SpanKind.CLIENT,
    Kind.INTERNAL: SpanKind.INTERNAL,
}
SCOPE = InstrumentationScope("codex-media")


class Opened(NamedTuple):
    """What takes spans, what sends those that wait (within so many milliseconds), what ends it."""

    sink: Sink
    flush: Callable[[int], object]
    close: Callable[[], None]


def open_sink(url: str, part: str, version: str) -> Opened:
    """Send spans to `url`, in batches and in a thread of its own.

    The ids are ours, so that a trace has the name that the logs call it by: the spans are made
    here, and OpenTelemetry's own tracer, which would choose others, is left out.
    """
    resource = Resource.create({SERVICE_NAME: f"codex-media-{part}", SERVICE_VERSION: version})
    processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=TIMEOUT_S))

    def sink(span: Span) -> None:
        processor.on_end(_readable(span, resource))

    return Opened(sink, processor.force_flush, processor.shutdown)


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    trace = span.trace
    parent = _context(trace.trace_id, trace.parent_id, trace.sampled) if trace.parent_id else None
    return ReadableSpan(
        name=span.name,
        context=_context(trace.trace_id, trace.span_id, trace.sampled),
        parent=parent,
        resource=resource,
        attributes=dict(span.attributes),
        kind=KINDS[span.kind],
        status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
        start_time=span.began_ns,
        end_time=span.ended_ns,
        instrumentation_scope=SCOPE,
    )


def _context(trace_id: str, span_id: str, sampled: bool) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=flags)
