"""Starts, watches and stops the processes of one data folder."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from infra.embedded import tether
from infra.embedded.errors import ChildDied, ChildNotReady
from infra.embedded.folder_lock import FolderLock

STOP_BUDGET_S = 4.5
"""For all children together; with the killing of what is left, five seconds."""
SMALLEST_SHARE_S = 0.2
KILLED_WITHIN_S = 3.0
READY_POLL_S = 0.05
LOG_TAIL_BYTES = 2000
PORT_TRIES = 3

Ready = Callable[[], Awaitable[bool]]
"""Whether a child can do its work; called until it says yes, so it must not raise while not."""


@dataclass(frozen=True)
class RunAs:
    """How a command is run by somebody who is not root: a prefix before it, or a user to become."""

    prefix: tuple[str, ...] = ()
    user: tuple[int, int] | None = None
    """uid and gid."""


@dataclass(frozen=True)
class ChildSpec:
    """What to run. `env` is the whole environment, apart from what :func:`base_environ` gives."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    """What ends it politely, also when the supervisor was killed; SIGKILL where nothing does."""
    run_as: RunAs = RunAs()


class Child:
    """One started process, under its tether."""

    def __init__(self, spec: ChildSpec, process: asyncio.subprocess.Process, log: Path) -> None:
        self.spec = spec
        self.log = log
        self.stopping = False
        self._process = process

    @property
    def pid(self) -> int:
        """The tether's process id, which is also that of the child's process group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        """The exit code, once the child and all it started have ended."""
        return await self._process.wait()

    def died(self, exit_code: int) -> ChildDied:
        return ChildDied(self.spec.name, exit_code, self.log, tail(self.log))

    async def stop(self, grace_s: float) -> None:
        """Ends the child and everything below it: politely for `grace_s` seconds, then by force."""
        self.stopping = True
        polite = self.spec.stop_signal
        self._signal(tether.KILL_NOW if polite is signal.SIGKILL else polite)
        if not await self._ends_within(grace_s):
            self._signal(tether.KILL_NOW)
            if not await self._ends_within(KILLED_WITHIN_S):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
                await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _ends_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            return False
        return True


class Supervisor:
    """Async context that holds `folder` for itself and runs children in it.

    Logs go to `folder/logs/NAME.log`. On leaving, all children are stopped in reverse order within
    five seconds; when this process is killed, their tethers stop them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.after_stop = contextlib.ExitStack()
        """Callbacks for when no child runs any more."""
        self._lock = FolderLock(self.folder)
        self._children: list[Child] = []
        self._watchers: set[asyncio.Task[None]] = set()
        self._deaths: asyncio.Queue[tuple[Child, ChildDied]] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        """Takes the folder; :class:`FolderBusy` when another stack has it."""
        await self._lock.acquire()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await asyncio.shield(asyncio.ensure_future(self.stop()))
        finally:
            self.after_stop.close()
            self._lock.release()

    async def start(
        self, spec: ChildSpec, ready: Ready | None = None, deadline_s: float = 30.0
    ) -> Child:
        """Starts a child and returns once `ready` says so.

        :class:`ChildDied` when it ends first, :class:`ChildNotReady` after `deadline_s` seconds; it
        is gone then. A child that dies later is reported by :meth:`first_death`.
        """
        child = await self._spawn(spec)
        self._children.append(child)
        try:
            if ready is not None:
                await self._until_ready(child, ready, deadline_s)
        except BaseException:
            await self.stop_child(child)
            raise
        watcher = asyncio.create_task(self._watch(child), name=f"watch {spec.name}")
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        return child

    async def run(self, spec: ChildSpec, timeout_s: float) -> None:
        """Runs a command to its end; :class:`ChildDied` unless it exits 0 within `timeout_s`."""
        child = await self._spawn(spec)
        try:
            async with asyncio.timeout(timeout_s):
                exit_code = await child.wait()
        except TimeoutError:
            raise ChildNotReady(spec.name, timeout_s, child.log, tail(child.log)) from None
        finally:
            if child.running:
                await child.stop(0)
        if exit_code != 0:
            raise child.died(exit_code)

    async def first_death(self) -> ChildDied:
        """Waits until a child ends that nobody stopped, and says which and how."""
        while True:
            child, death = await self._deaths.get()
            if child in self._children:  # else it was given up since, and another took its place
                return death

    async def stop_child(self, child: Child, grace_s: float = 2.0) -> None:
        """Stops one child; a later :meth:`stop` passes it over."""
        if child in self._children:
            self._children.remove(child)
        await child.stop(grace_s)

    async def stop(self) -> None:
        """Stops all children, the last started first. Each gets an equal share of the time that is
        left, so what a quick one does not use, those after it may."""
        deadline = time.monotonic() + STOP_BUDGET_S
        for child in self._children:
            child.stopping = True
        while self._children:
            left_s = deadline - time.monotonic()
            share_s = max(left_s / len(self._children), SMALLEST_SHARE_S)
            await self._children.pop().stop(share_s)
        for watcher in list(self._watchers):
            await watcher

    async def _spawn(self, spec: ChildSpec) -> Child:
        logs = self.folder / "logs"
        logs.mkdir(mode=0o700, exist_ok=True)
        log = logs / f"{spec.name}.log"
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *tethered(spec, os.getpid()),
                cwd=spec.cwd,
                env=base_environ() | dict(spec.env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(self._lock.fd,),
                start_new_session=True,
            )
        return Child(spec, process, log)

    async def _until_ready(self, child: Child, ready: Ready, deadline_s: float) -> None:
        try:
            async with asyncio.timeout(deadline_s):
                while not await ready():
                    if not child.running:
                        raise child.died(await child.wait())
                    await asyncio.sleep(READY_POLL_S)
        except TimeoutError:
            name = child.spec.name
            raise ChildNotReady(name, deadline_s, child.log, tail(child.log)) from None

    async def _watch(self, child: Child) -> None:
        exit_code = await child.wait()
        if not child.stopping:
            self._deaths.put_nowait((child, child.died(exit_code)))


async def start_on_free_port(start: Callable[[], Awaitable[int]]) -> int:
    """What `start` returns: it chooses a free port, starts a child on it, and gives the port.

    Tried again, thrice in all, where another program took the port between choice and use.
    """
    for _ in range(PORT_TRIES - 1):
        try:
            return await start()
        except ChildDied as death:
            if "address already in use" not in death.log_tail.lower():
                raise
    return await start()


def tethered(spec: ChildSpec, parent: int) -> list[str]:
    """The full command line of `spec`, for a starter whose process id is `parent`."""
    # The prefix comes first: entering a user namespace would undo what the tether sets up.
    argv = [*spec.run_as.prefix, sys.executable, "-I", "-S", tether.__file__]
    argv += ["--parent", str(parent), "--signal", spec.stop_signal.name]
    if spec.run_as.user is not None:
        argv += ["--user", ":".join(map(str, spec.run_as.user))]
    return [*argv, "--", *spec.argv]


def base_environ() -> dict[str, str]:
    """The few of our variables that any program may need: no setting, no secret."""
    names = ("PATH", "HOME", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
    inherited = {name: os.environ[name] for name in names if name in os.environ}
    return {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"} | inherited


def tail(log: Path) -> str:
    """The last 2000 bytes of `log`, as text."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
        return file.read().decode("utf-8", "replace").strip()
