"""Whether a vulnerability is known of a package that is locked: `python -m tests.advisories`.

0: none is. 1: some are, and which. 75 (EX_TEMPFAIL): nobody could be asked, which is said and does
not count as passed. A service that is not there looks like one that knows of nothing: it is first
asked about a flaw that there is.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = ("api", "worker")
"""What is installed in production."""
LIMIT_S = 120
ANSWER_LIMIT_S = 5
NOBODY_ASKED = 75
KNOWN_FLAW = "idna==3.6"
"""CVE-2024-3651."""


class NobodyAsked(Exception):
    """The advisory service did not answer."""


def asked(lock: Path, report: Path) -> dict[str, Any]:
    """What pip-audit says of `lock`."""
    argv = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--disable-pip"]
    argv += ["--no-deps"]  # A lock names all of them.
    argv += ["--progress-spinner", "off", "--timeout", str(ANSWER_LIMIT_S)]
    argv += ["--format", "json", "--output", str(report)]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=os.environ
        )
        found: dict[str, Any] = json.loads(report.read_text("utf-8"))
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        told = error if isinstance(error, subprocess.TimeoutExpired) else last_line(done.stderr)
        raise NobodyAsked(str(told)) from None
    return found


def last_line(text: str) -> str:
    """The line of a failed command that says most."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def vulnerable(found: dict[str, Any]) -> Iterator[str]:
    """A line for each vulnerability: package, version, which, and where it is mended."""
    for package in found["dependencies"]:
        for each in package.get("vulns", []):
            mended = ", ".join(each["fix_versions"]) or "no version yet"
            yield f"{package['name']} {package['version']}: {each['id']}, mended in {mended}"


def all_known(folder: Path) -> set[str]:
    """What is known of every locked package. `NobodyAsked` where it cannot be told of one."""
    flawed = folder / "flawed.txt"
    flawed.write_text(f"{KNOWN_FLAW}\n")
    if not set(vulnerable(asked(flawed, folder / "flawed.json"))):
        raise NobodyAsked(f"it does not know the flaw of {KNOWN_FLAW}")
    lines: set[str] = set()
    for name in LOCKS:
        found = asked(ROOT / "requirements" / f"{name}.txt", folder / f"{name}.json")
        if unknown := [each["name"] for each in found["dependencies"] if "skip_reason" in each]:
            raise NobodyAsked(f"it does not know {', '.join(unknown)}")
        lines |= set(vulnerable(found))
    return lines


def main() -> int:
    """Ask, and say what was found."""
    try:
        with TemporaryDirectory() as folder:
            lines = all_known(Path(folder))
    except NobodyAsked as reason:
        print(f"DID NOT RUN: no advisory service can be asked: {reason}")
        return NOBODY_ASKED
    print("\n".join(sorted(lines)) or "no known vulnerability")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
