"""Children of a supervisor: started, watched, stopped, and never left behind."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from infra.embedded.errors import ChildDied, ChildNotReady, FolderBusy
from infra.embedded.ports import free_port, free_ports_with_grpc, listens
from infra.embedded.supervisor import ChildSpec, Supervisor, start_on_free_port
from tests.infra.embedded.processes import ROOT, Started, eventually, running, tree

FOREVER = "import time; time.sleep(300)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); {FOREVER}"
WITH_GRANDCHILD = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {FOREVER!r}], start_new_session=True)
print("up")
"""
"""Its child is in a session of its own, as the worker's ffmpeg is."""


def python(name: str, code: str, **env: str) -> ChildSpec:
    return ChildSpec(name, [sys.executable, "-c", code], env)


def says_up(folder: Path, name: str) -> "Up":
    return Up(folder / "logs" / f"{name}.log")


class Up:
    """Ready once the child's log says `up`."""

    def __init__(self, log: Path) -> None:
        self._log = log

    async def __call__(self) -> bool:
        return "up" in self._log.read_text()


async def test_child_that_dies_before_it_is_ready_is_reported_with_its_last_words(
    tmp_path: Path,
) -> None:
    async def never() -> bool:
        return False

    async with Supervisor(tmp_path) as supervisor:
        with pytest.raises(ChildDied, match="no such table: media") as death:
            await supervisor.start(python("api", "raise SystemExit('no such table: media')"), never)
    assert (death.value.name, death.value.exit_code) == ("api", 1)


