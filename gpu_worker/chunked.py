"""Makes the renditions of a long film chunk by chunk; who makes which chunk, a board says."""

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from gpu_worker import chunks, ffmpeg
from gpu_worker.chunks import Chunk, first_frame, segment_name
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.ends import progress_frames
from gpu_worker.errors import JobFailed
from gpu_worker.ffmpeg import START_OFFSET_SECONDS, VideoPass
from gpu_worker.playlist import MediaPlaylist, Segment, render_media, target_duration
from gpu_worker.probe import MediaProbe
from gpu_worker.process import TOO_MUCH_OUTPUT
from gpu_worker.seams import close_counters
from gpu_worker.settings import EncodeSettings
from gpu_worker.together import together
from gpu_worker.transport import CLOCK_HZ, read_segment

LEADS: tuple[float | None, ...] = (1.0, 30.0, None)
"""How long before a chunk decoding begins, in seconds; the next where pictures were missing."""
INDEXED = frozenset({"mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm"})
"""Formats that list their key frames with times: elsewhere ffmpeg would guess where to begin."""
MOST_PAD_SECONDS = 1.0
TICKS_OF_ROUNDING = 2
MUXER_DELAY_TICKS = 126_000
"""1.4 s, twice ffmpeg's `-muxdelay`: its muxer adds that to all times."""

logger = logging.getLogger(__name__)

Encode = Callable[[list[str], Path, Callable[[bytes], None]], Awaitable[None]]
"""Runs a command in a folder, and hands on what it says."""


class Board(Protocol):
    """Has every chunk of a film made once, here or elsewhere."""

    async def fill(self, film: "ChunkedFilm") -> None:
        """Return when the segments of all chunks are in the film's folder."""
        ...


@dataclass(frozen=True)
class LocalBoard:
    """This machine makes all chunks, so many at a time."""

    workers: int

    async def fill(self, film: "ChunkedFilm") -> None:
        """As :meth:`Board.fill`."""
        left = iter(film.due)

        async def work() -> None:
            for chunk in left:
                await film.make(chunk)

        await together(*(work() for _ in range(self.workers)))


def cut(job: VideoPass, found: MediaProbe, settings: EncodeSettings) -> tuple[Chunk, ...]:
    """The chunks a film is to be made in; none where one pass is as good or the only right way."""
    told = found.document.get("format")
    names = str(told.get("format_name", "")) if isinstance(told, dict) else ""
    if (
        not settings.chunk_min_seconds
        or job.length_seconds < settings.chunk_min_seconds
        or job.beside
        or job.pad_seconds > MOST_PAD_SECONDS
        or not INDEXED & set(names.split(","))
    ):
        return ()
    due = chunks.plan(job.frame_rate, job.length_seconds, settings.chunk_seconds)
    return due if len(due) > 1 else ()


@dataclass(frozen=True)
class ChunkedFilm:
    """A film that is made in chunks, in `folder`."""

    program: str
    job: VideoPass
    due: tuple[Chunk, ...]
    folder: Path
    encode: Encode
    most_bytes: int
    """Of all segments; each chunk is bounded to that by its encode."""
    on_progress: Callable[[float], None]
    frames: dict[int, int] = field(default_factory=dict)
    """How many pictures of each chunk there are so far."""

    async def make_on(self, board: Board) -> None:
        """All segments and the playlists of the pictures.

        Raises ProcessFailed, ProcessTimedOut and JobFailed: one pass may do better after the first.
        """
        await board.fill(self)
        await asyncio.to_thread(self._join)

    def tell(self, chunk: Chunk, frames: int) -> None:
        """So many pictures of a chunk are there."""
        self.frames[chunk.number] = frames
        total = sum(chunk.frames for chunk in self.due)
        self.on_progress(min(1.0, sum(self.frames.values()) / total))

    async def make(self, chunk: Chunk) -> Sequence[Path]:
        """Make a chunk; its segments, in the film's folder.

        Raises as :meth:`make_on`.
        """
        place = self.folder / f".chunk-{chunk.number:03}"
        problem = ""
        for lead in LEADS:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            try:
                await self._encode(chunk.led(lead), place)
                made = await asyncio.to_thread(accept, self.job, chunk, place)
            except ValueError as unfit:
                problem = str(unfit)
                logger.warning("chunk %d with a lead of %s s: %s", chunk.number, lead, unfit)
            else:
                await asyncio.to_thread(self._check_size)
                self.tell(chunk, chunk.frames)
                return made
            finally:
                shutil.rmtree(place, ignore_errors=True)
        raise JobFailed(
            WorkerErrorCode.OUTPUT_INVALID,
            "The converted file did not pass our checks; a retry may help.",
            f"chunk {chunk.number}: {problem}",
        )

    async def _encode(self, chunk: Chunk, place: Path) -> None:
        def hear(said: bytes) -> None:
            if (frames := progress_frames(said)) is not None:
                self.tell(chunk, frames)

        part = replace(self.job, audio=None, waveform_rate_hz=None, chunk=chunk)
        await self.encode(ffmpeg.video_pass(self.program, part), place, hear)

    def _check_size(self) -> None:
        if sum(path.stat().st_size for path in self.folder.glob("*.ts")) > self.most_bytes:
            raise JobFailed(WorkerErrorCode.INPUT_TOO_LARGE, TOO_MUCH_OUTPUT)

    def _join(self) -> None:
        self._check_size()
        playlists = [
            _playlist(self.folder, self.job, p.rung.name, self.due) for p in self.job.rungs
        ]
        target = target_duration(playlists)
        for playlist in playlists:
            (self.folder / playlist.uri).write_text(render_media(playlist, target))


