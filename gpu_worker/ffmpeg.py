"""Builders of ffmpeg and ffprobe command lines. Pure: plans in, argv out, nothing is run.

Flags are those that ffmpeg 5.1 and 9 share.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Literal

from gpu_worker import (
    animated,
    cuda,
    encoders,
    fragmented,
    loudness,
    sound,
    storyboard,
    video_graph,
)
from gpu_worker.chunks import SEGMENT_SECONDS, Chunk
from gpu_worker.colour import PRODUCED, Colour
from gpu_worker.fragmented import Codec
from gpu_worker.ladder import PlannedRung, Size
from gpu_worker.sound import CLEAN as _CLEAN
from gpu_worker.sound import AudioPlan
from gpu_worker.sound import seconds as _seconds
from gpu_worker.storyboard import Storyboard
from gpu_worker.video_graph import JPEG

START_OFFSET_SECONDS = 10
"""Room below the first picture for negative decoding times and for AAC's priming frame. Without
it each muxer shifts its own rendition, and sound and picture start apart."""

# No hls, dash, concat or image sequences: those open other files than the one they are in.
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,mpegvideo,m4v,h264,hevc,ivf,asf,"
    "mxf,ogg,wav,w64,aiff,au,caf,mp3,aac,flac,ac3,eac3,amr,amrnb,amrwb,ape,wv,tta,dv,nut"
)
VideoEncoder = Literal["h264_nvenc", "libx264"]
MAX_STREAMS = 32
MAX_PROBED_PIXELS = 2**27
"""Far above what is encoded, so that ffprobe can still tell how large a picture is."""


@dataclass(frozen=True)
class Source:
    """The file to read; `max_pixels` bounds what a decoder may allocate for one picture."""

    path: Path
    max_pixels: int
    max_streams: int = MAX_STREAMS


@dataclass(frozen=True)
class VideoPass:
    """Everything one decode of a video is turned into. Times are seconds from its start."""

    source: Source
    index: int
    canvas: Size
    rungs: tuple[PlannedRung, ...]
    frame_rate: Fraction
    length_seconds: float
    poster_at_seconds: float
    encoder: VideoEncoder
    x264_preset: str
    beside: tuple[Codec, ...] = ()
    """Each rung in these codecs as well."""
    beside_on_cpu: bool = False
    """Even where H.264 is encoded by the GPU."""
    on_gpu: bool = False
    """Decoded and scaled there too: only with its encoder, and without conversion of colours."""
    colour: Colour | None = PRODUCED
    """None for RGB and grey."""
    interlaced: bool = False
    skip_seconds: float = 0.0
    """Of sound before the first picture, which is left out."""
    pad_seconds: float = 0.0
    audio: AudioPlan | None = None
    storyboard: Storyboard | None = None
    animated: bool = False
    waveform_rate_hz: int | None = None
    """The sound's own; None without sound, or where no waveform is wanted of it."""
    processors: int = 1
    """How many it may keep busy. Bytes of what is made depend on it, its looks do not."""
    chunk: Chunk | None = None
    """The part of the film that is wanted, its renditions alone; None: all of it."""


@dataclass(frozen=True)
class AudioPass:
    """Everything one decode of an audio file is turned into."""

    source: Source
    audio: AudioPlan
    sample_rate_hz: int
    max_seconds: float


def ffprobe(program: str, source: Source) -> list[str]:
    """Describe the file's format, streams and first packet as JSON."""
    return [
        program, "-v", "error", "-hide_banner",
        *_guards(MAX_PROBED_PIXELS, source.max_streams),
        "-of", "json", "-show_format", "-show_streams",
        "-show_packets", "-read_intervals", "%+#1",
        f"file:{source.path}",
    ]  # fmt: skip


def measure_end(program: str, source: Source, index: int) -> list[str]:
    """Read one stream to its end without decoding; progress on stdout tells where that is."""
    return [
        *_ffmpeg(program), *_input(source),
        "-map", f"0:{index}", "-c", "copy", "-f", "null", "-progress", "pipe:1", "-",
    ]  # fmt: skip


