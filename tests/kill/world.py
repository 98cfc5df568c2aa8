"""One service of its own for one sweep over it: database, bucket, RunPod, API and loops."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, NamedTuple
from uuid import UUID, uuid4

import boto3
import httpx
from botocore.client import BaseClient

from domain.commands import RegisterMedia
from domain.events import Context, MediaType
from domain.handler import handle
from domain.keys import original_key
from infra.embedded.ports import free_port, listens
from infra.embedded.stack_secrets import StackSecrets
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import Pool, open_pool
from infra.settings import Settings, load
from tests.conftest import TEMPLATE, _new_database
from tests.kill.books import check, check_ledger, come_to_rest
from tests.kill.creator import CREATOR, FILM, Creator
from tests.kill.host import Host, Process
from tests.kill.vendor import Vendor, vending
from tests.kill.worker import LightWorker, working

Role = Literal["api", "work"]
ROLES: tuple[Role, ...] = ("api", "work")
LIVES = (
    "plain",
    "silent",
    "flawed",
    "lost",
    "refused",
    "busy",
    "unheard",
    "helped",
    "parts",
    "erased",
)
SHORT = {
    "LEASE_S": "1",
    "POLL_FIRST_S": "0.3",
    "POLL_LAST_S": "1",
    "UNKNOWN_WAIT_S": "1.5",
    "LEDGER_CHECKPOINT_S": "0",
    "EXECUTION_TIMEOUT_S": "40",
    "TRANSCODING_WINDOW_S": "45",
    "LOG_LEVEL": "INFO",
    "CHUNK_ASSISTANTS": "1",
    "MULTIPART_THRESHOLD_BYTES": "100",
}
"""The window matters where the last call of an attempt was counted and its maker died before making
it: nobody can know that, so the attempt waits for its deadline, fails, and is tried once more."""
ABANDONED_AFTER_S = 0.5
SERVING_LIMIT_S = 60.0
WORKER_SILENCE_S = 10.0
ERASED_LIMIT_S = 60.0


class Parts(NamedTuple):
    """What all worlds share."""

    host: Host
    server_dsn: str
    s3_endpoint: str
    stack_secrets: StackSecrets
    folder: Path


@dataclass
class World:
    """A running service and those who use it."""

    parts: Parts
    settings: Settings
    environ: dict[str, str]
    port: int
    pool: Pool
    s3: BaseClient
    vendor: Vendor
    creator: Creator
    worker: LightWorker
    http: httpx.AsyncClient
    processes: dict[Role, Process] = field(default_factory=dict)

    async def start(
        self, role: Role, *, record: Path | None = None, kill_at: str | None = None
    ) -> Process:
        """Start one of the two, recording or armed."""
        arguments = ["serve", "--port", str(self.port)] if role == "api" else ["work"]
        process = await self.parts.host.start(
            role, arguments, self.environ, record=record, kill_at=kill_at
        )
        self.processes[role] = process
        return process

    async def serving(self) -> None:
        """Wait until the API answers."""
        async with asyncio.timeout(SERVING_LIMIT_S):
            while not await listens(self.port):  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.05)

    async def live(self) -> None:
        """All lives at once, to their ends."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.abandon("abandoned.mp4"))
            group.create_task(self.abandon("plain.forgotten.mp4", there=True))
            lives = [group.create_task(self.creator.live(name)) for name in LIVES]
        await come_to_rest(self.pool)
        await self.creator.look_around(lives[0].result())

    async def abandon(self, file_name: str, *, there: bool = False) -> UUID:
        """An upload of which nobody is heard again: the file is there, or it is not."""
        store, media_id = PostgresEventStore(self.pool), uuid4()
        command = RegisterMedia(
            media_id=media_id,
            creator_id=CREATOR,
            media_type=MediaType.VIDEO,
            file_name=file_name,
            content_type="video/mp4",
            declared_size=len(FILM),
            upload_deadline=await store.now() + timedelta(seconds=ABANDONED_AFTER_S),
        )
        if there:
            key = original_key(CREATOR, media_id, file_name)
            await asyncio.to_thread(
                self.s3.put_object,
                Bucket=self.settings.r2_bucket,
                Key=key,
                Body=FILM,
                ContentType="video/mp4",
            )
        await handle(store, media_id, command, Context(actor=CREATOR, correlation_id=uuid4()))
        return media_id

    async def check(self) -> None:
        """Everything came to rest, and every book is right."""
        await come_to_rest(self.pool)
        await check(self.pool, self.settings, self.creator, self.worker, self.vendor)
        statuses = await self.pool.fetch("SELECT file_name, status FROM media_items")
        for row in statuses:
            if row["file_name"] is None:
                assert row["status"] == "erased", row
                continue
            expected = "failed" if row["file_name"].startswith("abandoned") else "ready"
            assert row["status"] == expected, row
        await self.check_erased()

    async def check_erased(self) -> None:
        """Nothing is left of what its creator was told is erased."""
        for media_id in self.creator.erased:
            status = "SELECT status FROM media_items WHERE id = $1"
            assert await self.pool.fetchval(status, media_id) == "erased"
        async with asyncio.timeout(ERASED_LIMIT_S):
            # A second job may have written some.
            while await self._left_of_erased():  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.5)
        kept = "SELECT stream_id FROM personal UNION SELECT stream_id FROM evidence"
        assert not self.creator.erased & {row[0] for row in await self.pool.fetch(kept)}

    async def _left_of_erased(self) -> list[str]:
        listed = await asyncio.to_thread(
            self.s3.list_objects_v2, Bucket=self.settings.r2_bucket, Prefix=f"{CREATOR}/"
        )
        keys = [each["Key"] for each in listed.get("Contents", [])]
        return [key for key in keys if any(str(one) in key for one in self.creator.erased)]

    async def check_now(self) -> None:
        """The history and the rows are right though nobody has mended anything yet."""
        if await self.pool.fetchval("SELECT count(*) FROM checkpoints"):  # else nothing is provable
            await check_ledger(self.pool, self.settings)

    async def stop(self) -> None:
        """Kill what still runs."""
        for process in self.processes.values():
            await process.end()


