"""Builders of ffmpeg and ffprobe command lines. Pure: plans in, argv out, nothing is run.

Flags are those that ffmpeg 5.1 and 9 share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from gpu_worker import animated, colour, loudness, sound, storyboard
from gpu_worker.colour import PRODUCED, Colour
from gpu_worker.ladder import PlannedRung, Rung, Size
from gpu_worker.sound import CLEAN as _CLEAN
from gpu_worker.sound import AudioPlan
from gpu_worker.sound import seconds as _seconds
from gpu_worker.storyboard import Storyboard

SEGMENT_SECONDS = 6
KEY_FRAME_SECONDS = 2
START_OFFSET_SECONDS = 10
"""Room below the first picture for negative decoding times and for AAC's priming frame. Without
it each muxer shifts its own rendition, and sound and picture start apart."""
TAIL_SLACK_SECONDS = 0.25
"""Containers overstate the length of a stream by some frames: that much is filled."""

# No hls, dash, concat or image sequences: those open other files than the one they are in.
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,mpegvideo,m4v,h264,hevc,ivf,asf,"
    "mxf,ogg,wav,w64,aiff,au,caf,mp3,aac,flac,ac3,eac3,amr,amrnb,amrwb,ape,wv,tta,dv,nut"
)
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
    encoder: Literal["libx264", "h264_nvenc"]
    x264_preset: str
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


def nvenc_probe(program: str) -> list[str]:
    """Encode five frames on the GPU, as large as the pickiest of them wants."""
    return [
        *_ffmpeg(program), "-f", "lavfi", "-i", "color=black:size=256x256:rate=25:duration=0.2",
        "-c:v", "h264_nvenc", "-f", "null", "-",
    ]  # fmt: skip


def video_pass(program: str, job: VideoPass) -> list[str]:
    """All renditions and the poster from one decode, written below the current directory.

    To stdout goes the PCM of the waveform, as in :func:`audio_pass`, or progress without one.
    """
    progress = ["-progress", "pipe:1", "-stats_period", "0.5"]
    argv = [
        *_ffmpeg(program), *(progress if job.waveform_rate_hz is None else []),
        *(["-itsoffset", f"-{_seconds(job.skip_seconds)}"] if job.skip_seconds else []),
        *_input(job.source),
        "-filter_complex", ";".join([*_video_graph(job), *_sound_graph(job)]),
    ]  # fmt: skip
    for number, planned in enumerate(job.rungs):
        argv += ["-map", f"[v{number}]", *_video_encoder(job, planned.rung)]
        argv += _hls_output(planned.rung.name, job.length_seconds)
    if job.audio is not None:
        argv += _audio_outputs(job.audio, "audio-", job.length_seconds)
        if job.waveform_rate_hz is not None:
            argv += sound.waveform(job.audio, job.waveform_rate_hz, job.length_seconds)
    if job.storyboard is not None:
        argv += ["-map", "[board]", *_CLEAN, *storyboard.output()]
    if job.animated:
        argv += ["-map", "[moving]", *_CLEAN, *animated.output()]
    argv += ["-map", "[poster]", "-frames:v", "1", "-c:v", "mjpeg", "-q:v", "3", *_CLEAN]
    return [*argv, "-f", "image2", "-update", "1", "poster.jpg"]


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
        "-map", "0:v:0", "-vf", _JPEG, "-frames:v", "1", "-c:v", "mjpeg", "-q:v", "3", *_CLEAN,
        "-f", "image2", "-update", "1", "poster.jpg",
    ]  # fmt: skip


# JPEG files are BT.601 in full range, whatever the video was.
_JPEG = "zscale=matrix=smpte170m:range=pc,format=yuvj420p"


def _ffmpeg(program: str) -> list[str]:
    return [program, "-hide_banner", "-nostdin", "-v", "error", "-y"]


def _guards(max_pixels: int, max_streams: int) -> list[str]:
    return [
        "-protocol_whitelist", "file", "-format_whitelist", DEMUXERS,
        "-max_streams", str(max_streams), "-max_pixels", str(max_pixels),
    ]  # fmt: skip


def _input(source: Source) -> list[str]:
    return [*_guards(source.max_pixels, source.max_streams), "-i", f"file:{source.path}"]


def _sound_graph(job: VideoPass) -> list[str]:
    return [] if job.audio is None else sound.graph(job.audio, job.length_seconds)


def _video_graph(job: VideoPass) -> list[str]:
    """Deinterlace, fix the rate, scale to the canvas; from there poster and a cascade of rungs.

    ffmpeg itself has turned the picture upright before this.
    """
    chain = [
        *(["bwdif=mode=send_frame:deint=interlaced"] if job.interlaced else []),
        # Repeats frames over gaps: every rendition then has a key frame on every boundary.
        f"fps={_rate(job.frame_rate)}:start_time=0",
        # Or a frame that claims to come days later is filled up to, for an output without `-t`.
        f"trim=end={_seconds(float(job.length_seconds + 1 / job.frame_rate))}",
        *colour.to_bt709(job.colour, f"{job.canvas.width}:{job.canvas.height}"),
        "format=yuv420p",
        "setsar=1",
        "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv",
        f"tpad=stop_mode=clone:stop_duration={_seconds(job.pad_seconds + TAIL_SLACK_SECONDS)}",
    ]
    beside = [f"[still]select=gte(t\\,{_seconds(job.poster_at_seconds)}),{_JPEG}[poster]"]
    if (board := job.storyboard) is not None:
        made = storyboard.filters(board, _seconds(job.length_seconds), _JPEG)
        beside.append(f"[sheets]{made}[board]")
    if job.animated:
        made = animated.filters(job.canvas, job.length_seconds)
        beside.append(f"[moments]{made}[moving]")
    taken = "".join(branch.partition("]")[0] + "]" for branch in beside)
    chain.append(f"split={1 + len(beside)}[canvas]{taken}")
    return [
        f"[0:{job.index}]" + ",".join(chain),
        *beside,
        *_cascade(job),
    ]


def _cascade(job: VideoPass) -> list[str]:
    """Each rung scaled from the one above: as good, and far less to read than the canvas."""
    graph, above, size = [], "[canvas]", job.canvas
    last = len(job.rungs) - 1
    for number, planned in enumerate(job.rungs):
        scale = f"scale={planned.size.width}:{planned.size.height},setsar=1,"
        step = "null," if planned.size == size else scale
        ends = f"null[v{number}]" if number == last else f"split=2[v{number}][c{number}]"
        graph.append(above + step + ends)
        above, size = f"[c{number}]", planned.size
    return graph


def _video_encoder(job: VideoPass, rung: Rung) -> list[str]:
    """H.264 High with capped quality: easy content takes far fewer bytes than the cap."""
    # A buffer of one second: a larger one lets the first seconds take more than the rung's rate.
    cap = ["-maxrate", f"{rung.video_kbps}k", "-bufsize", f"{rung.video_kbps}k"]
    group = str(-(-job.frame_rate.numerator * KEY_FRAME_SECONDS // job.frame_rate.denominator))
    keys = ["-g", group, "-force_key_frames", f"expr:gte(t,n_forced*{KEY_FRAME_SECONDS})"]
    if job.encoder == "libx264":
        return [
            "-c:v", "libx264", "-preset", job.x264_preset, "-profile:v", "high", "-crf", "21",
            *cap, *keys, "-keyint_min", group, "-sc_threshold", "0", "-flags", "+cgop",
        ]  # fmt: skip
    return [
        "-c:v", "h264_nvenc", "-preset", "p5", "-tune", "hq", "-profile:v", "high",
        "-rc", "vbr", "-cq", "23", "-b:v", "0", *cap, *keys,
        # Without forced-idr the forced key frames are plain I frames, and no segment starts there.
        "-forced-idr", "1", "-no-scenecut", "1", "-strict_gop", "1", "-spatial-aq", "1",
    ]  # fmt: skip


def _audio_outputs(audio: AudioPlan, prefix: str, length_seconds: float) -> list[str]:
    argv: list[str] = []
    for number, kbps in enumerate(audio.kbps):
        argv += ["-map", f"[a{number}]", "-c:a", "aac", "-profile:a", "aac_low"]
        argv += ["-b:a", f"{kbps}k", *_hls_output(f"{prefix}{kbps}k", length_seconds)]
    return argv


def _hls_output(name: str, length_seconds: float) -> list[str]:
    """One rendition: playlist `name.m3u8`, segments `name_000.ts`. `-t` is the cap on frames."""
    offset = ["-output_ts_offset", str(START_OFFSET_SECONDS)]
    return ["-t", _seconds(length_seconds), *_CLEAN, *offset, *_hls_muxer(name, "")]


def _hls_muxer(name: str, folder: str) -> list[str]:
    """The often seen `-muxdelay 0` is left out: it gives each AAC frame packets of its own, which
    makes 64 kb/s of sound 140 kb/s of transport stream.
    """
    return [
        "-f", "hls", "-hls_time", str(SEGMENT_SECONDS),
        # A segment has another name until it is whole.
        "-hls_flags", "temp_file",
        "-hls_playlist_type", "vod", "-hls_segment_filename", f"{folder}{name}_%03d.ts",
        f"{folder}{name}.m3u8",
    ]  # fmt: skip


def _rate(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"