def accept(job: VideoPass, chunk: Chunk, place: Path) -> Sequence[Path]:
    """Move a chunk's segments from the folder `place` to the one above it; where they are then.

    ValueError when pictures are missing or stand elsewhere than in one pass.
    """
    made = [_in_order(place, planned.rung.name, chunk) for planned in job.rungs]
    if len({len(paths) for paths in made}) > 1:
        raise ValueError("renditions have different numbers of segments")
    for number, path in enumerate(made[-1], chunk.first_segment):  # the smallest, of all alike
        _check(job, chunk, number, path, is_end=chunk.is_last and path == made[-1][-1])
    if not chunk.is_last:
        for paths in made:
            close_counters(paths[-1])
    return [path.replace(place.parent / path.name) for paths in made for path in paths]


def _in_order(place: Path, rendition: str, chunk: Chunk) -> list[Path]:
    there = sorted(place.glob(f"{rendition}_*.ts"))
    first = chunk.first_segment
    due = [place / segment_name(rendition, first + n) for n in range(len(there))]
    # The end of a film may come sooner than its container says.
    fewest = 1 if chunk.is_last else chunk.segments
    if there != due or not fewest <= len(there) <= chunk.segments:
        raise ValueError(f"{rendition} has {len(there)} segments, not {chunk.segments}")
    return due


def _check(job: VideoPass, chunk: Chunk, number: int, path: Path, *, is_end: bool) -> None:
    shown = read_segment(path).presented
    first, beyond = (first_frame(n, job.frame_rate) for n in (number, number + 1))
    frames = min(beyond, chunk.end_frame) - first
    if not len(shown) or len(shown) > frames or (len(shown) < frames and not is_end):
        raise ValueError(f"{path.name} has {len(shown)} pictures, not {frames}")
    due = round((START_OFFSET_SECONDS + first / job.frame_rate) * CLOCK_HZ)
    late = int(shown.min()) - due - MUXER_DELAY_TICKS
    if abs(late) > TICKS_OF_ROUNDING:
        raise ValueError(f"{path.name} begins {late / CLOCK_HZ:.3f} s late")


def _playlist(folder: Path, job: VideoPass, rendition: str, due: Sequence[Chunk]) -> MediaPlaylist:
    total = sum(chunk.segments for chunk in due)
    paths = [folder / segment_name(rendition, number) for number in range(total)]
    paths = [path for path in paths if path.is_file()]  # the last chunk may have fewer
    last = len(paths) - 1
    starts = [first_frame(number, job.frame_rate) for number in range(len(paths))]
    frames = [beyond - first for first, beyond in pairwise(starts)]
    frames.append(len(read_segment(paths[last]).presented))
    return MediaPlaylist(
        rendition,
        tuple(
            Segment(path.name, float(count / job.frame_rate), path.stat().st_size)
            for path, count in zip(paths, frames, strict=True)
        ),
    )
