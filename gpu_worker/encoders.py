"""Options of the video encoders. Pure.

NVENC's are those that NVIDIA names for transcoding where latency does not matter ("Using FFmpeg
with NVIDIA GPU Hardware Acceleration", Video Codec SDK 13.1, sections 6.1 and 6.2,
docs.nvidia.com/video-technologies/video-codec-sdk/13.1/ffmpeg-with-nvidia-gpu): preset p5 with
tune hq, two passes a frame of which the first is at a quarter of the size, a buffer of one second,
B pictures of which the middle one is referred to, look-ahead, and spatial *or* temporal AQ, never
both: spatial, since temporal AQ makes sizes uneven within a group, against our caps. Constant
quality in VBR (6.1.3) makes easy content take few bytes, as CRF does with x264.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeVar

from gpu_worker.chunks import SEGMENT_SECONDS, Chunk
from gpu_worker.fragmented import Codec
from gpu_worker.ladder import PlannedRung, Rung

T = TypeVar("T")
KEY_FRAME_SECONDS = 2
LEANER = {
    "faster": (
        ("-motion-est", "dia", "-subq", "2", "-rc-lookahead", "10"),
        ("-motion-est", "dia", "-subq", "3"),
    )
}
"""What of a preset of x264's is not worth its time, in large rungs and in small ones. What VMAF
loses by it a lower CRF brings back, for about the same bytes."""
AQ_STRENGTH = "0.6"
"""x264's own is 1, with which every rung had a VMAF lower by about 0.4 for the same bytes."""
CRF, HEVC_CRF, AV1_CRF = ("21.4", "26"), ("24", "27"), ("41", "48")
"""Of rungs from `LARGE` lines on, and of those below, where the same VMAF takes less. H.264 has at
least 95 in every rung of slides so, and where all moves 0.5 less than constant bit rates at medium
have in any rung, for fewer bytes."""
LARGE = 720
HEVC_SHARE, AV1_SHARE = Fraction(9, 10), Fraction(3, 4)
"""Of H.264's rates. Where all moves, the CPU's encoders, as quick as they have to be, lose by less:
at a half AV1 had a VMAF of 58 to 75 in 360p, and at three quarters 87, where H.264 has 88."""
AV1_PRESETS = {
    "superfast": 11, "veryfast": 10, "faster": 9, "fast": 8, "medium": 7, "slow": 5, "slower": 4,
}  # fmt: skip
"""SVT-AV1's, by x264's."""
LOOKAHEAD = 20
"""Pictures; NVENC takes 31 less the number of B pictures at most."""
NVENC = (
    "-preset", "p5", "-tune", "hq", "-multipass", "qres", "-rc-lookahead", str(LOOKAHEAD),
    "-bf", "3", "-b_ref_mode", "middle", "-spatial-aq", "1",
    # Without forced-idr the forced key frames are plain I frames, and no segment starts there.
    # Look-ahead would put I frames of its own at cuts.
    "-forced-idr", "1", "-no-scenecut", "1", "-strict_gop", "1",
)  # fmt: skip


def threads(rungs: Sequence[PlannedRung], processors: int) -> tuple[int, ...]:
    """How many threads each rung's x264 has, by its share of the pixels.

    Left to itself, that of each rung takes half as many again as there are processors: together
    six a processor, which get in each other's way.
    """
    sizes = [planned.size.width * planned.size.height for planned in rungs]
    return tuple(max(1, round(1.5 * processors * size / sum(sizes))) for size in sizes)


def h264(
    encoder: str,
    rung: Rung,
    frame_rate: Fraction,
    x264_preset: str,
    chunk: Chunk | None = None,
    *,
    threads: int = 1,
) -> list[str]:
    """H.264 High with capped quality: easy content takes far fewer bytes than the cap."""
    group, keys = _groups(frame_rate, chunk)
    if encoder == "libx264":
        return [
            "-c:v", "libx264", "-threads", str(threads),
            "-preset", x264_preset, *leaner(rung, x264_preset),
            "-profile:v", "high", "-aq-strength", AQ_STRENGTH,
            "-crf", _of_size(rung, CRF), *_cap(rung),
            *keys, "-keyint_min", group, "-sc_threshold", "0", "-flags", "+cgop",
        ]  # fmt: skip
    return [
        "-c:v", "h264_nvenc", *NVENC, "-profile:v", "high",
        "-rc", "vbr", "-cq", "23", "-b:v", "0", *_cap(rung), *keys,
    ]  # fmt: skip


