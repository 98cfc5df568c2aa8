"""`codex-media` in processes of their own."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from infra.embedded.unprivileged import SYSTEM_FOLDER

SOURCE = Path(__file__).parents[1]
LIMIT_S = 60.0


class Ended(NamedTuple):
    """What a process left."""

    code: int
    out: str
    err: str


class Program:
    """A running `codex-media ARGUMENTS`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def end(self, limit_s: float = LIMIT_S) -> Ended:
        """How it ends; TimeoutError if it does not in time."""
        out, err = await asyncio.wait_for(self.process.communicate(), limit_s)
        assert self.process.returncode is not None
        return Ended(self.process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def codex_media(environ: Mapping[str, str], *arguments: str) -> AsyncIterator[Program]:
    """`codex-media ARGUMENTS`, which is killed at the end of the block if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api.cli", *arguments),
        env={"PYTHONPATH": f"{SOURCE / 'src'}:{SOURCE}", "PATH": "", **environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def remove_database(data: Path) -> None:
    """Of a local service that has ended, where it lies outside `data`: else it stays for good."""
    folder = (data / "postgres").resolve()
    if folder.is_relative_to(SYSTEM_FOLDER):
        shutil.rmtree(folder)
