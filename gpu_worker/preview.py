"""The preview: the first segments of a finished rendition, copied. Nothing is encoded again."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from gpu_worker import ffmpeg
from gpu_worker.chunks import SEGMENT_SECONDS, segment_name
from gpu_worker.errors import ProcessFailed, ProcessTimedOut
from gpu_worker.looking import looks
from gpu_worker.objects import read_regular
from gpu_worker.playlist import MediaPlaylist, read_media_playlist, render_media, target_duration
from gpu_worker.process import Limits, run
from gpu_worker.sandbox import Room
from gpu_worker.tools import Tools

PREVIEW_SEGMENTS = 30 // SEGMENT_SECONDS
COPY_LIMITS = Limits(wall_s=120, cpu_s=60, file_bytes=1024**3)

logger = logging.getLogger(__name__)


class Preview:
    """Writes `preview/` below a folder, once: while the film is encoded, or afterwards."""

    def __init__(self, tools: Tools, folder: Path) -> None:
        self._tools = tools
        self._folder = folder
        self._made = False

    @asynccontextmanager
    async def early(self, names: Sequence[str]) -> AsyncIterator[None]:
        """Copy it during the block, once these renditions (picture, then sound) are longer than
        it: so it is uploaded while the rest is encoded. What fails is left for :meth:`make`.
        """
        ended = asyncio.Event()
        copying = asyncio.create_task(self._early(names, ended))
        try:
            yield
            ended.set()
            await copying
        finally:
            copying.cancel()
            await asyncio.wait((copying,))

    async def _early(self, names: Sequence[str], ended: asyncio.Event) -> None:
        # ffmpeg gives a segment its name once it is whole: there are more than are copied.
        after = [self._folder / segment_name(name, PREVIEW_SEGMENTS) for name in names]
        async for _ in looks(ended):
            if all(path.exists() for path in after):
                break
        else:
            return
        wanted = range(PREVIEW_SEGMENTS)
        try:
            await self._copy([[segment_name(name, n) for n in wanted] for name in names])
        except (ProcessFailed, ProcessTimedOut, OSError, ValueError) as error:
            logger.warning("the preview is made once more at the end: %s", error)
            shutil.rmtree(self._folder / "preview", ignore_errors=True)

    async def make(self, parts: Sequence[MediaPlaylist]) -> None:
        """Copy it from the beginning of `parts`, picture, then sound, if it is not there already.

        Raises ProcessFailed or ProcessTimedOut.
        """
        if not self._made:
            await self._copy(
                [[each.uri for each in part.segments[:PREVIEW_SEGMENTS]] for part in parts]
            )

    async def _copy(self, parts: Sequence[Sequence[str]]) -> None:
        (self._folder / "preview").mkdir()
        streams = [self._folder / f".preview-{number}.ts" for number in range(len(parts))]
        for stream, names in zip(streams, parts, strict=True):
            await asyncio.to_thread(self._join, stream, names)
        argv = ffmpeg.preview_copy(self._tools.ffmpeg, streams)
        room = Room(self._folder, writes=True)
        await run(argv, sandbox=self._tools.sandbox, room=room, limits=COPY_LIMITS)
        for stream in streams:
            stream.unlink()
        path = self._folder / "preview" / "preview.m3u8"
        made = read_media_playlist(path)
        path.write_text(render_media(made, target_duration([made])))
        self._made = True

    def _join(self, stream: Path, names: Sequence[str]) -> None:
        # Segments of one rendition are a transport stream cut up: put together, it is whole again.
        with stream.open("wb") as whole:
            for name in names:
                whole.write(read_regular(self._folder / name))
