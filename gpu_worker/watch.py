"""Looks after a child for what no kernel limit bounds: memory of its whole tree, bytes in a folder.

Ten times a second. RLIMIT_DATA bounds what one process takes in between.
"""

import asyncio
import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

POLL_S = 0.1
POLLS_A_SIZE = 5
"""Summing up a folder of thousands of segments takes milliseconds."""


class Excess(Enum):
    """What there was too much of."""

    MEMORY = "memory"
    OUTPUT = "output"


@dataclass(frozen=True)
class Bounds:
    """In bytes; None for no bound. `folder` is where the output counts."""

    memory: int | None
    output: int | None
    folder: Path


async def excess(pid: int, bounds: Bounds) -> Excess:
    """Return once the process `pid` is beyond its bounds; never, while it is not."""
    polls = 0
    while True:
        if bounds.memory is not None and resident_bytes(pid) > bounds.memory:
            return Excess.MEMORY
        if polls % POLLS_A_SIZE == 0 and await asyncio.to_thread(is_full, bounds):
            return Excess.OUTPUT
        polls += 1
        await asyncio.sleep(POLL_S)


def is_full(bounds: Bounds) -> bool:
    """Whether the folder holds more than it may."""
    return bounds.output is not None and _size(bounds.folder) > bounds.output


def resident_bytes(pid: int) -> int:
    """Memory of a process and of those it started, on Linux; 0 elsewhere, and of one that ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(resident_bytes, map(int, children)))


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).lstat().st_size
            except FileNotFoundError:  # renamed meanwhile, under its last name
                continue
    return total
