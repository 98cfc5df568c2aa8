"""`kill -9` of a worker at random moments: `python -m tests.gpu_worker.kill --moments 20`.

After each, no program of its own is left, what is published is whole or nothing, and the next run
of the attempt makes the output. Exit code 1 where that is not so.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psutil
from moto.server import ThreadedMotoServer

from gpu_worker.bucket import connect
from gpu_worker.contract import claim_key
from gpu_worker.handler import Worker
from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import Tools, find_tools
from tests.gpu_worker.claims import CALM
from tests.gpu_worker.clips import Clips
from tests.gpu_worker.jobs import CREATOR, Room, environ_of, layout_of, settings_of
from tests.gpu_worker.service import Receiver, receiver

ORPHAN_LIMIT_S = 5.0
PATIENCE_S = 90.0
POLL_S = 0.02
PAUSE_S = 0.3
CLIP = "twelve"


class Killed(NamedTuple):
    """When a worker was killed, seconds after its claim, and what it left."""

    moment_s: float
    left: str


class Bench(NamedTuple):
    """A bucket, a receiver of reports, a clip; after how long a dead worker's claim is over."""

    endpoint: str
    room: Room
    service: Receiver
    tools: Tools
    clip: Path
    folder: Path
    lease_s: float

    async def rehearse(self) -> float:
        """How long a run takes from its claim to its end, in seconds."""
        job, process = await self._start("rehearsal")
        await self._claimed(job)
        claimed = time.monotonic()
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
        await self.room.whole_output(layout_of(job))
        return time.monotonic() - claimed

    async def kill(self, name: str, moment_s: float) -> Killed:
        """Kill a worker so long after its claim, look at what it left, and run the job again."""
        job, process = await self._start(name)
        await self._claimed(job)
        await asyncio.sleep(moment_s)
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await asyncio.to_thread(no_orphan, self.folder / name)
        left = await self._left(job)
        await self._run_again(job, folder_of(self.folder, f"{name}-again"))
        return Killed(moment_s, left)

    async def _start(self, name: str) -> tuple[dict[str, Any], asyncio.subprocess.Process]:
        work_dir = folder_of(self.folder, name)
        job = await self.room.job(self.clip, "video", self.service.url)
        environment = os.environ | environ_of(self.endpoint, self.room.bucket, work_dir)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.gpu_worker.one_job", json.dumps(job)),
            env=environment,
            stdout=asyncio.subprocess.DEVNULL,
        )
        return job, process

    async def _claimed(self, job: dict[str, Any]) -> None:
        prefix = claim_key(CREATOR, UUID(job["input"]["mediaId"]), 1)
        async with asyncio.timeout(PATIENCE_S):
            while not await self.room.keys(prefix):  # noqa: ASYNC110 - it happens elsewhere
                await asyncio.sleep(POLL_S)

    async def _left(self, job: dict[str, Any]) -> str:
        layout = layout_of(job)
        keys = await self.room.keys(layout.prefix)
        if layout.manifest in keys:
            await self.room.whole_output(layout)
            return "a whole output"
        return "some objects without a manifest" if keys else "nothing"

    async def _run_again(self, job: dict[str, Any], work_dir: Path) -> None:
        settings = settings_of(self.endpoint, self.room.bucket, work_dir)
        worker = Worker(settings, self.tools, CALM._replace(lease_s=self.lease_s))
        async with asyncio.timeout(PATIENCE_S):
            again = job | {"id": "job-2-u1"}
            while "superseded" in (result := await worker.handle(again)):  # noqa: ASYNC110
                await asyncio.sleep(PAUSE_S)
        layout = layout_of(job)
        assert result["hlsMasterKey"] == layout.master, result
        await self.room.whole_output(layout)
        assert not os.listdir(work_dir)  # noqa: PTH208 - a moment, and nothing else waits


def folder_of(parent: Path, name: str) -> Path:
    """A new folder."""
    (parent / name).mkdir()
    return parent / name


def no_orphan(work_dir: Path) -> None:
    """Fail unless every program that works below `work_dir` ends soon."""
    deadline = time.monotonic() + ORPHAN_LIMIT_S
    while left := [each for each in psutil.process_iter(["cmdline"]) if works_in(each, work_dir)]:
        assert time.monotonic() < deadline, left
        time.sleep(POLL_S)


def works_in(process: psutil.Process, work_dir: Path) -> bool:
    """Whether one of the words it was started with names something below the folder."""
    words = process.info["cmdline"] or []
    with suppress(psutil.Error):
        alive = process.status() != psutil.STATUS_ZOMBIE
        # bubblewrap whose parent was killed before it had begun waits for ever and runs nothing.
        unborn = process.name() == "bwrap" and not process.children()
        return alive and not unborn and any(f"{work_dir}/" in word for word in words)
    return False


async def kill_at_random(
    bench: Bench, took_s: float, *, moments: int, seed: int, at_once: int
) -> list[Killed]:
    """Kill that many workers, at moments spread over a run, which takes `took_s`."""
    chance = random.Random(seed)  # noqa: S311 - it must be repeatable
    # One in each equal part of a run, so that few moments do not all fall together.
    drawn = [took_s * (n + chance.random()) / moments for n in range(moments)]
    free = asyncio.Semaphore(at_once)

    async def kill(number: int, moment_s: float) -> Killed:
        async with free:
            return await bench.kill(f"job-{number}", moment_s)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(kill(number, each)) for number, each in enumerate(drawn)]
    return [task.result() for task in tasks]


async def main(arguments: argparse.Namespace) -> int:
    """Kill, and print the figures."""
    store = ThreadedMotoServer(port=0)
    store.start()
    host, port = store.get_host_and_port()
    endpoint, bucket = f"http://{host}:{port}", "killed"
    tools = find_tools(EncodeSettings())
    with tempfile.TemporaryDirectory() as name, receiver() as service:
        folder = Path(name)
        async with connect(settings_of(endpoint, bucket, folder)) as client:
            await client.create_bucket(Bucket=bucket)
            clip = Clips(folder, tools)[CLIP]
            bench = Bench(endpoint, Room(client, bucket), service, tools, clip, folder, 20.0)
            took_s = await bench.rehearse()
            killed = await kill_at_random(
                bench, took_s, moments=arguments.moments, seed=arguments.seed, at_once=3
            )
    store.stop()
    for each in killed:
        print(f"{each.moment_s:6.2f} s after the claim: left {each.left}; the next run made it")
    for left, count in Counter(each.left for each in killed).most_common():
        print(f"{count:3} left {left}")
    print(f"{len(killed)} kills, no orphan, nothing half published, {len(killed)} made good")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.gpu_worker.kill")
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    sys.exit(asyncio.run(main(parser.parse_args())))
