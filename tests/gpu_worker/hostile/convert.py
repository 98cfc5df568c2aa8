"""Converts hostile files as the worker does, and keeps what came of each."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gpu_worker.errors import JobFailed
from gpu_worker.packager import Packager
from gpu_worker.sandbox import Sandbox
from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import EncoderChoice, Tools
from gpu_worker.watch import resident_bytes
from tests.gpu_worker.hostile.disguises import NEIGHBOUR
from tests.gpu_worker.hostile.files import MARK, Hostile

LATE_S = 1.0
"""How far past its deadline a run may end."""
POLL_S = 0.02
PROGRAMS = ("ffmpeg", "ffprobe", "bwrap")
LIMITS: dict[str, object] = {
    "x264_preset": "superfast",
    "max_wall_seconds": 10.0,
    "max_duration_seconds": 120.0,
    "max_output_bytes": 100 * 1024**2,
    "max_memory_bytes": 1024**3,
}


@dataclass
class Record:
    """What came of files: how each group ended, and everything that should not have been."""

    limits: EncodeSettings
    ends: dict[str, Counter[str]] = field(default_factory=dict)
    breaches: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    peak_bytes: int = 0
    files: int = 0

    def ended(self, file: Hostile, end: str, took_s: float) -> None:
        """Count it."""
        self.files += 1
        self.ends.setdefault(file.group, Counter())[end] += 1
        self.slowest_s = max(self.slowest_s, took_s)
        if took_s > self.limits.max_wall_seconds + LATE_S:
            self.breaches.append(f"{file.group} {file.name} took {took_s:.1f} s")

    @property
    def late(self) -> int:
        """Runs that ended long after their deadline."""
        return sum(" took " in breach for breach in self.breaches)

    def seen(self, memory: int) -> None:
        """Memory of one program."""
        self.peak_bytes = max(self.peak_bytes, memory)
        if memory > self.limits.max_memory_bytes:
            self.breaches.append(f"a program used {memory >> 20} MiB")


class Bench:
    """Rooms for jobs, each with somebody else's file beside the input."""

    def __init__(self, tools: Tools, layers: Sandbox, folder: Path, neighbour: bytes) -> None:
        limits = EncodeSettings.model_validate(LIMITS)
        layers = Sandbox(
            layers.bubblewrap, layers.seccomp, layers.landlock, limits.max_memory_bytes
        )
        tools = Tools(tools.ffmpeg, tools.ffprobe, layers)
        choice = EncoderChoice("libx264", "libx264 instead of h264_nvenc: a test")
        self._packager = Packager(tools, choice, limits)
        self._folder = folder
        self._neighbour = neighbour
        self.record = Record(limits)

    async def convert_all(self, files: Iterable[Hostile], at_once: int = 2) -> Record:
        """Convert each, `at_once` at a time."""
        todo = iter(files)

        async def work() -> None:
            for file in todo:
                await self._convert(file)

        async with watched(self.record), asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
        return self.record

    async def _convert(self, file: Hostile) -> None:
        room = self._folder / f"{file.group}-{file.name}".replace("/", "_").replace(" ", "_")
        tree = room / "tree"
        tree.mkdir(parents=True)
        (room / NEIGHBOUR).write_bytes(self._neighbour)
        (room / "input").write_bytes(file.content)
        started = time.monotonic()
        try:
            await self._packager.package(room / "input", file.wanted, tree, lambda _share: None)
        except JobFailed as failure:
            end = failure.code.value
        except Exception as surprise:  # noqa: BLE001 - told, and counted
            end = "surprise"
            self.record.breaches.append(f"{file.group} {file.name}: {surprise!r}")
        else:
            end = "transcoded"
            self._look_for_tags(file, tree)
        self.record.ended(file, end, time.monotonic() - started)

    def _look_for_tags(self, file: Hostile, tree: Path) -> None:
        for path in tree.rglob("*"):
            if path.is_file() and MARK.encode() in path.read_bytes():
                self.record.breaches.append(f"{file.name}: {path.name} holds the source's tags")


@asynccontextmanager
async def watched(record: Record) -> AsyncIterator[None]:
    """While inside, the memory of every program is noted."""
    task = asyncio.create_task(_watch(record))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch(record: Record) -> None:
    while True:
        for child in _programs():
            record.seen(resident_bytes(child))
        await asyncio.sleep(POLL_S)


def _programs() -> Iterator[int]:
    here = os.getpid()
    for child in Path(f"/proc/{here}/task/{here}/children").read_text("ascii").split():
        with suppress(OSError):
            if Path(f"/proc/{child}/comm").read_text("utf-8").startswith(PROGRAMS):
                yield int(child)
