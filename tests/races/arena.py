"""Replicas on one database, one bucket and one vendor; items to race for; what must hold after."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4

import boto3
import httpx
from botocore.client import BaseClient

from api.auth import Role
from api.cli.place import mint_token
from domain.commands import CompleteUpload, RecordFailure, RegisterMedia
from domain.events import MediaType
from domain.failure import ErrorCode
from domain.handler import handle
from domain.media import MediaItem, attempt_id, fold
from infra.bootstrap import Services
from infra.settings import load
from tests import factories as f
from tests.api.gpu import Gpu, Job
from tests.api.service import Service, running
from tests.api.studio import check_books
from tests.races.vendor import Vendor, running_vendor

REPLICAS = 3
CREATOR = "racer"
BODY = b"the bytes of a film"
HOUR_S = 3600.0
JITTER_S = 0.003
T = TypeVar("T")
Call = Callable[[], Awaitable[T]]
Step = Callable[[Services], Awaitable[bool]]


@dataclass
class Arena:
    """Where rounds are run."""

    replicas: list[Service]
    vendor: Vendor
    s3: BaseClient
    chance: random.Random
    auth: dict[str, str]
    entered: list[UUID] = field(default_factory=list)
    """The items of the present round."""

    @property
    def services(self) -> Services:
        """Those of one replica, to prepare and to look."""
        return self.replicas[0].services

    def replica(self, number: int) -> Service:
        """The replica that caller `number` talks to."""
        return self.replicas[number % len(self.replicas)]

    def gpu(self, number: int) -> Gpu:
        """A worker that reports to a replica."""
        return Gpu(self.replica(number), self.s3)

    async def post(self, number: int, path: str, body: object = None) -> httpx.Response:
        """A creator's call to a replica."""
        return await self.replica(number).http.post(path, json=body, headers=self.auth)

    async def at_once(self, *calls: Call[T]) -> list[T]:
        """Release all callers together; in every other round each dawdles a little."""
        barrier = asyncio.Barrier(len(calls))
        longest_s = self.chance.choice((0.0, JITTER_S))

        async def caller(call: Call[T]) -> T:
            await barrier.wait()
            if longest_s:
                await asyncio.sleep(self.chance.uniform(0, longest_s))
            return await call()

        order = self.chance.sample(calls, len(calls))
        return await asyncio.gather(*(caller(call) for call in order))

    async def loops(self, *steps: Step, callers: int = 2 * REPLICAS) -> None:
        """Let every replica do each step at once, again and again, until nothing is left."""
        for _ in range(50):
            calls = [
                lambda step=step, number=number: step(self.replica(number).services)
                for step in steps
                for number in range(callers)
            ]
            if not any(await self.at_once(*calls)):
                return
        raise AssertionError("the loops find work without end")

    async def item(self, media_id: UUID) -> MediaItem:
        """The item as its history makes it."""
        item = fold(stored.event for stored in await self.services.store.load(media_id))
        assert item is not None
        return item

    async def events(self, media_id: UUID) -> Counter[str]:
        """How often each event happened, without `media.`."""
        history = await self.services.store.load(media_id)
        return Counter(stored.event.type.removeprefix("media.") for stored in history)

    async def uploading(self, seconds_left: float = HOUR_S, body: bytes | None = BODY) -> UUID:
        """An announced file, in the bucket unless `body` is None."""
        media_id = uuid4()
        self.entered.append(media_id)
        command = RegisterMedia(
            media_id, CREATOR, MediaType.VIDEO, "a.mp4", "video/mp4", len(BODY), _in(seconds_left)
        )
        item = (await handle(self.services.store, media_id, command, f.context())).item
        if body is not None:
            await asyncio.to_thread(self.gpu(0).put, item.input_key, body, "video/mp4")
        return media_id

    async def requested(self, seconds_left: float = HOUR_S) -> UUID:
        """An item whose first attempt waits to be sent."""
        media_id = await self.uploading(body=None)
        command = CompleteUpload(media_id, len(BODY), f.ETAG, _in(seconds_left))
        await handle(self.services.store, media_id, command, f.context())
        return media_id

    async def transcoding(self) -> Job:
        """An item whose first attempt has a job."""
        media_id = await self.requested()
        await self.services.dispatch.send_at_once(media_id, await self.item(media_id))
        return await self.job(media_id)

    async def job(self, media_id: UUID) -> Job:
        """The item's present job, as a worker would know it."""
        item = await self.item(media_id)
        assert item.runpod_job_id is not None
        ids = (media_id, item.attempt, attempt_id(media_id, item.attempt))
        return Job(*ids, item.runpod_job_id, "video", CREATOR)

    async def failed(self) -> Job:
        """An item whose first attempt failed."""
        job = await self.transcoding()
        command = RecordFailure(1, job.job_id, ErrorCode.ENCODE_FAILED, "It stopped.")
        await handle(self.services.store, job.media_id, command, f.context())
        return job

    async def check(self) -> None:
        """The invariants, for every item of the round; then forget them."""
        for media_id in self.entered:
            await check_books(self.replicas[0], media_id)
            await self._check_attempts(media_id)
        self.entered.clear()

    async def _check_attempts(self, media_id: UUID) -> None:
        history = [stored.event for stored in await self.services.store.load(media_id)]
        begun = [event.attempt for event in history if event.type == "media.transcoding_requested"]
        assert begun == list(range(1, len(begun) + 1))
        assert len(begun) <= 2
        live: set[int] = set()
        for event in history:
            if event.type == "media.transcoding_requested":
                assert not live, "two live attempts"
                live.add(event.attempt)
            elif event.type in {"media.transcoding_completed", "media.transcoding_failed"}:
                assert event.attempt in live, "an attempt ended twice"
                live.remove(event.attempt)
        for attempt in begun:
            jobs = [
                event
                for event in history
                if event.type == "media.transcoding_submitted" and event.attempt == attempt
            ]
            assert len(jobs) <= 2
            assert self.vendor.runs[str(attempt_id(media_id, attempt))] <= 2


def _in(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@asynccontextmanager
async def open_arena(environ: Mapping[str, str], seed: int) -> AsyncIterator[Arena]:
    """Replicas with pools of their own on the database and bucket that `environ` names."""
    async with AsyncExitStack() as stack:
        vendor = await stack.enter_async_context(running_vendor())
        settings = load({**environ, "RUNPOD_BASE_URL": vendor.url})
        replicas = [await stack.enter_async_context(running(settings)) for _ in range(REPLICAS)]
        s3 = boto3.client(
            "s3",
            endpoint_url=settings.r2_endpoint,
            region_name=settings.r2_region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        stack.callback(s3.close)
        token = mint_token(settings, CREATOR, [Role.CREATOR], timedelta(hours=12))
        auth = {"authorization": f"Bearer {token}"}
        yield Arena(replicas, vendor, s3, random.Random(seed), auth)  # noqa: S311 - it need not be secret
