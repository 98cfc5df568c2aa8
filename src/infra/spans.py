"""Spans of the traces that `gpu_worker.contract_trace` names, for whoever collects them.

Each is recorded when it is over, under the ids that logs, events and jobs have already. Without a
collector nothing is kept, and the question whether there is one is all that this costs.
"""

import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

from gpu_worker.contract import Timing
from gpu_worker.contract_logs import fields
from gpu_worker.contract_trace import Trace, below, current, parse

Attributes = Mapping[str, str | int | float]
ABOUT = ("request_id", "media_id", "attempt", "job_id", "loop", "worker")
"""What of a log line's fields a span has, too."""


class Kind(StrEnum):
    """What a span is to its trace, in OpenTelemetry's words."""

    SERVER = "server"
    CLIENT = "client"
    INTERNAL = "internal"


class Span(NamedTuple):
    """Something that was done, from when to when (Unix time in nanoseconds)."""

    name: str
    trace: Trace
    kind: Kind
    began_ns: int
    ended_ns: int
    attributes: Attributes
    failed: bool


Sink = Callable[[Span], None]
_sinks: list[Sink] = []


def collect(sink: Sink) -> Callable[[], None]:
    """Hand every span to `sink`, until the function is called that this returns."""
    _sinks.append(sink)
    return lambda: _sinks.remove(sink)


def wanted() -> bool:
    """Whether anybody collects them."""
    return bool(_sinks)


def record(
    name: str, kind: Kind, began_ns: int, attributes: Attributes | None = None, *, failed: bool
) -> None:
    """The work at hand is over, which began at `began_ns`."""
    if (trace := current()) is not None:
        _hand_out(name, trace, kind, (began_ns, time.time_ns()), attributes or {}, failed=failed)


def of_item(name: str, began_ns: int, *, failed: bool) -> None:
    """A step is over. One that was about no item is nothing to look at."""
    if wanted() and (trace := current()) is not None and trace.parent_id:
        record(name, Kind.INTERNAL, began_ns, failed=failed)


def call(name: str, began_ns: int, *, failed: bool) -> None:
    """A call to somebody else is over."""
    if wanted() and (trace := current()) is not None:
        times = (began_ns, time.time_ns())
        _hand_out(name, below(trace.traceparent), Kind.CLIENT, times, {}, failed=failed)


def job(timing: Timing, ended_ns: int, *, failed: bool) -> None:
    """A worker's job ended at `ended_ns`: its span and those of its stages, one after the other.

    The worker itself reaches no collector. Its clock may be wrong, so only what it says of
    durations is taken.
    """
    own, cause = parse(timing.traceparent), parse(timing.caused_by)
    if not wanted() or own is None:
        return
    whole_ns = int(sum(timing.stage_seconds.values()) * 1e9)
    began_ns = ended_ns - whole_ns
    trace = own._replace(parent_id=cause.span_id if cause else "")
    _hand_out("job", trace, Kind.SERVER, (began_ns, ended_ns), {}, failed=failed)
    for stage, took_s in timing.stage_seconds.items():
        until_ns = began_ns + int(took_s * 1e9)
        stage_trace = below(own.traceparent)
        _hand_out(stage, stage_trace, Kind.INTERNAL, (began_ns, until_ns), {}, failed=False)
        began_ns = until_ns


def _hand_out(
    name: str,
    trace: Trace,
    kind: Kind,
    times: tuple[int, int],
    attributes: Attributes,
    *,
    failed: bool,
) -> None:
    known = fields()
    about = {each: str(known[each]) for each in ABOUT if each in known}
    span = Span(name, trace, kind, *times, {**about, **attributes}, failed)
    for sink in _sinks:
        sink(span)
