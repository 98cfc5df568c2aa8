"""`test`: everything that must hold before a change lands, in the order of how fast it tells."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from api.cli import output

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 20 * 60
"""Of one step; on a busy machine the tests need most of it."""


def steps(pytest_args: list[str]) -> list[tuple[str, list[str]]]:
    """What is run, by name."""
    module = [sys.executable, "-m"]
    scripts = Path(sys.executable).parent
    return [
        ("lint", [*module, "ruff", "check", "."]),
        ("format", [*module, "ruff", "format", "--check", "."]),
        ("import contracts", [str(scripts / "lint-imports")]),
        ("types", [*module, "mypy"]),
        ("tests", [*module, "pytest", "-n", "2", *pytest_args]),
    ]


def run_checks(pytest_args: list[str]) -> int:
    """Run every step; 0 when all pass, else the exit code of the first that failed."""
    if shutil.which("ruff", path=str(Path(sys.executable).parent)) is None:
        output.err.print("The `dev` packages are not installed: run ./codex-media test.")
        return 2
    failed = 0
    for name, argv in steps(pytest_args):
        output.err.print(f"[bold]{name}[/]")
        started = time.monotonic()
        code = subprocess.run(argv, cwd=ROOT, timeout=TIMEOUT_S, check=False).returncode
        took_s = time.monotonic() - started
        output.err.print(f"{name}: {'passed' if code == 0 else 'FAILED'} in {took_s:.1f} s")
        failed = failed or code
    return failed