def hevc(encoder: str, rung: Rung, frame_rate: Fraction, x265_preset: str) -> list[str]:
    """HEVC Main, beside H.264's rung, capped at nine tenths of its bit rate.

    The tag `hvc1` says that all parameter sets are in the initialisation section.
    """
    group, keys = _groups(frame_rate)
    same = ["-profile:v", "main", "-tag:v", "hvc1", *_cap(rung, HEVC_SHARE), *keys]
    if encoder == "libx264":
        closed = f"log-level=error:scenecut=0:open-gop=0:min-keyint={group}"
        return [
            "-c:v", "libx265", "-preset", x265_preset,
            "-crf", _of_size(rung, HEVC_CRF), *same,
            # Else x265 makes plain I pictures of those that come before min-keyint has passed: at
            # 29.97 a second, every seventeenth, and H.264's segments begin elsewhere.
            "-forced-idr", "1", "-x265-params", closed,
        ]  # fmt: skip
    return ["-c:v", "hevc_nvenc", *NVENC, "-rc", "vbr", "-cq", "26", "-b:v", "0", *same]


def av1(encoder: str, rung: Rung, frame_rate: Fraction, x264_preset: str) -> list[str]:
    """AV1 Main, beside H.264's rung, capped at three quarters of its bit rate."""
    _, keys = _groups(frame_rate)
    same = [*_cap(rung, AV1_SHARE), *keys]
    if encoder == "libx264":
        preset = str(AV1_PRESETS[x264_preset])
        return ["-c:v", "libsvtav1", "-preset", preset, "-crf", _of_size(rung, AV1_CRF), *same]
    return ["-c:v", "av1_nvenc", *NVENC, "-rc", "vbr", "-cq", "34", "-b:v", "0", *same]


BESIDE: dict[Codec, Callable[[str, Rung, Fraction, str], list[str]]] = {"hevc": hevc, "av1": av1}
"""Encoder, rung, pictures a second and x264's preset → the options of another codec."""


def leaner(rung: Rung, x264_preset: str) -> tuple[str, ...]:
    """What is left out of a preset in this rung."""
    return _of_size(rung, LEANER.get(x264_preset, ((), ())))


def _of_size(rung: Rung, options: tuple[T, T]) -> T:
    large, small = options
    return large if rung.short_side >= LARGE else small


def _cap(rung: Rung, share: Fraction = Fraction(1)) -> list[str]:
    # A buffer of one second: a larger one lets the first seconds take more than the rung's rate.
    kbps = int(rung.video_kbps * share)
    return ["-maxrate", f"{kbps}k", "-bufsize", f"{kbps}k"]


def _groups(frame_rate: Fraction, chunk: Chunk | None = None) -> tuple[str, list[str]]:
    """The pictures of two seconds, and the options that begin a group with each."""
    group = str(-(-frame_rate.numerator * KEY_FRAME_SECONDS // frame_rate.denominator))
    due = f"gte(t,n_forced*{KEY_FRAME_SECONDS})" if chunk is None else _due_in(chunk, frame_rate)
    return group, ["-g", group, "-force_key_frames", f"expr:{due}"]


def _due_in(chunk: Chunk, rate: Fraction) -> str:
    """The same key frames by the numbers of pictures: ffmpeg's times begin anew in a chunk.

    Whole numbers only, so that nothing is rounded.
    """
    groups = chunk.first_segment * (SEGMENT_SECONDS // KEY_FRAME_SECONDS)
    picture = f"(n+{chunk.first_frame})*{rate.denominator}"
    return f"gte({picture},(n_forced+{groups})*{KEY_FRAME_SECONDS * rate.numerator})"
