"""What a program costs: seconds of CPU, its children's included, and seconds by the clock."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Cost(NamedTuple):
    """Of one or more programs that ran one after the other."""

    cpu_s: float
    wall_s: float

    def plus(self, other: "Cost") -> "Cost":
        """Of both."""
        return Cost(self.cpu_s + other.cpu_s, self.wall_s + other.wall_s)


FREE = Cost(0.0, 0.0)


def run(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Cost:
    """Run a program to its end. Raises CalledProcessError when it fails."""
    started = time.monotonic()
    child = subprocess.Popen(argv, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, argv)
    return Cost(used.ru_utime + used.ru_stime, time.monotonic() - started)
