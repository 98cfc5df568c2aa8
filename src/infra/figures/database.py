"""Figures of the whole service, from one query: every process of `serve` shows the same."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from infra.figures.figure import PREFIX, Figure
from infra.postgres.pool import Pool
from infra.postgres.queries import sql

SEPARATOR = "/"
"""Between the labels of a figure that has several."""
FIGURES: tuple[Figure, ...] = (
    Figure(
        "items_pending",
        ("status",),
        "Items that are not ready and not failed.",
        "grows all the time",
    ),
    Figure(
        "items_pending_oldest_seconds",
        ("status",),
        "Since the pending item that was touched longest ago was touched.",
        "`transcoding` over an hour, where films are short",
    ),
    Figure(
        "items_overdue",
        (),
        "Items whose deadline passed more than a minute ago.",
        "above 0: the sweeper does not run, or the bucket does not answer it",
    ),
    Figure("outbox_waiting", (), "Attempts that need a job.", "grows: RunPod takes none"),
    Figure(
        "outbox_oldest_seconds",
        (),
        "Since the oldest of them was asked for.",
        "over 5 minutes: see `last_error` in `outbox`",
    ),
    Figure("jobs_watched", (), "Jobs whose end is not known yet.", "far above the workers' number"),
    Figure(
        "inbox_waiting", (), "Messages about jobs without a verdict.", "stays above 0 for minutes"
    ),
    Figure(
        "inbox_quarantined",
        (),
        "Messages of the last day that fit no attempt, or that nobody could handle.",
        "above 0: another deployment's jobs, or a restored backup",
    ),
    Figure(
        "breaker_tripped",
        ("name",),
        "1 while dispatch is paused for it.",
        "above 0: mend what it names; nothing is lost meanwhile",
    ),
    Figure(
        "erasures_waiting",
        (),
        "Erased items whose objects are still being looked for.",
        "grows all the time: no `codex-media work` runs",
    ),
    Figure(
        "erasures_failing",
        (),
        "Those of them whose last look failed.",
        "above 0 for minutes: see `last_error` in `erasures`; the key may not delete or list",
    ),
    Figure(
        "ledger_unsealed",
        (),
        "Events without their place in the ledger.",
        "grows: no sealer runs, or it cannot",
    ),
    Figure(
        "checkpoint_age_seconds",
        (),
        "Since the newest checkpoint was signed, while events wait for one; else 0.",
        "over a minute: no sealer runs, or `LEDGER_KEY` is wrong",
    ),
    Figure(
        "projection_mismatches",
        (),
        "Rows that the kept checks (the last 1,000) found other than their events.",
        "above 0: somebody changed the database: [history.md](history.md)",
    ),
    Figure(
        "projection_check_age_seconds",
        (),
        "Since the checker's last turn.",
        "over a minute: no `codex-media work` runs",
    ),
    Figure(
        "attempts_total",
        ("outcome", "reason"),
        "Attempts that ended, `ready` or `failed`, by their error's code.",
        "`failed` above a twentieth: docs/errors.md says what each code means",
    ),
    Figure(
        "gpu_seconds_total",
        ("tier", "outcome"),
        "Seconds that attempts held a machine; of failed ones from start to end.",
        "`failed` is a large part: machines are paid for nothing",
    ),
    Figure(
        "gpu_cost_total",
        ("tier",),
        "The same at `GPU_SECOND_PRICE`, as it was when each attempt ended.",
        "faster than planned",
    ),
    Figure(
        "tally_waiting",
        (),
        "Sealed events that those sums do not have yet.",
        "grows: no `codex-media work` runs",
    ),
)
TOTAL = "_total"
"""Ends the names of what only grows: Prometheus's rule for counters."""


class Measured(NamedTuple):
    """One sample; `label` is empty for figures without one."""

    name: str
    label: str
    value: float


class Samples(Collector):
    """What was measured, as Prometheus's client takes it."""

    def __init__(self, samples: Iterable[Measured]) -> None:
        self._samples = tuple(samples)

    def collect(self) -> Iterator[Metric]:
        """A family for each figure, with or without samples."""
        for figure in FIGURES:
            kind = CounterMetricFamily if figure.name.endswith(TOTAL) else GaugeMetricFamily
            family = kind(PREFIX + figure.name, figure.meaning, labels=figure.labels)
            for sample in self._samples:
                if sample.name == figure.name:
                    family.add_metric(_labels(figure, sample), sample.value)
            yield family


def _labels(figure: Figure, sample: Measured) -> list[str]:
    return sample.label.split(SEPARATOR) if figure.labels else []


async def measure(pool: Pool) -> list[Measured]:
    """Every figure as it is now, from one statement."""
    return [Measured(*row) for row in await pool.fetch(sql("figures"))]
