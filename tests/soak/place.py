"""Everything a soak runs on: real parts, `serve` and `work` in processes of their own."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import httpx
import psutil

from gpu_worker.contract import Report
from infra.embedded.object_store import BucketKeys, start_object_store
from infra.embedded.ports import free_port, listens
from infra.embedded.postgres import start_postgres
from infra.embedded.stack import bucket_environ, service_environ
from infra.embedded.stack_secrets import StackSecrets
from infra.embedded.supervisor import Child, ChildSpec, Supervisor
from infra.postgres.migrations import migrate
from infra.settings import Settings, load
from tests.kill.vendor import vending
from tests.kill.worker import LightWorker, working
from tests.soak.tally import Tally

PROGRAM = (sys.executable, "-m", "api.cli")
START_S = 60.0
SHORTER = {"UPLOAD_WINDOW_S": "40", "LOG_LEVEL": "INFO"}
"""Uploads that the end of the load cuts off end by themselves."""


@dataclass(frozen=True)
class Place:
    """A running service."""

    settings: Settings
    http: httpx.AsyncClient
    programs: dict[str, Child]
    """By name: what is weighed."""
    logs: Path

    @property
    def pids(self) -> dict[str, int]:
        """Of the programs themselves, below what holds them."""
        return {
            name: psutil.Process(child.pid).children()[0].pid
            for name, child in self.programs.items()
        }


class TimedWorker(LightWorker):
    """Counts how long its callbacks take."""

    def __init__(self, place: Place, tally: Tally) -> None:
        keys = place.settings
        s3 = boto3.client(
            "s3",
            endpoint_url=keys.r2_endpoint,
            region_name=keys.r2_region,
            aws_access_key_id=keys.r2_access_key_id,
            aws_secret_access_key=keys.r2_secret_access_key.get_secret_value(),
        )
        super().__init__(keys, place.http, s3)
        self._tally = tally

    async def _tell(self, report: Report) -> None:
        async with self._tally.timed("webhook"):
            await super()._tell(report)


@asynccontextmanager
async def soaking(folder: Path) -> AsyncIterator[Place]:
    """The service with its parts, until the end of the block."""
    async with AsyncExitStack() as stack:
        supervisor = await stack.enter_async_context(Supervisor(folder))
        kept = StackSecrets.of_folder(supervisor.folder)
        keys = BucketKeys(kept.r2_access_key_id, kept.r2_secret_access_key)
        _, endpoint = await stack.enter_async_context(vending(kept.runpod_api_key, 60.0))
        postgres = await start_postgres(supervisor)
        store = await start_object_store(supervisor, keys, "codex-media")
        await migrate(postgres.dsn)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        environ = service_environ(postgres, endpoint, kept) | bucket_environ(store, keys)
        environ |= SHORTER | {"PUBLIC_APP_URL": url}
        loops = await supervisor.start(ChildSpec("work", (*PROGRAM, "work"), environ))
        serve = (*PROGRAM, "serve", "--port", str(port))
        api = await supervisor.start(
            ChildSpec("serve", serve, environ), lambda: listens(port), START_S
        )
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=100)
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, trust_env=False, timeout=30.0, limits=limits)
        )
        yield Place(load(environ), http, {"serve": api, "work": loops}, supervisor.folder / "logs")


@asynccontextmanager
async def at_work(place: Place, tally: Tally) -> AsyncIterator[None]:
    """While inside, jobs get done."""
    async with working(TimedWorker(place, tally)):
        yield
