"""RunPod's SDK, imported without what its import does that nobody here has a use for.

It asks for the processor's name, for a decorator that debugs, and starts a process to do so: each
cold start, on a machine that is paid by the second, would wait for it.
"""

import importlib
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Processor = Callable[[], dict[str, str]]


@contextmanager
def _processor_unasked() -> Iterator[None]:
    try:
        cpuinfo: Any = importlib.import_module("cpuinfo")
    except ImportError:  # A newer SDK may do without.
        yield
        return
    asked: Processor = cpuinfo.get_cpu_info
    cpuinfo.get_cpu_info = lambda: {"brand_raw": platform.machine()}
    try:
        yield
    finally:
        cpuinfo.get_cpu_info = asked


with _processor_unasked():
    serverless: Any = importlib.import_module("runpod").serverless
"""`runpod.serverless`, which has no types."""
