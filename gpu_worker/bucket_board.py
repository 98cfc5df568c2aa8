"""A film's chunks shared by several runs of its attempt, over the bucket.

The run that has the attempt fills the film: it makes what nobody makes, and fetches the rest. So it
ends even when it is alone, and a run after it takes up what is done. Others help: they take
chunks, and leave when none is free.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from botocore.exceptions import ClientError

from gpu_worker import ffmpeg
from gpu_worker.bucket import STORAGE_ERRORS, code_of, unavailable
from gpu_worker.chunk_lease import ChunkLease
from gpu_worker.chunk_objects import ChunkObjects, ChunkRecord, FilmPlan, FoundRecord
from gpu_worker.chunked import ChunkedFilm
from gpu_worker.chunks import Chunk, segment_name
from gpu_worker.claim import Times
from gpu_worker.claim_objects import If
from gpu_worker.contract import ManifestObject
from gpu_worker.errors import ChunkLost, JobFailed
from gpu_worker.manifest import Identity
from gpu_worker.objects import read_regular
from gpu_worker.together import together
from gpu_worker.uploader import Uploader

FETCHES_AT_ONCE = 8

logger = logging.getLogger(__name__)


class _Taken(NamedTuple):
    chunk: Chunk
    lease: ChunkLease


class Seen(NamedTuple):
    """How a chunk is, by its record and the recipe that it should have."""

    found: FoundRecord | None
    recipe: str
    lease_s: float

    @property
    def objects(self) -> tuple[ManifestObject, ...]:
        """Its segments when it is done; none otherwise."""
        record = self.found and self.found.record
        return (record.objects or ()) if record and record.recipe == self.recipe else ()

    @property
    def job_id(self) -> str | None:
        """Whose it is."""
        record = self.found and self.found.record
        return record.job_id if record else None

    @property
    def is_free(self) -> bool:
        """Whether anybody may take it."""
        record = self.found and self.found.record
        if self.found is None or record is None or record.recipe != self.recipe:
            return True
        return not self.objects and (record.released or self.found.age_s > self.lease_s)


@dataclass(frozen=True)
class BucketBoard:
    """`board` of :class:`gpu_worker.packager.Packager` for one run of a job."""

    objects: ChunkObjects
    uploader: Uploader
    identity: Identity
    times: Times
    may_write: Callable[[], Awaitable[None]]
    """Returns once no run of an older attempt writes any more."""
    want: Callable[[int], None] = lambda _count: None
    """Told how many other runs could help, and 0 when none can any more."""
    _storing: list["asyncio.Task[None]"] = field(default_factory=list)

    async def fill(self, film: ChunkedFilm) -> None:
        """As :meth:`gpu_worker.chunked.Board.fill`. Raises `storage_unavailable` as well."""
        plan, etag = self._plan_of(film), None
        try:
            await self.may_write()
            etag = await self.objects.put_plan(plan)
            self.want(len(film.due) - 1)
            await self._fill(film, plan.recipe)
            await asyncio.gather(*self._storing)
        except STORAGE_ERRORS as error:
            raise unavailable(error) from error
        except (Exception, asyncio.CancelledError):
            await self._withdraw(plan, etag)
            raise
        finally:
            self.want(0)
            for task in self._storing:
                task.cancel()
            await asyncio.gather(*self._storing, return_exceptions=True)

    async def help(self, film: ChunkedFilm, wanted: Callable[[], Awaitable[bool]]) -> int:
        """Make free chunks while they are `wanted`; how many were made. Raises as :meth:`fill`."""
        try:
            return await self._help(film, wanted)
        except STORAGE_ERRORS as error:
            raise unavailable(error) from error

    async def _help(self, film: ChunkedFilm, wanted: Callable[[], Awaitable[bool]]) -> int:
        recipe, made = recipe_of(film), 0
        while await wanted():
            taken, _ = await self._take_free(film.due, recipe)
            if taken is None:
                break
            made += await self._make_for_another(film, taken)
        return made

    async def clear(self) -> None:
        """Remove what is left of the chunks once the output is published."""
        try:
            await self.objects.clear()
        except STORAGE_ERRORS as error:
            logger.warning("chunks were not removed: %s", type(error).__name__)

    async def _fill(self, film: ChunkedFilm, recipe: str) -> None:
        missing = list(film.due)
        while missing:
            taken, found = await self._take_free(missing, recipe)
            if taken is not None:
                if await self._make(film, taken):
                    missing.remove(taken.chunk)
                continue
            done = next((chunk for chunk in missing if found[chunk.number].objects), None)
            if done is None:
                await asyncio.sleep(self.times.retry_s)
            elif await self._fetch(film, done, found[done.number]):
                missing.remove(done)

    async def _take_free(
        self, chunks: Sequence[Chunk], recipe: str
    ) -> tuple[_Taken | None, dict[int, Seen]]:
        """A chunk that is ours from now on; None, and how all are, when none is free."""
        seen: dict[int, Seen] = {}
        for chunk in chunks:
            found = await self.objects.read(chunk.number)
            how = seen[chunk.number] = Seen(found, recipe, self.times.lease_s)
            if not how.is_free:
                continue
            lease = ChunkLease(self.objects, self._record(chunk, recipe), self.times)
            if await lease.take(found):
                return _Taken(chunk, lease), seen
        return None, seen

    async def _make(self, film: ChunkedFilm, taken: _Taken) -> bool:
        """Make a chunk of our own film; it is stored while the next one is made."""
        async with AsyncExitStack() as stack:
            lease = await stack.enter_async_context(taken.lease)
            try:
                paths = await lease.guard(film.make(taken.chunk))
            except ChunkLost as loss:
                logger.warning("%s", loss)
                return False
            held = stack.pop_all()
        self._storing.append(asyncio.create_task(self._store(held, lease, paths)))
        await asyncio.sleep(0)  # begun, it also ends the lease when it is cancelled
        return True

    async def _store(self, held: AsyncExitStack, lease: ChunkLease, paths: Sequence[Path]) -> None:
        """For runs after this one: the output itself is uploaded in any case."""
        prefix = self.identity.layout.prefix
        async with held:
            try:
                items = await lease.guard(self._put({prefix + path.name: path for path in paths}))
                await lease.finish(items)
            except (*STORAGE_ERRORS, ChunkLost, JobFailed, OSError) as error:
                logger.warning("chunk %d is not kept: %s", lease.record.number, error)

    async def _make_for_another(self, film: ChunkedFilm, taken: _Taken) -> int:
        paths: Sequence[Path] = ()
        try:
            async with taken.lease as lease:
                paths = await lease.guard(film.make(taken.chunk))
                place = partial(self.objects.staged_key, lease.record)
                await lease.finish(
                    await lease.guard(self._put({place(path.name): path for path in paths}))
                )
        except ChunkLost as loss:
            logger.warning("%s", loss)
            return 0
        finally:
            for path in paths:
                path.unlink(missing_ok=True)
        return 1

    async def _put(self, paths: Mapping[str, Path]) -> tuple[ManifestObject, ...]:
        """Store files under their keys."""
        put = self.uploader.put_early
        await together(*(put(key, partial(read_regular, path)) for key, path in paths.items()))
        return tuple(self.uploader.sent[key] for key in paths)

    async def _fetch(self, film: ChunkedFilm, chunk: Chunk, seen: Seen) -> bool:
        """Whether the segments of a chunk that is done are in our folder now.

        What is not as its record says is made again.
        """
        items = seen.objects
        try:
            _check_whole(film, chunk, [item.key.rpartition("/")[2] for item in items])
            at_once = asyncio.Semaphore(FETCHES_AT_ONCE)
            await together(*(self._fetch_one(film, item, at_once) for item in items))
        except (ValueError, ClientError) as error:
            if isinstance(error, ClientError) and code_of(error) != "NoSuchKey":
                raise
            logger.warning("chunk %d is made again: %s", chunk.number, error)
            await self.objects.give_up(seen.found)
            return False
        logger.info("chunk %d was made by job %s", chunk.number, seen.job_id)
        film.tell(chunk, chunk.frames)
        return True

    async def _fetch_one(
        self, film: ChunkedFilm, item: ManifestObject, at_once: asyncio.Semaphore
    ) -> None:
        async with at_once:
            content = await self.objects.fetch(item)
            name = item.key.rpartition("/")[2]
            if len(content) != item.size or hashlib.sha256(content).hexdigest() != item.sha256:
                raise ValueError(f"{name} is not what was stored")
            await asyncio.to_thread(_write, film.folder / name, content)
        key = self.identity.layout.prefix + name
        self.uploader.sent.pop(key, None)  # what we may have begun ourselves
        if item.key == key:
            self.uploader.sent[key] = item

    def _record(self, chunk: Chunk, recipe: str) -> ChunkRecord:
        return ChunkRecord(
            attempt_id=self.identity.job.attempt_id,
            number=chunk.number,
            recipe=recipe,
            job_id=self.identity.job_id,
            holder=uuid4(),
        )

    def _plan_of(self, film: ChunkedFilm) -> FilmPlan:
        return FilmPlan(
            attempt_id=self.identity.job.attempt_id,
            recipe=recipe_of(film),
            job_id=self.identity.job_id,
            encoder=film.job.encoder,
        )

    async def _withdraw(self, plan: FilmPlan, etag: str | None) -> None:
        """Not the plan of a run that has the attempt after us."""
        if etag is None:
            return
        ended = plan.model_copy(update={"withdrawn": True})
        with suppress(*STORAGE_ERRORS):
            async with asyncio.timeout(self.times.release_s):
                await self.objects.put_plan(ended, If(IfMatch=etag))


def recipe_of(film: ChunkedFilm) -> str:
    """A digest of all that the chunks are made by; not of who decodes."""
    job = replace(
        film.job,
        source=replace(film.job.source, path=Path("input")),
        audio=None,
        waveform_rate_hz=None,
        on_gpu=False,
        processors=1,
    )
    lines = [ffmpeg.video_pass("ffmpeg", replace(job, chunk=chunk)) for chunk in film.due]
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()


def _check_whole(film: ChunkedFilm, chunk: Chunk, names: Sequence[str]) -> None:
    """ValueError unless these are the segments of a chunk; the last one may have fewer."""
    rungs = [planned.rung.name for planned in film.job.rungs]
    count = len(names) // len(rungs)
    due = [segment_name(rung, chunk.first_segment + n) for rung in rungs for n in range(count)]
    fewest = 1 if chunk.is_last else chunk.segments
    if not fewest <= count <= chunk.segments or sorted(names) != sorted(due):
        raise ValueError("it has other segments")


def _write(path: Path, content: bytes) -> None:
    """Under another name first: what has a segment's name is whole, and may be uploaded."""
    half = path.with_name(f".{path.name}")
    half.write_bytes(content)
    half.replace(path)
