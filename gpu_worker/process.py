"""Runs ffmpeg and ffprobe on files we do not trust: limits, a deadline, an empty environment.

Every child leads its own process group, so that killing the group leaves nothing behind.
"""

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_worker.errors import MAX_STDERR_TAIL, ProcessFailed, ProcessTimedOut

CHUNK_BYTES = 256 * 1024
MAX_KEPT_STDOUT = 16 * 1024**2
PR_SET_PDEATHSIG = 1  # prctl(2)
LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Limits:
    """What one child may use: seconds by the clock, seconds of CPU, bytes in any one file."""

    wall_s: float
    cpu_s: int
    file_bytes: int


@dataclass(frozen=True)
class Completed:
    """A child that ended well."""

    stdout: bytes
    stderr_tail: str


async def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    limits: Limits,
    on_stdout: Callable[[bytes], None] | None = None,
) -> Completed:
    """Run `argv` in `cwd` and wait for it. `on_stdout` takes the output in chunks as it comes.

    Raises :class:`ProcessFailed` on a status other than 0 and :class:`ProcessTimedOut` on the
    deadline. When the caller is cancelled, the whole process group is killed first.
    """
    child = await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        env=_environment(cwd),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        # Only async-signal-safe calls on objects made beforehand: no allocation to deadlock on.
        preexec_fn=_confinement(limits),
    )
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
        await _kill_group(child)
    if returncode != 0:
        raise ProcessFailed(Path(argv[0]).name, returncode, _readable(stderr, cwd))
    return Completed(bytes(stdout), _readable(stderr, cwd))


def _environment(cwd: Path) -> dict[str, str]:
    """No credentials and no home; what NVIDIA's container runtime needs is kept."""
    kept = ("PATH", "LD_LIBRARY_PATH", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES")
    return {
        **{
            name: os.environ[name] for name in (*kept, "CUDA_VISIBLE_DEVICES") if name in os.environ
        },
        "HOME": str(cwd),
        "TMPDIR": str(cwd),
        "LC_ALL": "C.UTF-8",
    }


def _confinement(limits: Limits) -> Callable[[], None]:
    parent = os.getpid()
    limited = (
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CORE, 0),
    )

    def confine() -> None:
        for which, most in limited:
            resource.setrlimit(which, (most, most))
        if sys.platform == "linux":
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # the worker died before the line above
                os._exit(1)

    return confine


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


async def _kill_group(child: asyncio.subprocess.Process) -> None:
    """Kill what is left of the group; a leader that ended may have left children."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.wait()
