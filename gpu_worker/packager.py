"""Turns one local file into the whole output of a job, in a folder; knows no bucket and no HTTP."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gpu_worker import conformance, ffmpeg, ladder, plan
from gpu_worker.chunked import Board, ChunkedFilm, cut
from gpu_worker.chunks import Chunk
from gpu_worker.contract import Encoder, MediaType, WorkerErrorCode
from gpu_worker.ends import with_ends
from gpu_worker.errors import JobFailed, ProcessFailed, ProcessTimedOut
from gpu_worker.extras import ExtrasMade, Pictures
from gpu_worker.finishing import finish_video, write_media
from gpu_worker.leftovers import empty, has_output, produced, produced_audio
from gpu_worker.normalise import normalised
from gpu_worker.pictures import make_pictures
from gpu_worker.pipelines import by, first_way, way_after, worth_another_way
from gpu_worker.playlist import (
    Variant,
    audio_variant,
    join_tail,
    render_multivariant,
    target_duration,
)
from gpu_worker.preview import Preview
from gpu_worker.probe import UNREADABLE, MediaProbe, probe
from gpu_worker.process import Limits, run
from gpu_worker.sandbox import Room
from gpu_worker.settings import EncodeSettings
from gpu_worker.thumbnail import ensure_poster
from gpu_worker.together import together
from gpu_worker.tools import EncoderChoice, Tools
from gpu_worker.verdict import job_failed
from gpu_worker.waveform import Heard, Waveform

logger = logging.getLogger(__name__)

OnProgress = Callable[[float], None]
"""Takes the share of the encode that is done, 0 to 1."""
TOOK_TOO_LONG = "Converting this file took too long."
MAX_SEGMENT_BYTES = 256 * 1024**2
TOO_MANY_ERRORS = 69
"""ffmpeg's status when more than two thirds of a track could not be decoded."""


@dataclass(frozen=True)
class Package:
    """What was made. In `folder` are playlists and segments, `poster.jpg`, `waveform.json`,
    `conformance.json` and `extras.json` with what it names.

    `duration_seconds` is that of the renditions; `width` and `height` those of the largest.
    """

    folder: Path
    media_type: MediaType
    variants: tuple[Variant, ...]
    duration_seconds: float
    encoder: Encoder
    encoder_note: str | None
    probe: dict[str, object]
    width: int | None = None
    height: int | None = None
    tries: int = 1
    """More than one: segments of an earlier try had the same names, and may be in the bucket."""


class _Work(NamedTuple):
    """A video to convert: planned, probed, what is to be told of it, and where to."""

    job: ffmpeg.VideoPass
    found: MediaProbe
    notes: tuple[str, ...]
    folder: Path
    on_progress: OnProgress
    chunks: tuple[Chunk, ...] = ()
    """None: in one pass."""


