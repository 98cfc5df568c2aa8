"""A job that makes chunks for the job that has its attempt. It reports nothing, whatever happens.

It leaves when no chunk is free, when that job is gone or wants no more, and where it would make
them differently: by another encoder, or by other settings.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_worker import ffmpeg, plan
from gpu_worker.bucket_board import BucketBoard, recipe_of
from gpu_worker.chunk_objects import ChunkObjects, FilmPlan
from gpu_worker.chunked import ChunkedFilm, cut
from gpu_worker.claim import Times
from gpu_worker.claim_objects import ClaimObjects
from gpu_worker.downloader import Download
from gpu_worker.ends import with_ends
from gpu_worker.manifest import Identity
from gpu_worker.packager import Packager
from gpu_worker.pipelines import by, first_way
from gpu_worker.probe import probe
from gpu_worker.settings import WorkerSettings
from gpu_worker.tools import EncoderChoice, Tools
from gpu_worker.uploader import Uploader

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

logger = logging.getLogger(__name__)


class NotNeeded(Exception):
    """There is nothing to help with; the text says why."""


@dataclass(frozen=True)
class Assistant:
    """Helps with one attempt."""

    client: "S3Client"
    settings: WorkerSettings
    tools: Tools
    times: Times
    identity: Identity

    async def work(
        self, room: Path, choose_encoder: Callable[[Path], Awaitable[EncoderChoice]]
    ) -> int:
        """Make chunks below `room`; how many.

        Raises :class:`NotNeeded`, and what any job may end with.
        """
        wanted = await self._plan()
        film = await self._film(room, await self._encoder(room, wanted, choose_encoder))
        if recipe_of(film) != wanted.recipe:
            raise NotNeeded("chunks would come out differently here")
        uploader = Uploader(
            self.client,
            self.settings.r2_bucket,
            self.identity.layout,
            self.settings.upload_connections,
            lambda: None,  # it writes under keys of its own alone
        )
        board = BucketBoard(self._objects, uploader, self.identity, self.times, _at_once)
        return await board.help(film, partial(self._goes_on, wanted))

    @property
    def _objects(self) -> ChunkObjects:
        return ChunkObjects(self.client, self.settings.r2_bucket, self.identity.job)

    async def _plan(self) -> FilmPlan:
        wanted = await self._objects.plan()
        if wanted is None or not await self._goes_on(wanted):
            raise NotNeeded("no job of this attempt wants chunks")
        return wanted

    async def _goes_on(self, wanted: FilmPlan) -> bool:
        """Whether the job that has the attempt lives, and still wants what it wanted."""
        job = self.identity.job
        found = await self._objects.plan()
        if found != wanted or found.withdrawn or found.attempt_id != job.attempt_id:
            return False
        claims = ClaimObjects(self.client, self.settings.r2_bucket, job.creator_id, job.media_id)
        held = await claims.read(job.attempt)
        if held is None or held.claim is None or held.claim.released:
            return False
        return held.age_s <= self.times.lease_s

    async def _encoder(
        self,
        room: Path,
        wanted: FilmPlan,
        choose: Callable[[Path], Awaitable[EncoderChoice]],
    ) -> EncoderChoice:
        if wanted.encoder == "libx264":
            return EncoderChoice("libx264")
        chosen = await choose(room)
        if chosen.encoder != wanted.encoder:
            raise NotNeeded(f"{wanted.encoder} does not work here")
        return chosen

    async def _film(self, room: Path, encoder: EncoderChoice) -> ChunkedFilm:
        """The film as the other job has planned it, but for its sound."""
        job, settings, folder = self.identity.job, self.settings, room / "chunks"
        path = room / "input"
        await Download(
            self.client,
            settings.r2_bucket,
            job.input_key,
            job.input_etag,
            settings.max_input_bytes,
            lambda _share: None,
        ).to(path)
        await asyncio.to_thread(folder.mkdir)
        source = ffmpeg.Source(path, settings.max_pixels, settings.max_streams)
        found = await probe(self.tools, source)
        plan.check(found, job.type, settings)
        timed = await with_ends(self.tools, source, found)
        film = plan.video_pass(source, timed, encoder.encoder, settings)
        film = by(first_way(encoder, timed, film.canvas), film)
        encode = partial(Packager(self.tools, encoder, settings).encode, source)
        due = cut(film, found, settings)
        most = settings.max_output_bytes
        return ChunkedFilm(self.tools.ffmpeg, film, due, folder, encode, most, lambda _share: None)


async def _at_once() -> None:
    """Nothing is waited for: what is written is nobody else's."""
