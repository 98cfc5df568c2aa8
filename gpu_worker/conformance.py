"""Holds a finished output against the rules of HLS before anybody plays it.

Reads every playlist with the m3u8 library and every segment once. The report is stored with the
item, as `conformance.json`.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from gpu_worker.contract import CONFORMANCE_NAME, WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.produced import NotPlayable, Output, load
from gpu_worker.rules import RFC, RULES

MOST_DETAILS = 3
NOT_PLAYABLE = "The converted file did not pass our playback checks; a retry may help."
READABLE_ID = "rfc8216-4.1"
READABLE = "all playlists and segments that are named are there and readable"


@dataclass(frozen=True)
class Result:
    """One rule, and whether the output keeps it; `detail` says what breaks it."""

    id: str
    source: str
    rule: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True)
class Report:
    """Every rule that applies to an output."""

    results: tuple[Result, ...]

    @property
    def broken(self) -> tuple[Result, ...]:
        """The rules that it breaks."""
        return tuple(result for result in self.results if not result.passed)

    def to_json(self) -> str:
        """As it is stored."""
        document = {
            "schemaVersion": 1,
            "passed": not self.broken,
            "rules": [asdict(result) for result in self.results],
        }
        return json.dumps(document, indent=1)


def check(folder: Path) -> None:
    """Inspect the output in `folder` and write the report there.

    Raises `output_invalid`, which names every broken rule to operators.
    """
    report = inspect(folder)
    (folder / CONFORMANCE_NAME).write_text(report.to_json())
    if report.broken:
        raise JobFailed(
            WorkerErrorCode.OUTPUT_INVALID,
            NOT_PLAYABLE,
            "\n".join(f"{result.id}: {result.detail}" for result in report.broken),
        )


def inspect(folder: Path) -> Report:
    """What the output in `folder` keeps and breaks."""
    try:
        output = load(folder)
    except NotPlayable as reason:
        return Report((Result(READABLE_ID, RFC, READABLE, passed=False, detail=str(reason)),))
    return Report((Result(READABLE_ID, RFC, READABLE, passed=True), *_results(output)))


def _results(output: Output) -> Iterator[Result]:
    for rule in RULES:
        if output.pictures or not rule.video_only:
            problems = list(islice(rule.check(output), MOST_DETAILS))
            yield Result(rule.id, rule.source, rule.says, not problems, "; ".join(problems))
