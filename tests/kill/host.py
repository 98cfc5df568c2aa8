"""Starting and killing the product's processes through `tests.kill.process`."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.kill.process import Order

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT_S = 90.0
END_LIMIT_S = 15.0


class Process:
    """One started process."""

    def __init__(self, pid: int, log: Path, ended: "asyncio.Future[int]") -> None:
        self.pid = pid
        self.log = log
        self.ended = ended
        """Its exit code; minus the signal's number where one ended it."""

    async def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal and wait for the end; the exit code."""
        if not self.ended.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
        async with asyncio.timeout(END_LIMIT_S):
            return await asyncio.shield(self.ended)

    def told(self) -> str:
        """What it logged."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""


class Host:
    """Gives orders to the starting process, and listens to it."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._orders = 0
        self._started: dict[int, asyncio.Future[int]] = {}
        self._ended: dict[int, asyncio.Future[int]] = {}

    async def start(
        self,
        name: str,
        arguments: list[str],
        environ: Mapping[str, str],
        *,
        record: Path | None = None,
        kill_at: str | None = None,
    ) -> Process:
        """`codex-media ARGUMENTS`, recording the points it reaches or armed at one."""
        self._orders += 1
        number = self._orders
        log = self._folder / f"{name}-{number}.log"
        loop = asyncio.get_running_loop()
        self._started[number], self._ended[number] = loop.create_future(), loop.create_future()
        recording = str(record) if record else None
        order = Order(number, arguments, environ, str(log), recording, kill_at)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order._asdict()).encode() + b"\n")
        async with asyncio.timeout(START_LIMIT_S):
            pid = await self._started[number]
        return Process(pid, log, self._ended[number])

    async def listen(self) -> None:
        """Take in what the starting process tells, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told: dict[str, int] = json.loads(line)
            if "pid" in told:
                self._started[told["order"]].set_result(told["pid"])
            else:
                self._ended[told["order"]].set_result(told["status"])


@asynccontextmanager
async def hosting(folder: Path, root: Path = ROOT) -> AsyncIterator[Host]:
    """A starting process, whose logs go to `folder`; everything it started ends with it.

    What it starts is the program as it is in `root`.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.kill.process"),
        cwd=root,
        env={"PYTHONPATH": f"{root / 'src'}:{root}", "PATH": "", "PYTHONUNBUFFERED": "1"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    host = Host(process, folder)
    listening = asyncio.create_task(host.listen(), name="listen to the starting process")
    try:
        yield host
    finally:
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(END_LIMIT_S):
            await process.wait()
            await listening
