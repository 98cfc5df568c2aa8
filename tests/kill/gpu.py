"""The real worker as a process, and where to kill it: what it says and hears goes through us."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

from infra.embedded.runpod_local import RunpodEndpoint, worker_environ
from infra.embedded.supervisor import base_environ
from tests.faults.fault import Action, Fault, Stage
from tests.faults.proxy import Proxy, proxied
from tests.infra.embedded.processes import still_running
from tests.kill.host import ROOT
from tests.kill.times import CLAIM_LIFE_S
from tests.kill.world import World

ORPHAN_LIMIT_S = 5.0
REACHED_LIMIT_S = 60.0


class Moment(Enum):
    """Where the worker is killed: what of its talk is held back then."""

    CLAIMED = ("bucket", Stage.TO_CLIENT, b"/claims/", 0)
    BEFORE_STARTED = ("api", Stage.TO_SERVER, b'"status":"started"', 0)
    STARTED = ("api", Stage.TO_CLIENT, b'"status":"started"', 0)
    DOWNLOADING = ("bucket", Stage.TO_CLIENT, b"/originals/", 20_000)
    ENCODING = ("process", None, b"ffmpeg", 0)
    UPLOADING = ("bucket", Stage.TO_SERVER, b"_000.ts", 2_000)
    BEFORE_MANIFEST = ("bucket", Stage.TO_SERVER, b'"gpuSeconds"', 0)
    AFTER_MANIFEST = ("bucket", Stage.TO_CLIENT, b'"gpuSeconds"', 0)
    COMPLETED = ("api", Stage.TO_CLIENT, b'"status":"completed"', 0)


class Bench(NamedTuple):
    """A world whose workers are real, seen through two proxies."""

    made: World
    api: Proxy
    bucket: Proxy
    folder: Path
    started: list[asyncio.subprocess.Process]

    async def start(self, name: str) -> asyncio.subprocess.Process:
        """A worker, started as RunPod does."""
        folder = self.folder / name
        (folder / "tmp").mkdir(parents=True)
        environ = self.made.environ
        bucket = {key: value for key, value in environ.items() if key.startswith("R2_")}
        endpoint = RunpodEndpoint(environ["RUNPOD_BASE_URL"], environ["RUNPOD_API_KEY"])
        given = worker_environ(endpoint, name) | {
            "RUNPOD_PING_INTERVAL": "500",
            "R2_ENDPOINT": url(self.bucket),
            "WEBHOOK_SECRET": environ["WEBHOOK_SECRETS"].split()[0],
            "ENCODER": "libx264",
            "X264_PRESET": "superfast",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "TMPDIR": str(folder / "tmp"),
        }
        with (folder / "log").open("wb") as log:
            worker = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.kill.short_claims"),
                cwd=folder,
                env=base_environ() | bucket | given,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(worker)
        return worker

    async def stop(self) -> None:
        """Kill the workers that still run."""
        for worker in self.started:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()

    async def kill_at(self, moment: Moment, worker: asyncio.subprocess.Process) -> None:
        """Let the worker come to `moment`, kill it, and see that nothing of it stays behind."""
        where, stage, marker, after = moment.value
        async with asyncio.timeout(REACHED_LIMIT_S):
            if stage is None:
                below = await encoding(worker.pid)
            else:
                proxy = self.api if where == "api" else self.bucket
                proxy.arm(Fault(stage, Action.HOLD, after, marker))
                await proxy.fired.wait()
                below = psutil.Process(worker.pid).children(recursive=True)
        worker.kill()
        await worker.wait()
        await asyncio.to_thread(gone, below)
        for proxy in (self.api, self.bucket):
            await proxy.stop()  # what was held back must not arrive after all
            proxy.disarm()
            await proxy.listen()


def url(proxy: Proxy) -> str:
    """Where the proxy listens."""
    assert isinstance(proxy.address, tuple)
    return "http://{}:{}".format(*proxy.address)


async def encoding(pid: int) -> list[psutil.Process]:
    """The worker's processes, once an ffmpeg writes segments."""
    while True:
        below = psutil.Process(pid).children(recursive=True)
        if any(map(encodes, below)):
            return below
        await asyncio.sleep(0.01)


def encodes(process: psutil.Process) -> bool:
    """Whether it is an ffmpeg that writes HLS; those that ended meanwhile do not."""
    with suppress(psutil.NoSuchProcess):
        return "hls" in process.cmdline()
    return False


def gone(processes: list[psutil.Process]) -> None:
    """Fail unless all end within the bound: an orphan would encode on, for nobody."""
    assert still_running(processes, ORPHAN_LIMIT_S) == []


@asynccontextmanager
async def bench(made: World, folder: Path) -> AsyncIterator[Bench]:
    """API and loops started, and told to workers by the proxies' addresses."""
    store = urlsplit(made.environ["R2_ENDPOINT"])
    assert store.hostname
    assert store.port
    async with (
        proxied(("127.0.0.1", made.port)) as api,
        proxied((store.hostname, store.port)) as bucket,
    ):
        made.environ |= {
            "PUBLIC_APP_URL": url(api),
            "CLAIM_LIFE_S": str(CLAIM_LIFE_S),
            "TRANSCODING_WINDOW_S": "600",
        }
        await made.start("api")
        await made.start("work")
        await made.serving()
        workers = Bench(made, api, bucket, folder, [])
        try:
            yield workers
        finally:
            await workers.stop()