@asynccontextmanager
async def world(
    parts: Parts, *, light: bool = True, worker_silence_s: float = WORKER_SILENCE_S
) -> AsyncIterator[World]:
    """A world in which no process of ours runs yet, with a light worker or with none."""
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(_new_database(parts.server_dsn, TEMPLATE))
        vendor, endpoint = await stack.enter_async_context(
            vending(parts.stack_secrets.runpod_api_key, worker_silence_s)
        )
        s3 = _s3(parts.s3_endpoint)
        stack.callback(s3.close)
        bucket = f"kill-{secrets.token_hex(6)}"
        await asyncio.to_thread(s3.create_bucket, Bucket=bucket)
        port = free_port()
        environ = SHORT | {
            "DATABASE_URL": dsn,
            "R2_ENDPOINT": parts.s3_endpoint,
            "R2_BUCKET": bucket,
            "R2_REGION": "us-east-1",
            "R2_ACCESS_KEY_ID": "test",
            "R2_SECRET_ACCESS_KEY": "test",
            "RUNPOD_BASE_URL": endpoint.base_url,
            "RUNPOD_ENDPOINT_ID": endpoint.endpoint_id,
            "RUNPOD_API_KEY": endpoint.api_key,
            "PUBLIC_APP_URL": f"http://127.0.0.1:{port}",
            "WEBHOOK_SECRETS": parts.stack_secrets.webhook_secret,
            "CAPABILITY_SECRETS": parts.stack_secrets.capability_secret,
            "JWT_SECRET": parts.stack_secrets.jwt_secret,
            "LEDGER_KEY": parts.stack_secrets.ledger_key,
        }
        settings = load(environ)
        pool = await stack.enter_async_context(open_pool(dsn, 4))
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=15.0))
        worker = LightWorker(settings, http, s3)
        if light:
            await stack.enter_async_context(working(worker))
        made = World(
            parts,
            settings,
            environ,
            port,
            pool,
            s3,
            vendor,
            Creator(settings, http),
            worker,
            http,
        )
        stack.push_async_callback(made.stop)
        yield made


def _s3(endpoint: str) -> BaseClient:
    client: BaseClient = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    return client
