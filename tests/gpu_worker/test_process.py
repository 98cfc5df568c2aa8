"""Children are bounded, see no secret, and leave nothing behind."""

import asyncio
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from gpu_worker import starter
from gpu_worker.errors import ProcessFailed, ProcessTimedOut
from gpu_worker.process import Completed, Limits, run
from gpu_worker.sandbox import UNCONFINED, Room, Wanted, choose
from gpu_worker.starter import LANDLOCK, SECCOMP, TELL
from tests.gpu_worker.layers import chosen

LIMITS = Limits(wall_s=20, cpu_s=20, file_bytes=1024**2)
FAMILY = (
    "import subprocess, sys, time; "
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    "print(child.pid, flush=True); time.sleep(60)"
)


INTERPRETER = str(Path(sys.executable).resolve())
"""Not the environment's link: Landlock lets nobody read what makes it one, pyvenv.cfg."""


async def start(code: str, folder: Path, limits: Limits = LIMITS) -> Completed:
    """Run Python code as ffmpeg is run."""
    room = Room(folder, writes=True)
    argv = [INTERPRETER, "-I", "-S", "-c", code]
    return await run(argv, sandbox=choose("auto", None), room=room, limits=limits)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


async def all_children(parent: psutil.Popen) -> list[psutil.Process]:
    """Once there is one that sleeps."""
    for _ in range(200):
        children = parent.children(recursive=True)
        with suppress(psutil.NoSuchProcess):
            if any(child.name() == "sleep" for child in children):
                return children
        await asyncio.sleep(0.05)
    raise AssertionError("no child was started")


async def wait_gone(pid: int) -> None:
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"process {pid} lives")


async def test_cancelling_kills_the_whole_process_group(tmp_path: Path) -> None:
    grandchild: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def take(chunk: bytes) -> None:
        grandchild.set_result(int(chunk))

    # In no sandbox: those let it have no children.
    started_in: dict[str, Any] = {"sandbox": UNCONFINED, "room": Room(tmp_path)}
    task = asyncio.create_task(run(python(FAMILY), **started_in, limits=LIMITS, on_stdout=take))
    pid = await asyncio.wait_for(grandchild, 10)
    task.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    await wait_gone(pid)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("isolation", ["bubblewrap", "landlock"])
async def test_a_worker_killed_outright_takes_its_child_along(isolation: Wanted) -> None:
    code = f"""
import asyncio, pathlib
from gpu_worker.process import Limits, run
from gpu_worker.sandbox import Room, Sandbox
sandbox = {chosen(isolation)!r}
room = Room(pathlib.Path("/"))
asyncio.run(run(["/bin/sleep", "60"], sandbox=sandbox, room=room, limits=Limits(60, 60, 1024)))
"""
    worker = psutil.Popen(python(code))
    children = await all_children(worker)
    worker.kill()
    worker.wait(5)
    for child in children:
        await wait_gone(child.pid)


async def test_the_deadline_kills_what_ignores_sigterm(tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    started = time.monotonic()
    with pytest.raises(ProcessTimedOut):
        await start(stubborn, tmp_path, Limits(0.7, 20, 1024))
    assert time.monotonic() - started < 5


async def test_a_child_that_burns_cpu_or_fills_the_disk_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed) as burned:
        await start("while True: pass", tmp_path, Limits(20, 1, 1024))
    assert burned.value.returncode == -9
    filling = "import pathlib; pathlib.Path('big').write_bytes(bytes(5000))"
    with pytest.raises(ProcessFailed) as filled:
        await start(filling, tmp_path, Limits(20, 20, 1000))
    assert "File too large" in filled.value.stderr_tail
    assert (tmp_path / "big").stat().st_size <= 1000


async def test_no_credential_reaches_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R2_SECRET_ACCESS_KEY", "sesame")
    done = await start("import os; print(dict(os.environ))", tmp_path)
    assert b"sesame" not in done.stdout
    assert f"'HOME': '{tmp_path}'".encode() in done.stdout


async def test_of_much_output_the_tail_is_kept_without_paths(tmp_path: Path) -> None:
    noisy = f"import sys; sys.stderr.write('x' * 50000 + ' {tmp_path}/input: bad'); sys.exit(3)"
    with pytest.raises(ProcessFailed) as failure:
        await start(noisy, tmp_path)
    assert failure.value.returncode == 3
    assert failure.value.stderr_tail.endswith(" input: bad")
    assert len(failure.value.stderr_tail) == 4000


async def test_what_cannot_be_started_is_no_failure_of_the_program(tmp_path: Path) -> None:
    room = Room(tmp_path)
    with pytest.raises(FileNotFoundError, match="/nowhere/ffmpeg"):
        await run(["/nowhere/ffmpeg"], sandbox=UNCONFINED, room=room, limits=LIMITS)


@pytest.mark.parametrize("order", [LANDLOCK, SECCOMP])
async def test_a_layer_that_cannot_be_put_on_starts_no_program(tmp_path: Path, order: str) -> None:
    made = tmp_path / "made"
    reader, writer = os.pipe()
    argv = starter.command({TELL: writer, order: 999}, ["/bin/touch", str(made)])
    child = await asyncio.create_subprocess_exec(*argv, pass_fds=(writer,))
    os.close(writer)
    assert await asyncio.wait_for(child.wait(), 10) == starter.FAILED
    with os.fdopen(reader, "rb") as told:
        assert isinstance(starter.failure_of(told.read()), OSError)
    assert not made.exists()


def test_a_starter_that_never_began_has_started_nothing() -> None:
    assert isinstance(starter.failure_of(b""), OSError)
    assert starter.failure_of(starter.STARTED) is None
    assert isinstance(starter.failure_of(starter.STARTED + b"2 gone"), FileNotFoundError)


async def test_a_program_ignores_no_signal(tmp_path: Path) -> None:
    argv = ["/bin/grep", "SigIgn", "/proc/self/status"]
    done = await run(argv, sandbox=UNCONFINED, room=Room(tmp_path), limits=LIMITS)
    assert int(done.stdout.split()[1], 16) == 0


async def test_no_folder_of_libraries_or_programs_is_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/lib::lib:")
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    done = await start("import os; print(dict(os.environ))", tmp_path)
    assert b"'LD_LIBRARY_PATH': '/usr/lib'" in done.stdout
    assert b"'PATH': '/" in done.stdout