def video_pass(program: str, job: VideoPass) -> list[str]:
    """All renditions and the poster from one decode, written below the current directory.

    To stdout goes the PCM of the waveform, as in :func:`audio_pass`, or progress without one.
    """
    progress = ["-progress", "pipe:1", "-stats_period", "0.5"]
    argv = [
        *_ffmpeg(program), *(progress if job.waveform_rate_hz is None else []),
        *([cuda.STRICT, *cuda.INPUT] if job.on_gpu else []),
        *_moved(job), *_sought(job), *_input(job.source), *_filter_threads(job),
        "-filter_complex", ";".join([*video_graph.chains(job), *_sound_graph(job)]),
    ]  # fmt: skip
    threads = encoders.threads(job.rungs, job.processors)
    for number, planned in enumerate(job.rungs):
        argv += ["-map", f"[v{number}]"]
        argv += encoders.h264(
            job.encoder, planned.rung, job.frame_rate, job.x264_preset, job.chunk,
            threads=threads[number],
        )  # fmt: skip
        argv += _picture_output(planned.rung.name, job)
    if job.chunk is not None:
        return argv
    by = "libx264" if job.beside_on_cpu else job.encoder
    for codec, (number, planned) in product(job.beside, enumerate(job.rungs)):
        argv += ["-map", f"[{codec}_{number}]"]
        argv += encoders.BESIDE[codec](by, planned.rung, job.frame_rate, job.x264_preset)
        argv += ["-t", _seconds(job.length_seconds), *_CLEAN]
        argv += fragmented.muxer(planned, codec, SEGMENT_SECONDS)
    if job.audio is not None:
        argv += _audio_outputs(job.audio, "audio-", job.length_seconds)
        if job.waveform_rate_hz is not None:
            argv += sound.waveform(job.audio, job.waveform_rate_hz, job.length_seconds)
    argv += _beside_outputs(job)
    argv += ["-map", "[poster]", "-frames:v", "1", "-c:v", "mjpeg", "-q:v", "3", *_CLEAN]
    return [*argv, "-f", "image2", "-update", "1", "poster.jpg"]


def sound_pass(program: str, job: VideoPass, audio: AudioPlan) -> list[str]:
    """The sound of a film whose pictures are made in chunks: as :func:`video_pass` makes it."""
    argv = [*_ffmpeg(program), *_moved(job), *_input(job.source)]
    argv += ["-filter_complex", ";".join(sound.graph(audio, job.length_seconds))]
    argv += _audio_outputs(audio, "audio-", job.length_seconds)
    if job.waveform_rate_hz is not None:
        argv += sound.waveform(audio, job.waveform_rate_hz, job.length_seconds)
    return argv


def pictures_pass(program: str, job: VideoPass, stream: Path) -> list[str]:
    """Storyboard and animated preview of a film made in chunks, from a finished rendition."""
    graph = ";".join(video_graph.beside_alone(job))
    given = _input(replace(job.source, path=stream))
    return [*_ffmpeg(program), *given, "-filter_complex", graph, *_beside_outputs(job)]


def audio_pass(program: str, job: AudioPass) -> list[str]:
    """All audio renditions from one decode, and on stdout the PCM the waveform is made of.

    PCM: signed 16 bits, little endian, interleaved, at the source's own rate and channel count.
    """
    return [
        *_ffmpeg(program), *_input(job.source),
        "-filter_complex", ";".join(sound.graph(job.audio, job.max_seconds, alone=True)),
        *_audio_outputs(job.audio, "", job.max_seconds),
        "-map", f"0:{job.audio.index}", "-t", _seconds(job.max_seconds),
        *sound.pcm(job.sample_rate_hz, job.audio.channels),
    ]  # fmt: skip


def loudness_pass(program: str, source: Source, audio: AudioPlan, seconds: float) -> list[str]:
    """Measure the sound alone, as it will be delivered."""
    chain = [*sound.chain(audio), loudness.filters(_seconds(seconds))]
    return [
        *_ffmpeg(program), *_input(source),
        "-filter_complex", f"[0:{audio.index}]{','.join(chain)}[measured]",
        "-map", "[measured]", "-f", "null", "-",
    ]  # fmt: skip


def preview_copy(program: str, streams: Sequence[Path]) -> list[str]:
    """Mux finished transport streams (picture first, then sound) into the preview, copied.

    `-copyts`: each file would otherwise be moved to zero by itself, sound away from picture.
    """
    argv = [*_ffmpeg(program), "-copyts"]
    for stream in streams:
        argv += ["-protocol_whitelist", "file", "-f", "mpegts", "-i", f"file:{stream}"]
    for number in range(len(streams)):
        argv += ["-map", f"{number}:0"]
    return [*argv, "-c", "copy", *_CLEAN, *_hls_muxer("preview", "preview/")]


