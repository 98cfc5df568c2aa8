"""What one process counts since it began. Each of `serve` and `work` is scraped by itself."""

import logging
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from typing import TypeVar, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from domain.ports import Channel
from gpu_worker.contract import Stage
from infra.figures.figure import PREFIX, Figure

REGISTRY = CollectorRegistry()
COUNTS: list[Figure] = []
"""What is counted, as the documents show it."""
QUICK_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
CALL_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
STAGE_S = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
OTHER = "other"
CLIENT_LEFT = 499
"""Not of HTTP: nothing was answered, because nobody waited for it any more."""

Kind = TypeVar("Kind", Counter, Gauge)

disable_created_metrics()  # type: ignore[no-untyped-call]


def _kept(kind: type[Kind], name: str, labels: tuple[str, ...], meaning: str, trouble: str) -> Kind:
    COUNTS.append(Figure(name, labels, meaning, trouble))
    return kind(PREFIX + name, meaning, labels, registry=REGISTRY)


def _timed(
    name: str, labels: tuple[str, ...], buckets: tuple[float, ...], meaning: str, trouble: str
) -> Histogram:
    COUNTS.append(Figure(name, labels, meaning, trouble))
    return Histogram(PREFIX + name, meaning, labels, buckets=buckets, registry=REGISTRY)


_REQUESTS = _timed(
    "request_seconds",
    ("method", "route", "status"),
    QUICK_S,
    "Requests, from their coming to the first byte of their answer (a histogram). `status` is a"
    " class, such as `2xx`; `left`: the client did not wait.",
    "`5xx` above a hundredth; the 99th percentile of a route above a second",
)
_WEBHOOKS = _kept(
    Counter,
    "webhooks_total",
    ("channel", "verdict"),
    "Messages about jobs, by what came of them. `refused`: signature or token did not verify.",
    "`worker` and `refused` while files are worked on: a worker has another `WEBHOOK_SECRET`",
)
_RUNPOD = _timed(
    "runpod_call_seconds",
    ("call", "result"),
    CALL_S,
    "Calls of RunPod's API (a histogram).",
    "other results than `ok` and `not_found`: docs.runpod.io, or the key",
)
_STAGES = _timed(
    "stage_seconds",
    ("media_type", "stage"),
    STAGE_S,
    "Stages of finished jobs as their workers measured them (a histogram).",
    "`download` or `upload` grow: the bucket, or the machines' network",
)
_STEPS = _kept(
    Counter,
    "loop_steps_total",
    ("loop", "outcome"),
    "Steps of the loops of `work`: `worked`, `idle` (nothing to do) or `failed`.",
    "`failed` grows: its log says why. No steps at all: no `work` runs",
)
_VIOLATIONS = _kept(
    Counter,
    "invariant_violations_total",
    ("invariant",),
    "What must never be, as code found it.",
    "above 0: keep logs and database, and find out",
)
_LOGGED = _kept(
    Counter,
    "log_lines_total",
    ("level", "logger"),
    "Lines logged at WARNING or above.",
    "`ERROR` grows: read them",
)
STREAMS_OPEN = _kept(
    Gauge, "streams_open", (), "Event streams of this process.", "near `STREAMS_PER_PROCESS`"
)
"""Event streams of this process."""
STREAMS_DROPPED = _kept(
    Counter,
    "streams_dropped_total",
    ("reason",),
    "Event streams that were ended or refused.",
    "`slow` grows: clients do not read; `full` or `many` grow: raise the limits of streams",
)
"""Event streams ended (`slow`) or refused (`many` of a creator, `full`) by this process."""
RATE_LIMITED = _kept(
    Counter,
    "rate_limited_total",
    ("pace",),
    "Requests that were answered 429.",
    "`webhooks` above 0: raise `RATE_WEBHOOKS`; others grow: a flood, or too low a limit",
)
"""Requests answered 429 by this process, by what was counted."""
RATE_STORE_FAILED = _kept(
    Counter,
    "rate_store_failures_total",
    (),
    "Times `RATE_LIMIT_STORE` did not answer.",
    "grows: each process counts for itself, so callers may ask oftener",
)
"""Times the store of rates did not answer this process."""


class Invariant(StrEnum):
    """What must never be, and is looked for."""

    PROJECTION = "projection"
    """A row is what its events make."""
    APPEND = "append"
    """What `decide` lets happen, the database lets happen."""
    LEDGER = "ledger"
    """The ledger never gets shorter."""
    OWN_KEYS = "own_keys"
    """A worker names no other item's outputs."""


for _each in Invariant:
    _VIOLATIONS.labels(_each.value)

VERDICTS = frozenset(
    {
        *("refused", "repeated", "accepted", "quarantined", "stale", "mismatch", "asking"),
        *("noted", "empty", "enough", "transcoding", "ready", "failed", "uploaded"),
    }
)
RUNPOD_CALLS = frozenset({"run", "status", "cancel", "health"})
STAGES = frozenset(get_args(Stage))


@cache
def _observe_request(method: str, route: str, status: int) -> Callable[[float], None]:
    kind = "left" if status == CLIENT_LEFT else f"{status // 100}xx"
    return _REQUESTS.labels(method, route, kind).observe


def request_answered(method: str, route: str, status: int, seconds: float) -> None:
    """A request was answered after so long. `route` is a template, `method` one we know."""
    _observe_request(method, route, status)(seconds)


def webhook_settled(channel: Channel, verdict: str) -> None:
    """A message came to a verdict."""
    _WEBHOOKS.labels(channel.value, verdict if verdict in VERDICTS else OTHER).inc()


def runpod_called(call: str, result: str, seconds: float) -> None:
    """A call of RunPod's API ended so."""
    _RUNPOD.labels(call if call in RUNPOD_CALLS else OTHER, result).observe(seconds)


def stages_took(media_type: str, seconds: Mapping[str, float]) -> None:
    """A job is done; so many seconds each of its stages took."""
    for stage, took_s in seconds.items():
        if stage in STAGES:
            _STAGES.labels(media_type, stage).observe(took_s)


def loop_stepped(loop: str, outcome: str) -> None:
    """A loop made a step: `worked`, `idle` or `failed`."""
    _STEPS.labels(loop, outcome).inc()


def violated(invariant: Invariant | str, times: int = 1) -> None:
    """Something is as it must never be."""
    _VIOLATIONS.labels(Invariant(invariant).value).inc(times)


class LineCounter(logging.Handler):
    """Counts lines at WARNING or above, by who logs them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Count one. Of others' loggers only the first word is told."""
        first = record.name.partition(".")[0]
        name = record.name if first in {"api", "infra", "domain"} else first
        _LOGGED.labels(record.levelname, name).inc()
