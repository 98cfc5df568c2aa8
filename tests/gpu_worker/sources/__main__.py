"""Print what is measured on every source: `python -m tests.gpu_worker.sources [NAME…]`.

FFMPEG and FFPROBE name other programs to convert with. Exit code 1 where anything is not as the
table says.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import find_tools
from tests.gpu_worker.sources.judge import ENVIRON, Verdict, judge
from tests.gpu_worker.sources.table import SOURCES

TOOLS = ("FFMPEG", "FFPROBE")


def main(names: list[str]) -> int:
    """Judge the named sources, or all."""
    tools, started = find_tools(EncodeSettings()), time.monotonic()
    chosen_tools = {name: os.environ[name] for name in TOOLS if name in os.environ}
    chosen = [source for source in SOURCES if not names or source.name in names]
    _say(f"{'source':38} {'came out as':26} {'ΔE':>5} {'px':>4} {'sync':>6} {'length':>7}")
    failed = 0
    for source in chosen:
        with tempfile.TemporaryDirectory() as folder:
            verdict = judge(source, Path(folder), tools, {**ENVIRON, **chosen_tools})
        failed += bool(verdict.findings)
        _say(f"{source.name:38} {_row(verdict)}")
        for finding in verdict.findings:
            _say(f"    {finding}")
    _say(f"{len(chosen)} sources, {failed} wrong, {time.monotonic() - started:.0f} s")
    return min(failed, 1)


def _row(verdict: Verdict) -> str:
    figures = (
        _figure(verdict.delta_e, "5.1f"),
        _figure(verdict.square_pixels, "4.1f"),
        _figure(verdict.sync_ms, "4.0f", "ms"),
        _figure(verdict.length_error_ms, "5.0f", "ms"),
    )
    return f"{verdict.came:26} {' '.join(figures)}"


def _figure(value: float | None, form: str, unit: str = "") -> str:
    width = int(form.split(".", maxsplit=1)[0]) + len(unit)
    return " " * width if value is None else f"{value:{form}}{unit}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
