"""`test`: everything that must hold before a change lands, in the order of how fast it tells."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from api.cli import output

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 25 * 60
"""Of one step. The tests need 12 to 13 minutes on two cores; a busy machine passes them late rather
than never, and no single test may take more than its own limit (pyproject.toml)."""
STOP_S = 10
"""After a polite signal."""
TIMED_OUT = 124
"""As the exit code of a step that was stopped, like that of timeout(1)."""
NOT_RUN = 75
"""EX_TEMPFAIL: the step could not do its work, through no fault of ours. It is said, and fails
nothing."""
WORKERS = str((os.cpu_count() or 1) + 1)
"""Processes that run tests: they wait, for ffmpeg, for deadlines and for one another, a part of
their time. With one more, lives of the kill sweep ran into deadlines of their own."""


def steps(pytest_args: list[str]) -> list[tuple[str, list[str]]]:
    """What is run, by name."""
    module = [sys.executable, "-m"]
    scripts = Path(sys.executable).parent
    return [
        ("lint", [*module, "ruff", "check", "."]),
        ("format", [*module, "ruff", "format", "--check", "."]),
        ("import contracts", [str(scripts / "lint-imports")]),
        ("types", [*module, "mypy"]),
        ("advisories", [*module, "tests.advisories"]),
        ("tests", [*module, "pytest", "-n", WORKERS, "--dist", "worksteal", *pytest_args]),
    ]


def _run(argv: list[str]) -> int:
    """The exit code of one step; whatever ends the wait, nothing that the step started goes on."""
    step = subprocess.Popen(argv, cwd=ROOT, process_group=0)
    try:
        return step.wait(TIMEOUT_S)
    except subprocess.TimeoutExpired:
        output.err.print(f"stopped: it was not done in {TIMEOUT_S} s")
        return TIMED_OUT
    finally:
        with suppress(ProcessLookupError):
            os.killpg(step.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                step.wait(STOP_S)
            os.killpg(step.pid, signal.SIGKILL)
        step.wait(STOP_S)


def run_checks(pytest_args: list[str]) -> int:
    """Run every step; 0 when all pass, else the exit code of the first that failed."""
    if shutil.which("ruff", path=str(Path(sys.executable).parent)) is None:
        output.err.print("The `dev` packages are not installed: run ./codex-media test.")
        return 2
    failed = 0
    for name, argv in steps(pytest_args):
        output.err.print(f"[bold]{name}[/]")
        started = time.monotonic()
        code = _run(argv)
        took_s = time.monotonic() - started
        word = {0: "passed", NOT_RUN: "DID NOT RUN"}.get(code, "FAILED")
        output.err.print(f"{name}: {word} in {took_s:.1f} s")
        failed = failed or (0 if code == NOT_RUN else code)
    return failed
