"""Runs ffmpeg and ffprobe on files we do not trust: in a sandbox, with limits and a deadline.

Every child leads its own process group, so that killing the group leaves nothing behind.
"""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_worker import starter
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import MAX_STDERR_TAIL, JobFailed, ProcessFailed, ProcessTimedOut
from gpu_worker.sandbox import Room, Sandbox
from gpu_worker.watch import Bounds, Excess, excess, is_full

CHUNK_BYTES = 256 * 1024
MAX_KEPT_STDOUT = 16 * 1024**2
TOO_MUCH_MEMORY = "Converting this file takes more memory than we give to one."
TOO_MUCH_OUTPUT = "What this file turns into is larger than we keep."
SEARCHED = ("PATH", "LD_LIBRARY_PATH")
DATA_FACTOR = 4
"""RLIMIT_DATA stops at once what grows faster than the watch looks. It counts untouched stacks of
threads as well, so it lies above. RLIMIT_AS would not do: CUDA reserves far more than it uses."""


@dataclass(frozen=True)
class Limits:
    """What one child may use: seconds by the clock, seconds of CPU, bytes in any one file, and in
    all files of its folder (None: any number).
    """

    wall_s: float
    cpu_s: int
    file_bytes: int
    folder_bytes: int | None = None


@dataclass(frozen=True)
class Completed:
    """A child that ended well."""

    stdout: bytes
    stderr_tail: str


async def run(
    argv: Sequence[str],
    *,
    sandbox: Sandbox,
    room: Room,
    limits: Limits,
    on_stdout: Callable[[bytes], None] | None = None,
) -> Completed:
    """Run `argv` in `room` and wait for it. `on_stdout` takes the output in chunks as it comes.

    Raises OSError when it could not be started, :class:`ProcessFailed` on a status other than 0,
    :class:`ProcessTimedOut` on the deadline and `input_too_large` beyond the bounds on memory and
    output. When the caller is cancelled, the whole process group is killed first.
    """
    cwd = room.folder
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as told:
        with os.fdopen(writer, "wb") as telling:
            child = await _start(argv, sandbox, room, limits, telling.fileno())
        bounds = Bounds(sandbox.memory_bytes, limits.folder_bytes, cwd)
        watch = asyncio.create_task(_kill_beyond(child, bounds))
        stdout, stderr = bytearray(), bytearray()
        try:
            async with asyncio.timeout(limits.wall_s):
                await asyncio.gather(
                    _drain(child.stdout, on_stdout or (lambda chunk: _keep(stdout, chunk))),
                    _drain(child.stderr, lambda chunk: _keep_tail(stderr, chunk)),
                )
                returncode = await child.wait()
        except TimeoutError:
            raise ProcessTimedOut(argv[0], limits.wall_s, _readable(stderr, cwd)) from None
        finally:
            watch.cancel()
            await _kill_group(child)
        if failure := starter.failure_of(told.read()):
            raise failure
    if watch.done() and not watch.cancelled():
        raise _beyond(watch.result(), _readable(stderr, cwd))
    if is_full(bounds):
        raise _beyond(Excess.OUTPUT, _readable(stderr, cwd))
    if returncode != 0:
        status = sandbox.status_of(returncode)
        raise ProcessFailed(Path(argv[0]).name, status, _readable(stderr, cwd))
    return Completed(bytes(stdout), _readable(stderr, cwd))


async def _start(
    argv: Sequence[str], sandbox: Sandbox, room: Room, limits: Limits, tell: int
) -> asyncio.subprocess.Process:
    environment = _environment(room.folder)
    with sandbox.launch(argv, room, environment) as launch:
        orders = _limited(limits, sandbox.memory_bytes) | launch.orders | {starter.TELL: tell}
        return await asyncio.create_subprocess_exec(
            *starter.command(orders, launch.argv),
            cwd=room.folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            pass_fds=(*launch.pass_fds, tell),
        )


def _environment(cwd: Path) -> dict[str, str]:
    """No credentials and no home; what NVIDIA's container runtime needs is kept."""
    kept = ("NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "CUDA_VISIBLE_DEVICES")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        **{name: _absolute(os.environ[name]) for name in SEARCHED if name in os.environ},
        "HOME": str(cwd),
        "TMPDIR": str(cwd),
        "LC_ALL": "C.UTF-8",
        "CUDA_CACHE_DISABLE": "1",  # it would write into the folder
        "SVT_LOG": "1",  # errors: it tells of its settings besides, whatever ffmpeg is to tell
    }


def _absolute(folders: str) -> str:
    """Without what leads into the current folder, where a program may have left others."""
    return ":".join(folder for folder in folders.split(":") if folder.startswith("/"))


def _limited(limits: Limits, memory_bytes: int | None) -> dict[str, int]:
    most_data = resource.RLIM_INFINITY if memory_bytes is None else DATA_FACTOR * memory_bytes
    wanted = {
        "cpu": limits.cpu_s,
        "file": limits.file_bytes,
        "core": 0,
        "data": most_data,
    }
    within = {name: _within_hard(starter.LIMITS[name], most) for name, most in wanted.items()}
    return {**within, starter.PARENT: os.getpid()} if sys.platform == "linux" else within


def _within_hard(which: int, most: int) -> int:
    """`most`, or the limit we are under ourselves, which nobody may raise."""
    _, hard = resource.getrlimit(which)
    unlimited = resource.RLIM_INFINITY
    return max(most, hard) if unlimited in {most, hard} else min(most, hard)


async def _drain(stream: asyncio.StreamReader | None, take: Callable[[bytes], None]) -> None:
    if stream is None:
        return
    while chunk := await stream.read(CHUNK_BYTES):
        take(chunk)


def _keep(kept: bytearray, chunk: bytes) -> None:
    kept += chunk[: MAX_KEPT_STDOUT - len(kept)]


def _keep_tail(kept: bytearray, chunk: bytes) -> None:
    kept += chunk
    del kept[: -2 * MAX_STDERR_TAIL]


def _readable(stderr: bytes | bytearray, cwd: Path) -> str:
    """The tail as text, without this machine's paths."""
    text = stderr.decode("utf-8", "replace").replace(f"{cwd}/", "").replace(str(cwd), ".")
    return text[-MAX_STDERR_TAIL:]


async def _kill_beyond(child: asyncio.subprocess.Process, bounds: Bounds) -> Excess:
    """End the child once it is beyond its bounds; of what."""
    found = await excess(child.pid, bounds)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    return found


def _beyond(found: Excess, stderr_tail: str) -> JobFailed:
    sentences = {
        Excess.MEMORY: TOO_MUCH_MEMORY,
        Excess.OUTPUT: TOO_MUCH_OUTPUT,
    }
    return JobFailed(WorkerErrorCode.INPUT_TOO_LARGE, sentences[found], stderr_tail)


async def _kill_group(child: asyncio.subprocess.Process) -> None:
    """Kill what is left of the group; a leader that ended may have left children."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.wait()
