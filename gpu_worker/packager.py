"""Turns one local file into the whole output of a job, in a folder; knows no bucket and no HTTP."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gpu_worker import conformance, ffmpeg, ladder, plan
from gpu_worker.contract import Encoder, MediaType, WorkerErrorCode
from gpu_worker.errors import JobFailed, ProcessFailed, ProcessTimedOut
from gpu_worker.extras import ExtrasMade, Pictures
from gpu_worker.iframes import lines as iframe_lines
from gpu_worker.iframes import make_iframes
from gpu_worker.normalise import normalised
from gpu_worker.playlist import (
    MediaPlaylist,
    Variant,
    audio_variant,
    join_tail,
    measured_variant,
    read_media_playlist,
    render_media,
    render_multivariant,
    target_duration,
)
from gpu_worker.preview import make_preview
from gpu_worker.probe import UNREADABLE, MediaProbe, probe, with_ends
from gpu_worker.process import TOO_MUCH_MEMORY, Limits, run
from gpu_worker.sandbox import Room
from gpu_worker.settings import EncodeSettings
from gpu_worker.sound import AudioPlan
from gpu_worker.thumbnail import ensure_poster
from gpu_worker.tools import EncoderChoice, Tools
from gpu_worker.transport import read_segment
from gpu_worker.waveform import Heard, Waveform

OnProgress = Callable[[float], None]
"""Takes the share of the encode that is done, 0 to 1."""
TOOK_TOO_LONG = "Converting this file took too long."
MAX_SEGMENT_BYTES = 256 * 1024**2
TOO_MANY_ERRORS = 69
"""ffmpeg's status when more than two thirds of a track could not be decoded."""
CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL})
"""What a program brings upon itself: the same file brings it about again."""

OUT_OF_MEMORY = ("Cannot allocate memory", "malloc of size")
"""What ffmpeg and x264 say when they get no more."""