async def test_child_that_is_not_ready_in_time_is_reported_and_gone(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    mine = Started()
    async with Supervisor(tmp_path) as supervisor:
        with pytest.raises(ChildNotReady, match=r"within 0\.5 s"):
            await supervisor.start(python("api", FOREVER), never, deadline_s=0.5)
        assert running(mine.now()) == []


async def test_child_that_dies_later_is_reported_and_one_that_is_stopped_is_not(
    tmp_path: Path,
) -> None:
    async with Supervisor(tmp_path) as supervisor:
        stopped = await supervisor.start(python("stopped", FOREVER))
        dies = await supervisor.start(python("dies", FOREVER))
        await supervisor.stop_child(stopped)
        assert await eventually(lambda: len(tree(dies.pid)) == 1, 5)
        tree(dies.pid)[0].send_signal(signal.SIGSEGV)
        death = await asyncio.wait_for(supervisor.first_death(), 5)
    assert (death.name, death.exit_code) == ("dies", 128 + signal.SIGSEGV)


async def test_missing_program_is_a_death_that_names_it(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        with pytest.raises(ChildDied, match="/nowhere/weed: No such file or directory"):
            await supervisor.run(ChildSpec("store", ["/nowhere/weed"]), 5)


async def test_children_that_ignore_the_polite_signal_are_gone_soon(
    tmp_path: Path,
) -> None:
    mine = Started()
    async with Supervisor(tmp_path) as supervisor:
        for name in ("a", "b", "c", "d"):
            await supervisor.start(python(name, STUBBORN), says_up(tmp_path, name))
        started = mine.now()
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert len(started) == 8
    assert running(started) == []


async def test_the_last_started_child_is_stopped_first(tmp_path: Path) -> None:
    code = "import signal, sys, time\n"
    code += "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(time.monotonic())))\n"
    code += "print('up')\n" + FOREVER
    async with Supervisor(tmp_path) as supervisor:
        for name in ("first", "second"):
            await supervisor.start(python(name, code), says_up(tmp_path, name))
    ends = {
        name: float((tmp_path / "logs" / f"{name}.log").read_text().split()[1])
        for name in ("first", "second")
    }
    assert ends["second"] < ends["first"]


async def test_what_a_child_leaves_running_ends_with_it(tmp_path: Path) -> None:
    mark = f"mark_{secrets.token_hex(8)}"  # other tests leave the like running meanwhile
    leaver = WITH_GRANDCHILD.replace("300", f"300); {mark} = (0")
    async with Supervisor(tmp_path) as supervisor:
        await supervisor.run(python("leaver", leaver), 10)
        left = [p for p in running(psutil.process_iter()) if mark in _cmdline(p)]
    assert left == []


async def test_the_death_of_a_child_that_was_given_up_since_is_not_reported(
    tmp_path: Path,
) -> None:
    async with Supervisor(tmp_path) as supervisor:
        given_up = await supervisor.start(python("given-up", "raise SystemExit(3)"))
        await given_up.wait()
        await supervisor.stop_child(given_up)
        await supervisor.start(python("dies", "raise SystemExit(4)"))
        death = await asyncio.wait_for(supervisor.first_death(), 5)
    assert (death.name, death.exit_code) == ("dies", 4)


async def test_children_see_no_variable_of_ours_that_was_not_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUD_PASSWORD", "hunter2")
    code = "import os; print(sorted(os.environ))"
    async with Supervisor(tmp_path) as supervisor:
        await supervisor.run(python("env", code, GIVEN="yes"), 10)
    printed = (tmp_path / "logs" / "env.log").read_text()
    assert "GIVEN" in printed
    assert "CLOUD_PASSWORD" not in printed


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's")
async def test_child_dies_with_a_tether_that_was_killed(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        child = await supervisor.start(python("api", FOREVER))
        assert await eventually(lambda: len(tree(child.pid)) == 1, 5)
        below = tree(child.pid)
        os.kill(child.pid, signal.SIGKILL)
        assert await eventually(lambda: running(below) == [], 2)


async def test_killed_supervisor_leaves_no_process_and_its_folder_is_taken_until_the_last_has_gone(
    tmp_path: Path,
) -> None:
    code = f"""
import asyncio, sys
from pathlib import Path
from infra.embedded.supervisor import ChildSpec, Supervisor

async def main():
    async with Supervisor(Path({str(tmp_path)!r})) as supervisor:
        for name in ("a", "b"):
            await supervisor.start(ChildSpec(name, [sys.executable, "-c", sys.argv[1]]))
        await asyncio.sleep(60)

asyncio.run(main())
"""
    stubborn_with_grandchild = WITH_GRANDCHILD + STUBBORN
    supervisor = subprocess.Popen(  # noqa: ASYNC220 - asyncio's would be reaped at once
        [sys.executable, "-c", code, stubborn_with_grandchild],
        env={"PYTHONPATH": str(ROOT / "src")},
    )
    assert await eventually(lambda: len(tree(supervisor.pid)) == 6, 10)
    everything = tree(supervisor.pid)
    supervisor.kill()
    unreaped = os.P_PID, supervisor.pid, os.WEXITED | os.WNOWAIT
    await asyncio.to_thread(os.waitid, *unreaped)
    assert running(everything) != []
    async with Supervisor(tmp_path):  # gets the folder only when the last of them is gone
        assert running(everything) == []
    supervisor.wait()


async def test_folder_in_use_is_refused_at_once_and_free_again_afterwards(tmp_path: Path) -> None:
    async with Supervisor(tmp_path):
        began = time.monotonic()
        with pytest.raises(FolderBusy, match=f"in use by process {os.getpid()}"):
            await Supervisor(tmp_path).__aenter__()
        assert time.monotonic() - began < 1
    async with Supervisor(tmp_path):
        pass


async def test_chosen_ports_are_free_also_for_grpc() -> None:
    ports = free_ports_with_grpc(4)
    assert len(set(ports)) == 4
    assert not any([await listens(port + offset) for port in ports for offset in (0, 10_000)])


async def test_start_is_tried_on_another_port_when_one_was_taken_meanwhile(tmp_path: Path) -> None:
    code = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])));" + FOREVER
    )
    taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", free_port())
    ports = [taken.sockets[0].getsockname()[1], free_port()]

    async with Supervisor(tmp_path) as supervisor:

        async def start() -> int:
            port = ports.pop(0)
            spec = ChildSpec(f"on-{port}", [sys.executable, "-c", code, str(port)])

            async def ready() -> bool:
                return len(ports) == 0 and await listens(port)

            await supervisor.start(spec, ready)
            return port

        assert await listens(await start_on_free_port(start))
    taken.close()


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []
