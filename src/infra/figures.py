"""What the service knows of itself, for Prometheus: gauges of one query, counts of a process."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from infra.postgres.pool import Pool
from infra.postgres.queries import sql


class Figure(NamedTuple):
    """A metric: its name without the prefix, its label if it has one, and what betrays trouble."""

    name: str
    label: str
    meaning: str
    trouble: str


PREFIX = "codex_media_"
FIGURES = (
    Figure(
        "items_pending", "status", "Items that are not ready and not failed.", "grows all the time"
    ),
    Figure(
        "items_pending_oldest_seconds",
        "status",
        "Since the pending item that was touched longest ago was touched.",
        "`transcoding` over an hour, where films are short",
    ),
    Figure(
        "items_overdue",
        "",
        "Items whose deadline passed more than a minute ago.",
        "above 0: the sweeper does not run, or the bucket does not answer it",
    ),
    Figure("outbox_waiting", "", "Attempts that need a job.", "grows: RunPod takes none"),
    Figure(
        "outbox_oldest_seconds",
        "",
        "Since the oldest of them was asked for.",
        "over 5 minutes: see `last_error` in `outbox`",
    ),
    Figure("jobs_watched", "", "Jobs whose end is not known yet.", "far above the workers' number"),
    Figure(
        "inbox_waiting", "", "Messages about jobs without a verdict.", "stays above 0 for minutes"
    ),
    Figure(
        "inbox_quarantined",
        "",
        "Messages of the last day that fit no attempt, or that nobody could handle.",
        "above 0: another deployment's jobs, or a restored backup",
    ),
    Figure(
        "breaker_tripped",
        "name",
        "1 while dispatch is paused for it.",
        "above 0: mend what it names; nothing is lost meanwhile",
    ),
    Figure(
        "erasures_waiting",
        "",
        "Erased items whose objects are still being looked for.",
        "grows all the time: no `codex-media work` runs",
    ),
    Figure(
        "erasures_failing",
        "",
        "Those of them whose last look failed.",
        "above 0 for minutes: see `last_error` in `erasures`; the key may not delete or list",
    ),
    Figure(
        "ledger_unsealed",
        "",
        "Events without their place in the ledger.",
        "grows: no sealer runs, or it cannot",
    ),
    Figure(
        "checkpoint_age_seconds",
        "",
        "Since the newest checkpoint was signed, while events wait for one; else 0.",
        "over a minute: no sealer runs, or `LEDGER_KEY` is wrong",
    ),
    Figure(
        "projection_mismatches",
        "",
        "Rows that the kept checks (the last 1,000) found other than their events.",
        "above 0: somebody changed the database: [history.md](history.md)",
    ),
    Figure(
        "projection_check_age_seconds",
        "",
        "Since the checker's last turn.",
        "over a minute: no `codex-media work` runs",
    ),
)
COUNTS = (
    Figure(
        "webhooks_refused_total",
        "channel",
        "Webhooks whose signature or token did not verify, since this process began.",
        "`worker` grows while files are worked on: a worker has another `WEBHOOK_SECRET`",
    ),
    Figure(
        "streams_open", "", "Event streams of this process.", "near `STREAMS_PER_PROCESS`: add one"
    ),
    Figure(
        "streams_dropped_total",
        "reason",
        "Event streams that were ended or refused, since this process began.",
        "`slow` grows: clients do not read; `full` or `many` grow: raise the limits of streams",
    ),
)

disable_created_metrics()  # type: ignore[no-untyped-call]
_counts = CollectorRegistry()
_refused, _open, _dropped = COUNTS
REFUSED = Counter(PREFIX + _refused.name, _refused.meaning, [_refused.label], registry=_counts)
"""Webhooks refused by this process, by channel."""
STREAMS_OPEN = Gauge(PREFIX + _open.name, _open.meaning, registry=_counts)
"""Event streams of this process."""
STREAMS_DROPPED = Counter(
    PREFIX + _dropped.name, _dropped.meaning, [_dropped.label], registry=_counts
)
"""Event streams ended (`slow`) or refused (`many` of a creator, `full`) by this process."""


class Measured(NamedTuple):
    """One sample; `label` is empty for figures without one."""

    name: str
    label: str
    value: float


class _Samples(Collector):
    def __init__(self, samples: Iterable[Measured]) -> None:
        self._samples = tuple(samples)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for figure in FIGURES:
            labels = [figure.label] if figure.label else []
            family = GaugeMetricFamily(PREFIX + figure.name, figure.meaning, labels=labels)
            for sample in self._samples:
                if sample.name == figure.name:
                    family.add_metric([sample.label] if labels else [], sample.value)
            yield family


async def measure(pool: Pool) -> list[Measured]:
    """Every figure as it is now, from one statement."""
    return [Measured(*row) for row in await pool.fetch(sql("figures"))]


def exposition(samples: Iterable[Measured]) -> bytes:
    """`samples`, and this process's counts, in Prometheus's text format.

    Source: prometheus.io, "Exposition formats", 0.0.4.
    """
    registry = CollectorRegistry()
    registry.register(_Samples(samples))
    return generate_latest(registry) + generate_latest(_counts)