@dataclass(frozen=True)
class Package:
    """What was made. In `folder` are playlists and segments, `poster.jpg`, `waveform.json`,
    `conformance.json` and `extras.json` with what it names.

    `duration_seconds` is that of the renditions; `width` and `height` those of the largest.
    """

    folder: Path
    variants: tuple[Variant, ...]
    duration_seconds: float
    encoder: Encoder
    encoder_note: str | None
    probe: dict[str, object]
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class Packager:
    """The tools, the encoder and the limits all files of this worker are packaged with."""

    tools: Tools
    encoder: EncoderChoice
    settings: EncodeSettings

    async def package(
        self, path: Path, wanted: MediaType, folder: Path, on_progress: OnProgress
    ) -> Package:
        """Write the output of the file at `path` into the empty `folder`.

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
            raise self._failed(failure, wanted) from failure
        except TimeoutError as error:
            if deadline.expired():
                raise JobFailed(WorkerErrorCode.TIMED_OUT, TOOK_TOO_LONG) from error
            raise

    async def _package(
        self, path: Path, wanted: MediaType, folder: Path, on_progress: OnProgress
    ) -> Package:
        size = path.stat().st_size  # noqa: ASYNC240 - a local file's, at once
        plan.check_size(size, self.settings.max_input_bytes)
        source = ffmpeg.Source(path, self.settings.max_pixels, self.settings.max_streams)
        found = await probe(self.tools, source)
        plan.check(found, wanted, self.settings)
        if wanted == "video":
            return await self._video(source, found, folder, on_progress)
        return await self._audio(source, found, folder, on_progress)

    def _failed(self, failure: ProcessFailed, wanted: MediaType) -> JobFailed:
        """The file's doing where ffmpeg crashed on it, unless a GPU's driver had a hand in it."""
        on_gpu = wanted == "video" and self.encoder.encoder == "h264_nvenc"
        if -failure.returncode in CRASHES and not on_gpu:
            return JobFailed(
                WorkerErrorCode.INPUT_UNSUPPORTED,
                "Our converter breaks off on this file; please export it again, e.g. as MP4.",
                f"{failure}",
            )
        if any(sign in failure.stderr_tail for sign in OUT_OF_MEMORY):
            return JobFailed(WorkerErrorCode.INPUT_TOO_LARGE, TOO_MUCH_MEMORY, failure.stderr_tail)
        return JobFailed(
            WorkerErrorCode.ENCODE_FAILED,
            "Converting this file failed on our side; a retry may help.",
            failure.stderr_tail,
        )

    async def _video(
        self, source: ffmpeg.Source, found: MediaProbe, folder: Path, on_progress: OnProgress
    ) -> Package:
        timed = await with_ends(self.tools, source, found)
        job = plan.video_pass(source, timed, self.encoder.encoder, self.settings)
        made = ExtrasMade(folder)
        if job.audio is not None:
            audio = await normalised(
                self.tools, self.settings, source, job.audio, seconds=job.length_seconds, made=made
            )
            job = replace(job, audio=audio)
        heard = Heard(job, on_progress)
        await self._encode(ffmpeg.video_pass(self.tools.ffmpeg, job), source, folder, heard.take)
        videos = [_produced(folder, planned.rung.name) for planned in job.rungs]
        segments = len(videos[0].segments)
        audios = {
            kbps: join_tail(folder, audio, segments)
            for kbps, audio in _produced_audio(folder, job.audio).items()
        }
        await ensure_poster(self.tools, folder, videos[0])
        variants = _finish_video(folder, job, videos, audios)
        previewed = variants[job.rungs.index(ladder.preview_rung(job.rungs))]
        parts = [previewed.playlist, *list(audios.values())[:1]]
        await make_preview(self.tools, folder, parts)
        made.attempt("waveform", lambda: heard.write(folder))
        seconds = videos[0].seconds
        due = Pictures(job.storyboard, job.animated, job.canvas, seconds, job.frame_rate)
        made.finish(job.audio, due)
        await asyncio.to_thread(conformance.check, folder)
        return Package(
            folder=folder,
            variants=variants,
            duration_seconds=round(seconds, 3),
            encoder=self.encoder.encoder,
            encoder_note=self.encoder.note,
            probe=found.document,
            width=job.rungs[0].size.width,
            height=job.rungs[0].size.height,
        )

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

        await self._encode(ffmpeg.audio_pass(self.tools.ffmpeg, job), source, folder, take)
        waveform.finish()
        waveform.write(folder / "waveform.json")
        playlists = list(_produced_audio(folder, job.audio, prefix="").values())
        target = _write_media(folder, playlists)
        variants = tuple(audio_variant(playlist, target) for playlist in playlists)
        (folder / "master.m3u8").write_text(render_multivariant(variants))
        await make_preview(self.tools, folder, playlists[:1])
        made.finish(job.audio)
        await asyncio.to_thread(conformance.check, folder)
        return Package(
            folder=folder,
            variants=variants,
            duration_seconds=round(playlists[0].seconds, 3),
            encoder="aac",
            encoder_note=None,
            probe=found.document,
        )

    async def _encode(
        self,
        argv: list[str],
        source: ffmpeg.Source,
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
            nothing = "Invalid data found" in failure.stderr_tail and not _has_output(folder)
            if nothing or failure.returncode == TOO_MANY_ERRORS:
                raise JobFailed(
                    WorkerErrorCode.INPUT_UNREADABLE, UNREADABLE, failure.stderr_tail
                ) from failure
            raise


def _has_output(folder: Path) -> bool:
    return any(path.stat().st_size > 0 for path in folder.glob("*.ts"))


def _finish_video(
    folder: Path,
    job: ffmpeg.VideoPass,
    videos: list[MediaPlaylist],
    audios: dict[int, MediaPlaylist],
) -> tuple[Variant, ...]:
    """Write the renditions' playlists and the multivariant playlist."""
    codecs = [_codecs(folder, video) for video in videos]
    target = _write_media(folder, [*videos, *audios.values()])
    variants = tuple(
        measured_variant(
            video,
            target,
            avc_codecs=told,
            width=planned.size.width,
            height=planned.size.height,
            frame_rate=float(job.frame_rate),
            audio=audios.get(planned.rung.audio_kbps),
        )
        for planned, video, told in zip(job.rungs, videos, codecs, strict=True)
    )
    scrubbed = [
        make_iframes(
            folder, video, codecs=told, width=planned.size.width, height=planned.size.height
        )
        for planned, video, told in zip(job.rungs, videos, codecs, strict=True)
    ]
    (folder / "master.m3u8").write_text(render_multivariant(variants) + iframe_lines(scrubbed))
    return variants


def _produced_audio(
    folder: Path, audio: AudioPlan | None, prefix: str = "audio-"
) -> dict[int, MediaPlaylist]:
    """The audio renditions by their kilobits a second."""
    rates = () if audio is None else audio.kbps
    return {kbps: _produced(folder, f"{prefix}{kbps}k") for kbps in rates}


def _produced(folder: Path, name: str) -> MediaPlaylist:
    """A rendition ffmpeg has finished; without any segment nothing of the input was decodable."""
    try:
        made = read_media_playlist(folder / f"{name}.m3u8")
    except (OSError, ValueError) as error:
        raise JobFailed(WorkerErrorCode.INPUT_UNREADABLE, UNREADABLE, str(error)) from error
    if made.seconds <= 0:
        raise JobFailed(WorkerErrorCode.INPUT_UNREADABLE, UNREADABLE, f"{name} lasts no time")
    return made


def _codecs(folder: Path, video: MediaPlaylist) -> str:
    try:
        return read_segment(folder / video.segments[0].uri).codecs
    except ValueError as error:  # sound and no picture in it
        raise JobFailed(WorkerErrorCode.INPUT_UNREADABLE, UNREADABLE, str(error)) from error


def _write_media(folder: Path, playlists: list[MediaPlaylist]) -> int:
    """Write all media playlists with one target duration, which is returned."""
    target = target_duration(playlists)
    for playlist in playlists:
        (folder / playlist.uri).write_text(render_media(playlist, target))
    return target
