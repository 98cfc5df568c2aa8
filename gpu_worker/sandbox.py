"""What keeps a program that reads a hostile file from everything else on this machine.

Three layers, each of which stops a program that was taken over from reading another file or
talking to anybody: bubblewrap (files, network, processes), a seccomp filter (network, processes),
Landlock (files, TCP). With bubblewrap, Landlock is left out: it forbids the mounts that bubblewrap
lives by, and covers the same files.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from gpu_worker import landlock, seccomp, starter
from gpu_worker.bubblewrap import View, signal_of, wrapped
from gpu_worker.errors import IsolationMissing
from gpu_worker.landlock import KEEP_HOUSE, READ, USE_DEVICE, ruleset

Wanted = Literal["auto", "bubblewrap", "landlock", "optional"]
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache")
"""Programs and libraries; no settings, no accounts, no logs."""
PLAIN_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
KERNEL = ("/sys/devices/system/cpu",)
GPU_KERNEL = ("/sys",)
GPU_PROCESSES = "/proc"
"""CUDA looks its driver and its devices up in both. What Landlock confines may read no other
process's environment or memory there; bubblewrap brings a `/proc` of its own."""
PROBE_LIMIT_S = 10


@dataclass(frozen=True)
class Room:
    """What one program may use: files to read, and its current folder, perhaps to write there."""

    folder: Path
    reads: tuple[Path, ...] = ()
    writes: bool = False


@dataclass(frozen=True)
class Launch:
    """What to start, under which orders of :mod:`gpu_worker.starter`, with which descriptors."""

    argv: list[str]
    orders: dict[str, int]
    pass_fds: tuple[int, ...]


@dataclass(frozen=True)
class Sandbox:
    """The layers that are on, and the memory one program may use in bytes (None: any)."""

    bubblewrap: str | None = None
    seccomp: bool = False
    landlock: int = 0
    """The kernel's Landlock ABI; 0 when the layer is off."""
    memory_bytes: int | None = None

    @property
    def confines(self) -> bool:
        """Whether files and network are both out of reach."""
        return self.bubblewrap is not None or (self.seccomp and self.landlock > 0)

    def __str__(self) -> str:
        layers = [
            *(["bubblewrap"] if self.bubblewrap else []),
            *(["seccomp"] if self.seccomp else []),
            *([f"Landlock ABI {self.landlock}"] if self.landlock else []),
        ]
        return " + ".join(layers) or "nothing"

    @contextmanager
    def launch(
        self, argv: Sequence[str], room: Room, environment: Mapping[str, str]
    ) -> Iterator[Launch]:
        """How to start `argv` in `room`. What it holds open is closed at the end."""
        with ExitStack() as held:
            fd = held.enter_context(_readable(seccomp.program())) if self.seccomp else None
            if self.bubblewrap:
                view = _view(argv[0], room)
                words = wrapped(self.bubblewrap, argv, view, environment, fd)
                yield Launch(words, {}, () if fd is None else (fd,))
                return
            orders = {} if fd is None else {starter.SECCOMP: fd}
            if self.landlock:
                granted = _granted(_view(argv[0], room))
                orders[starter.LANDLOCK] = held.enter_context(ruleset(self.landlock, granted))
            yield Launch(list(argv), orders, tuple(orders.values()))

    def status_of(self, returncode: int) -> int:
        """The program's own exit status; negative: the signal that ended it."""
        return signal_of(returncode) if self.bubblewrap else returncode


UNCONFINED = Sandbox()


def choose(wanted: Wanted, memory_bytes: int | None) -> Sandbox:
    """The layers to use, each tried before. Raises :class:`IsolationMissing`.

    Other systems than Linux have none: there `auto` is `optional`.
    """
    if wanted == "auto" and sys.platform != "linux":
        wanted = "optional"
    bubblewrap, filters, abi = working()
    inside = Sandbox(bubblewrap, filters, memory_bytes=memory_bytes)
    beside = Sandbox(None, filters, abi, memory_bytes)
    candidates = {
        "auto": (inside, beside),
        "bubblewrap": (inside,),
        "landlock": (beside,),
        "optional": (inside, beside),
    }[wanted]
    for candidate in candidates:
        if candidate.confines:
            return candidate
    if wanted == "optional":
        return beside
    raise IsolationMissing(wanted, str(replace(beside, bubblewrap=bubblewrap)))


@cache
def working() -> tuple[str | None, bool, int]:
    """bubblewrap's path, whether seccomp filters, Landlock's ABI: of each, what really works."""
    if sys.platform != "linux":
        return None, False, 0
    program = shutil.which("bwrap") or shutil.which("bwrap", path=os.defpath)
    abi = landlock.version()
    return (
        program if program and _runs(Sandbox(program)) else None,
        _runs(Sandbox(seccomp=True), starter.EXPECT_NO_SOCKET),
        abi if abi and _runs(Sandbox(landlock=abi), starter.EXPECT_NO_ROOT) else 0,
    )


def _runs(sandbox: Sandbox, *expected: str) -> bool:
    """Whether a program starts in `sandbox`, and what is expected holds there."""
    true = shutil.which("true", path=os.defpath)
    if true is None:
        return False
    try:
        with sandbox.launch([true], Room(Path("/")), {}) as launch:
            orders = {**launch.orders, **dict.fromkeys(expected, 1)}
            done = subprocess.run(
                starter.command(orders, launch.argv),
                env={},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PROBE_LIMIT_S,
                check=False,
                pass_fds=launch.pass_fds,
            )
    except (OSError, KeyError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _view(program: str, room: Room) -> View:
    gpu = _gpu_devices()
    read = [Path(path) for path in SYSTEM] + [Path(path) for path in KERNEL]
    read += [Path(path) for path in GPU_KERNEL if gpu]
    read += [*_program_files(Path(program)), *map(Path.absolute, room.reads)]
    folder = room.folder.absolute() if room.writes else None
    return View(tuple(path for path in read if path.exists()), gpu, folder)


def _gpu_devices() -> tuple[Path, ...]:
    return tuple(sorted(Path("/dev").glob("nvidia*")))


def _program_files(program: Path) -> Iterator[Path]:
    """The program itself, and libraries installed beside it: never the whole of its folder."""
    for path in dict.fromkeys((program.absolute(), program.resolve())):
        yield path
        if path.parent.name == "bin":
            yield from (path.parent.parent / name for name in ("lib", "lib64"))
    for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":"):
        if folder:
            yield Path(folder)


def _granted(view: View) -> Iterator[tuple[Path, int]]:
    yield from ((path, READ) for path in view.read)
    if view.devices:
        yield Path(GPU_PROCESSES), READ
    devices = (Path(path) for path in PLAIN_DEVICES)
    yield from ((path, USE_DEVICE) for path in (*devices, *view.devices) if path.exists())
    if view.folder is not None:
        yield view.folder, KEEP_HOUSE


@contextmanager
def _readable(content: bytes) -> Iterator[int]:
    """A descriptor from which `content` can be read."""
    fd = os.memfd_create("filter")
    try:
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
