"""Spans to a collector, by OpenTelemetry's exporter (OTLP over HTTP): the extra `otel`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from infra import spans
from infra.settings import SettingsInvalid

MISSING = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed. Install what"
    " requirements/otel.txt names (or `codex-media[otel]`), or leave the variable out."
)
FLUSH_MS = 3_000
"""For what is not sent yet when the process ends."""


@contextmanager
def exporting(endpoint: str | None, part: str) -> Iterator[Callable[[], object]]:
    """Send the spans of `part` to the collector at `endpoint`; nothing without one.

    Gives what sends those that wait. `SettingsInvalid` where the extra is missing. A collector that
    is away costs its spans alone.
    """
    if endpoint is None:
        yield _nothing
        return
    try:
        from infra.otlp_sink import open_sink  # noqa: PLC0415 - an extra, which most do without
    except ImportError as error:
        raise SettingsInvalid(MISSING) from error
    sink, flush, close = open_sink(
        f"{endpoint.rstrip('/')}/v1/traces", part, version("codex-media")
    )
    stop = spans.collect(sink)
    try:
        yield lambda: flush(FLUSH_MS)
    finally:
        stop()
        flush(FLUSH_MS)
        close()


def _nothing() -> None:
    """None wait."""