def still(program: str, segment: Path, at_seconds: float) -> list[str]:
    """One frame of a finished segment as `poster.jpg`."""
    return [
        *_ffmpeg(program), "-ss", _seconds(at_seconds),
        "-protocol_whitelist", "file", "-f", "mpegts", "-i", f"file:{segment}",
        "-map", "0:v:0", "-vf", JPEG, "-frames:v", "1", "-c:v", "mjpeg", "-q:v", "3", *_CLEAN,
        "-f", "image2", "-update", "1", "poster.jpg",
    ]  # fmt: skip


def _ffmpeg(program: str) -> list[str]:
    return [program, "-hide_banner", "-nostdin", "-v", "error", "-y"]


def _guards(max_pixels: int, max_streams: int) -> list[str]:
    return [
        "-protocol_whitelist", "file", "-format_whitelist", DEMUXERS,
        "-max_streams", str(max_streams), "-max_pixels", str(max_pixels),
    ]  # fmt: skip


def _input(source: Source) -> list[str]:
    return [*_guards(source.max_pixels, source.max_streams), "-i", f"file:{source.path}"]


def _moved(job: VideoPass) -> list[str]:
    return ["-itsoffset", f"-{_seconds(job.skip_seconds)}"] if job.skip_seconds else []


def _sought(job: VideoPass) -> list[str]:
    """From the key frame before a chunk, with the times that one pass over the film sees.

    `-noaccurate_seek`: the picture before the first one may have to stand in for it.
    """
    if (chunk := job.chunk) is None or chunk.first_frame == 0:
        return []
    kept = ["-copyts", "-start_at_zero"]
    if chunk.lead_seconds is None:
        return kept
    at = max(0.0, float(chunk.starts_at(job.frame_rate)) - chunk.lead_seconds)
    return [*kept, "-noaccurate_seek", "-ss", _seconds(at)]


def _filter_threads(job: VideoPass) -> list[str]:
    """Fewer than processors where those encode: what is won by cutting pictures up is little."""
    few = str(max(1, job.processors // 4))
    return ["-filter_complex_threads", few] if job.encoder == "libx264" else []


def _beside_outputs(job: VideoPass) -> list[str]:
    argv: list[str] = []
    if job.storyboard is not None:
        argv += ["-map", "[board]", *_CLEAN, *storyboard.output()]
    if job.animated:
        argv += ["-map", "[moving]", *_CLEAN, *animated.output()]
    return argv


def _sound_graph(job: VideoPass) -> list[str]:
    return [] if job.audio is None else sound.graph(job.audio, job.length_seconds)


def _audio_outputs(audio: AudioPlan, prefix: str, length_seconds: float) -> list[str]:
    argv: list[str] = []
    for number, kbps in enumerate(audio.kbps):
        argv += ["-map", f"[a{number}]", "-c:a", "aac", "-profile:a", "aac_low"]
        argv += ["-b:a", f"{kbps}k", *_hls_output(f"{prefix}{kbps}k", length_seconds)]
    return argv


def _picture_output(name: str, job: VideoPass) -> list[str]:
    """As :func:`_hls_output`; of a chunk, with the names and times that one pass would give."""
    if (chunk := job.chunk) is None:
        return _hls_output(name, job.length_seconds)
    # Else ffmpeg repeats the first picture until its time has come.
    cap = ["-fps_mode", "passthrough", "-frames:v", str(chunk.frames)]
    each = float(chunk.segment_time(job.frame_rate))
    muxer = ["-start_number", str(chunk.first_segment), *_hls_muxer(name, "", _seconds(each))]
    return [*cap, *_CLEAN, "-output_ts_offset", str(START_OFFSET_SECONDS), *muxer]


def _hls_output(name: str, length_seconds: float) -> list[str]:
    """One rendition: playlist `name.m3u8`, segments `name_000.ts`. `-t` is the cap on frames."""
    offset = ["-output_ts_offset", str(START_OFFSET_SECONDS)]
    return ["-t", _seconds(length_seconds), *_CLEAN, *offset, *_hls_muxer(name, "")]


def _hls_muxer(name: str, folder: str, seconds: str = str(SEGMENT_SECONDS)) -> list[str]:
    """The often seen `-muxdelay 0` is left out: it gives each AAC frame packets of its own, which
    makes 64 kb/s of sound 140 kb/s of transport stream.
    """
    return [
        "-f", "hls", "-hls_time", seconds,
        # A segment has another name until it is whole.
        "-hls_flags", "temp_file",
        "-hls_playlist_type", "vod", "-hls_segment_filename", f"{folder}{name}_%03d.ts",
        f"{folder}{name}.m3u8",
    ]  # fmt: skip
