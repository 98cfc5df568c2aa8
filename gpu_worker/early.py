"""Uploads segments while later ones are encoded: little is left to upload at the end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from gpu_worker.bucket import STORAGE_ERRORS
from gpu_worker.errors import JobFailed
from gpu_worker.looking import looks
from gpu_worker.objects import read_regular
from gpu_worker.uploader import Uploader

logger = logging.getLogger(__name__)


class Finished(NamedTuple):
    """The key of a file that does not change any more, and how it is read."""

    key: str
    read: Callable[[], bytes]


async def finished_segments(
    tree: Path, prefix: str, encoded: asyncio.Event
) -> AsyncIterator[Finished]:
    """The segments below `tree`/`prefix` as they are finished, until `encoded` is set: those of
    renditions, and in the folder below those of the preview.

    ffmpeg gives a segment its name once it is whole. Names with a dot in front are ours, of files
    that nobody is to have; what a later try makes under the same name is left for the end.
    """
    told, folder = set[Path](), tree / prefix
    async for _ in looks(encoded):
        found = {*folder.glob("[!.]*.ts"), *folder.glob("preview/[!.]*.ts")}
        for path in sorted(found - told):
            told.add(path)
            yield Finished(path.relative_to(tree).as_posix(), partial(read_regular, path))


class EarlyUpload:
    """Uploads what `segments` brings, once `may_begin` has returned.

    What the bucket refuses is left for :meth:`gpu_worker.uploader.Uploader.publish`. Entered when
    the work begins; left, it has ended: what was under way is awaited, or cancelled on an error.
    """

    def __init__(
        self,
        uploader: Uploader,
        attempt: int,
        may_begin: Callable[[], Awaitable[None]],
        segments: AsyncIterator[Finished],
    ) -> None:
        self._uploader = uploader
        self._attempt = attempt
        self._may_begin = may_begin
        self._segments = segments
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._running = asyncio.create_task(self._run())

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._running is None:
            return
        if error is None:
            await self._running
        else:
            self._running.cancel()
            await asyncio.wait((self._running,))

    async def _run(self) -> None:
        try:
            await self._may_begin()
            if await self._uploader.is_superfluous(self._attempt):
                return
            async with asyncio.TaskGroup() as group:
                async for found in self._segments:
                    group.create_task(self._put(found))
        except (*STORAGE_ERRORS, JobFailed) as error:
            _leave(error)

    async def _put(self, found: Finished) -> None:
        try:
            await self._uploader.put_early(found.key, found.read)
        except (*STORAGE_ERRORS, OSError, JobFailed) as error:
            _leave(error)


def _leave(error: Exception) -> None:
    logger.warning("not uploaded before the end of the encode: %s", type(error).__name__)