@dataclass(frozen=True)
class Packager:
    """The tools, the encoder and the limits all files of this worker are packaged with.

    Long films are made in chunks where there is a board.
    """

    tools: Tools
    encoder: EncoderChoice
    settings: EncodeSettings
    board: Board | None = None

    async def package(
        self, path: Path, wanted: MediaType | None, folder: Path, on_progress: OnProgress
    ) -> Package:
        """Write the output of the file at `path` into the empty `folder`.

        Where nothing is `wanted`, it is a video if it has a picture, and audio otherwise.
        Raises :class:`JobFailed`: an input that is unreadable, unsupported, too large or without
        the wanted kind of track; an encode that failed or ran out of time; an invalid output.
        """
        deadline = asyncio.timeout(self.settings.max_wall_seconds)
        try:
            async with deadline:
                return await self._package(path, wanted, folder, on_progress)
        except ProcessTimedOut as failure:
            raise JobFailed(
                WorkerErrorCode.TIMED_OUT, TOOK_TOO_LONG, failure.stderr_tail
            ) from failure
        except ProcessFailed as failure:
            raise job_failed(failure) from failure
        except TimeoutError as error:
            if deadline.expired():
                raise JobFailed(WorkerErrorCode.TIMED_OUT, TOOK_TOO_LONG) from error
            raise

    async def _package(
        self, path: Path, wanted: MediaType | None, folder: Path, on_progress: OnProgress
    ) -> Package:
        size = path.stat().st_size  # noqa: ASYNC240 - a local file's, at once
        plan.check_size(size, self.settings.max_input_bytes)
        source = ffmpeg.Source(path, self.settings.max_pixels, self.settings.max_streams)
        found = await probe(self.tools, source)
        if wanted is None:
            wanted = "audio" if found.video is None else "video"
        plan.check(found, wanted, self.settings)
        if wanted == "video":
            return await self._video(source, found, folder, on_progress)
        return await self._audio(source, found, folder, on_progress)

    async def _video(
        self, source: ffmpeg.Source, found: MediaProbe, folder: Path, on_progress: OnProgress
    ) -> Package:
        timed = await with_ends(self.tools, source, found)
        job = plan.video_pass(source, timed, self.encoder.encoder, self.settings)
        notes: tuple[str, ...] = ()
        if job.audio is not None:
            made = ExtrasMade(folder)
            audio = await normalised(
                self.tools, self.settings, source, job.audio, seconds=job.length_seconds, made=made
            )
            job, notes = replace(job, audio=audio), tuple(made.notes)
        way = first_way(self.encoder, timed, job.canvas)
        due = cut(job, found, self.settings) if self.board is not None else ()
        work = _Work(job, found, notes, folder, on_progress, due)
        return await self._video_somehow(way, work)

    async def _video_somehow(self, way: EncoderChoice, work: _Work) -> Package:
        """By `way` or one after it; what a way that failed has left is removed first.

        What cannot be made in chunks is made in one pass by the same way.
        """
        try:
            return await self._video_by(way, work)
        except (ProcessFailed, JobFailed) as failure:
            in_one_pass = bool(work.chunks) and worth_another_way(failure)
            further = way if in_one_pass else way_after(way, failure)
            if further is None:
                raise
            reason = f"in one pass, after {failure}" if in_one_pass else further.note
        logger.warning("starting over: %s", reason)
        await asyncio.to_thread(empty, work.folder)
        made = await self._video_somehow(further, work._replace(chunks=()))
        return replace(made, tries=made.tries + 1)

    async def _video_by(self, way: EncoderChoice, work: _Work) -> Package:
        job, folder = by(way, work.job), work.folder
        made = ExtrasMade(folder, work.notes)
        preview = Preview(self.tools, folder)
        heard = await self._encoded(job, work, preview)
        videos = [produced(folder, planned.rung.name) for planned in job.rungs]
        segments = len(videos[0].segments)
        audios = {
            kbps: join_tail(folder, audio, segments)
            for kbps, audio in produced_audio(folder, job.audio).items()
        }
        await ensure_poster(self.tools, folder, videos[0])
        step = self.settings.min_rung_step
        variants = await asyncio.to_thread(finish_video, folder, job, videos, audios, step)
        kept = {variant.playlist.name: variant for variant in variants}
        rungs = tuple(planned for planned in job.rungs if planned.rung.name in kept)
        previewed = kept[ladder.preview_rung(rungs).rung.name]
        parts = [previewed.playlist, *list(audios.values())[:1]]
        await preview.make(parts)
        made.attempt("waveform", lambda: heard.write(folder))
        seconds = videos[0].seconds
        due = Pictures(job.storyboard, job.animated, job.canvas, seconds, job.frame_rate)
        made.finish(job.audio, due)
        await asyncio.to_thread(conformance.check, folder)
        return Package(
            folder=folder,
            media_type="video",
            variants=variants,
            duration_seconds=round(seconds, 3),
            encoder=way.encoder,
            encoder_note=way.note,
            probe=work.found.document,
            width=job.rungs[0].size.width,
            height=job.rungs[0].size.height,
        )

    async def _encoded(self, job: ffmpeg.VideoPass, work: _Work, preview: Preview) -> Heard:
        """All that one decode of the film is turned into, or the same in chunks."""
        if self.board is not None and work.chunks:
            return await self._in_chunks(job, work, self.board)
        heard = Heard(job, work.on_progress)
        argv = ffmpeg.video_pass(self.tools.ffmpeg, job)
        encode = self.encode(job.source, argv, work.folder, heard.take)
        if self.settings.min_rung_step is not None:  # Which rungs stay is known at the end.
            await encode
            return heard
        sounds = [] if job.audio is None else [f"audio-{job.audio.kbps[0]}k"]
        async with preview.early([ladder.preview_rung(job.rungs).rung.name, *sounds]):
            await encode
        return heard

    async def _in_chunks(self, job: ffmpeg.VideoPass, work: _Work, board: Board) -> Heard:
        """Pictures in chunks, and beside them the sound in one piece."""
        heard = Heard(job, lambda _share: None)
        encode = partial(self.encode, job.source)
        program = self.tools.ffmpeg
        most = self.settings.max_output_bytes
        film = ChunkedFilm(program, job, work.chunks, work.folder, encode, most, work.on_progress)
        works = [film.make_on(board)]
        if job.audio is not None:
            works.append(
                encode(ffmpeg.sound_pass(program, job, job.audio), work.folder, heard.take)
            )
        await together(*works)
        await make_pictures(self.tools, work.folder, job)
        return heard

    async def _audio(
        self, source: ffmpeg.Source, found: MediaProbe, folder: Path, on_progress: OnProgress
    ) -> Package:
        job = plan.audio_pass(source, found, self.settings)
        made = ExtrasMade(folder)
        audio = await normalised(
            self.tools, self.settings, source, job.audio, seconds=job.max_seconds, made=made
        )
        job = replace(job, audio=audio)
        waveform = Waveform(job.sample_rate_hz, job.audio.channels)
        expected_seconds = found.duration_seconds

        def take(pcm: bytes) -> None:
            waveform.feed(pcm)
            if expected_seconds:
                on_progress(min(1.0, waveform.seconds / expected_seconds))

        await self.encode(source, ffmpeg.audio_pass(self.tools.ffmpeg, job), folder, take)
        waveform.finish()
        waveform.write(folder / "waveform.json")
        playlists = list(produced_audio(folder, job.audio, prefix="").values())
        target = target_duration(playlists)
        write_media(folder, playlists, target)
        variants = tuple(audio_variant(playlist, target) for playlist in playlists)
        (folder / "master.m3u8").write_text(render_multivariant(variants))
        await Preview(self.tools, folder).make(playlists[:1])
        made.finish(job.audio)
        await asyncio.to_thread(conformance.check, folder)
        return Package(
            folder=folder,
            media_type="audio",
            variants=variants,
            duration_seconds=round(playlists[0].seconds, 3),
            encoder="aac",
            encoder_note=None,
            probe=found.document,
        )

    async def encode(
        self,
        source: ffmpeg.Source,
        argv: list[str],
        folder: Path,
        take: Callable[[bytes], None],
    ) -> None:
        """The pass itself. Where hardly anything or nothing was decoded, the input is to blame."""
        limits = Limits(
            self.settings.max_wall_seconds,
            self.settings.max_cpu_seconds,
            MAX_SEGMENT_BYTES,
            self.settings.max_output_bytes,
        )
        room = Room(folder, (source.path,), writes=True)
        try:
            await run(argv, sandbox=self.tools.sandbox, room=room, limits=limits, on_stdout=take)
        except ProcessFailed as failure:
            nothing = "Invalid data found" in failure.stderr_tail and not has_output(folder)
            if nothing or failure.returncode == TOO_MANY_ERRORS:
                raise JobFailed(
                    WorkerErrorCode.INPUT_UNREADABLE, UNREADABLE, failure.stderr_tail
                ) from failure
            raise
