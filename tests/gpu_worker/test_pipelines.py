"""From what ffprobe says to the exact command line, by each of the three ways."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from gpu_worker import encoders, ffmpeg, ladder, plan, probe
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed, ProcessFailed
from gpu_worker.ladder import Size
from gpu_worker.pipelines import by, first_way, way_after
from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import EncoderChoice
from tests.gpu_worker.test_ffmpeg import CLEAN, GUARDS, PROGRAM, SOURCE, hls_output

CUDA = EncoderChoice("h264_nvenc", on_gpu=True)
NVENC = EncoderChoice("h264_nvenc")
X264 = EncoderChoice("libx264")
SAID = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
END = "tpad=stop_mode=clone:stop_duration=0.25,split=2[canvas][still]"
JPEG = "zscale=matrix=smpte170m:range=pc,format=yuvj420p[poster]"
HD = {
    "index": 0,
    "codec_type": "video",
    "codec_name": "h264",
    "width": 1280,
    "height": 720,
    "pix_fmt": "yuv420p",
    "sample_aspect_ratio": "1:1",
    "avg_frame_rate": "25/1",
    "r_frame_rate": "25/1",
    "field_order": "progressive",
    "start_time": "0",
    "duration": "10",
}
SOUND = {"index": 1, "codec_type": "audio", "codec_name": "aac", "channels": 2} | {
    "sample_rate": "48000",
    "start_time": "0",
    "duration": "10",
}
PQ = {"color_transfer": "smpte2084", "color_primaries": "bt2020", "color_space": "bt2020nc"}
TO_SDR = (
    "zscale=transfer=linear:npl=100,format=gbrpf32le,zscale=primaries=bt709,"
    "tonemap=hable:desat=0,zscale=primaries=bt709:transfer=bt709:matrix=bt709:range=tv"
)
STEPS = {"720p": "1280:720", "480p": "854:480", "360p": "640:360"}
KBPS = {"1080p": (5000, 128), "720p": (2500, 128), "480p": (1000, 128), "360p": (500, 64)}


@dataclass(frozen=True)
class Case:
    """A source as ffprobe tells of it, and the pictures' way to the canvas.

    `gpu` is that way on the GPU, or why there is none.
    """

    gpu: str
    cpu: str
    stream: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, str] = field(default_factory=lambda: STEPS)
    sound: bool = True
    group: int = 50
    settings: dict[str, Any] = field(default_factory=dict)


def from_25(end: str = "10.04") -> str:
    return f"fps=25/1:start_time=0,trim=end={end},"


def scaled(size: str) -> str:
    return f"scale_cuda={size}:interp_algo=bicubic:format=nv12:passthrough=0"


PORTRAIT = {"720p": "720:1280", "480p": "480:854", "360p": "360:640"}
CASES = {
    "SDR": Case(from_25() + scaled("1280:720"), from_25() + f"{SAID},scale=1280:720"),
    "10 bits in HEVC": Case(
        "yuv420p10le goes by the CPU",
        from_25() + f"{SAID},scale=1280:720",
        {"codec_name": "hevc", "pix_fmt": "yuv420p10le"},
    ),
    "4:2:2": Case(
        "yuv422p goes by the CPU", from_25() + f"{SAID},scale=1280:720", {"pix_fmt": "yuv422p"}
    ),
    "HDR10": Case(
        "tones mapped on the CPU",
        from_25() + "scale=ceil(iw/2)*2:ceil(ih/2)*2,"
        "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv,"
        f"zscale=1280:720:filter=bicubic,{TO_SDR}",
        {"codec_name": "hevc", "pix_fmt": "yuv420p10le", **PQ},
    ),
    "full range": Case(
        "yuvj420p goes by the CPU",
        from_25() + "scale=ceil(iw/2)*2:ceil(ih/2)*2,"
        "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=pc,zscale="
        "1280:720:filter=bicubic:primaries=bt709:transfer=bt709:matrix=bt709:range=tv",
        {"pix_fmt": "yuvj420p", "color_range": "pc"},
    ),
    "colours of SD": Case(
        "colours converted on the CPU",
        from_25() + "scale=ceil(iw/2)*2:ceil(ih/2)*2,"
        "setparams=color_primaries=bt709:color_trc=bt709:colorspace=smpte170m:range=tv,zscale="
        "1280:720:filter=bicubic:primaries=bt709:transfer=bt709:matrix=bt709:range=tv",
        {"color_space": "smpte170m"},
    ),
    "a codec of old": Case(
        "no GPU decodes mpeg4", from_25() + f"{SAID},scale=1280:720", {"codec_name": "mpeg4"}
    ),
    "interlaced": Case(
        "yadif_cuda=mode=send_frame:deint=interlaced," + from_25() + scaled("1280:720"),
        f"bwdif=mode=send_frame:deint=interlaced,{from_25()}{SAID},scale=1280:720",
        {"field_order": "tt"},
    ),
    "rotated": Case(
        "turned upright on the CPU",
        from_25() + f"{SAID},scale=720:1280",
        {"side_data_list": [{"rotation": -90}]},
        PORTRAIT,
    ),
    "anamorphic": Case(
        from_25() + scaled("1280:720"),
        from_25() + f"{SAID},scale=1280:720",
        {"width": 960, "sample_aspect_ratio": "4:3"},
    ),
    "more than 60 pictures a second": Case(
        "fps=60/1:start_time=0,trim=end=10.016667," + scaled("1280:720"),
        f"fps=60/1:start_time=0,trim=end=10.016667,{SAID},scale=1280:720",
        {"avg_frame_rate": "120/1", "r_frame_rate": "120/1"},
        group=120,
    ),
    "no sound": Case(
        from_25() + scaled("1280:720"), from_25() + f"{SAID},scale=1280:720", sound=False
    ),
    "4K": Case(
        from_25() + scaled("1920:1080"),
        from_25() + f"{SAID},scale=1920:1080",
        {"width": 3840, "height": 2160, "codec_name": "av1"},
        {"1080p": "1920:1080", **STEPS},
    ),
    "8K": Case(
        "scaled to less than half",
        from_25() + f"{SAID},scale=1920:1080",
        {"width": 7680, "height": 4320, "codec_name": "hevc"},
        {"1080p": "1920:1080", **STEPS},
    ),
    "odd": Case(
        "an odd number of lines or columns",
        from_25() + f"{SAID},scale=1280:720",
        {"width": 1281, "height": 721, "codec_name": "vp9"},
        {**STEPS, "480p": "852:480"},
    ),
    "one rung": Case(
        from_25() + scaled("640:360"),
        from_25() + f"{SAID},scale=640:360",
        {"width": 640, "height": 360, "color_space": "bt709"},
        {"360p": "640:360"},
    ),
    "the full ladder, enlarged": Case(
        from_25() + scaled("1920:1080"),
        from_25() + f"{SAID},scale=1920:1080",
        {},
        {"1080p": "1920:1080", **STEPS},
        settings={"force_full_ladder": True},
    ),
}


def read(case: Case) -> probe.MediaProbe:
    streams = [{**HD, **case.stream}, *([SOUND] if case.sound else [])]
    return probe.read({"streams": streams, "format": {"start_time": "0", "duration": "10"}})


def graph(case: Case, *, on_gpu: bool) -> str:
    """What the case's pictures and sound go through."""
    sizes = list(case.sizes.values())
    chain = f"{case.gpu},setsar=1" if on_gpu else f"{case.cpu},format=yuv420p,setsar=1"
    still = r"select=gte(t\,1)*isnan(prev_selected_t)"
    if on_gpu:
        still += ",hwdownload,format=nv12"
    lines = [
        f"[0:0]{chain},{SAID},{END}",
        f"[still]{still},{JPEG}",
    ]
    above = "[canvas]"
    for number, size in enumerate(sizes):
        by_cpu = f"zscale={size}:filter=bicubic:param_a=0:param_b=0.6"
        step = f"scale_cuda={size}:interp_algo=bicubic" if on_gpu else by_cpu
        last = number == len(sizes) - 1
        ends = f"null[v{number}]" if last else f"split=2[v{number}][c{number}]"
        lines.append(f"{above}{f'{step},setsar=1,' if number else 'null,'}{ends}")
        above = f"[c{number}]"
    if case.sound:
        rates = len({KBPS[name][1] for name in case.sizes})
        lines.append(
            "[0:1]aresample=48000:async=1:first_pts=0,aformat=channel_layouts=stereo,"
            f"apad=pad_dur=0.25,asplit={rates}{''.join(f'[a{n}]' for n in range(rates))}"
        )
    return ";".join(lines)


LARGE = ("-subq", "2", "-rc-lookahead", "10",
         "-profile:v", "high", "-aq-strength", "0.6", "-crf", "21.4")  # fmt: skip
SMALL = ("-subq", "3", "-profile:v", "high", "-aq-strength", "0.6", "-crf", "26")


def encoder(way: EncoderChoice, case: Case, kbps: int, threads: int) -> list[str]:
    cap = ["-maxrate", f"{kbps}k", "-bufsize", f"{kbps}k"]
    keys = ["-g", f"{case.group}", "-force_key_frames", "expr:gte(t,n_forced*2)"]
    if way.encoder == "libx264":
        return [
            "-c:v", "libx264", "-threads", str(threads), "-preset", "faster",
            "-motion-est", "dia", *(LARGE if kbps >= 2500 else SMALL),
            *cap, *keys,
            "-keyint_min", f"{case.group}", "-sc_threshold", "0", "-flags", "+cgop",
        ]  # fmt: skip
    return [
        "-c:v", "h264_nvenc", "-preset", "p5", "-tune", "hq", "-multipass", "qres",
        "-rc-lookahead", "20", "-bf", "3", "-b_ref_mode", "middle", "-spatial-aq", "1",
        "-forced-idr", "1", "-no-scenecut", "1", "-strict_gop", "1", "-profile:v", "high",
        "-rc", "vbr", "-cq", "23", "-b:v", "0", *cap, *keys,
    ]  # fmt: skip


def expected(way: EncoderChoice, case: Case, threads: Sequence[int]) -> list[str]:
    on_gpu = ["-xerror", "-hwaccel", "cuda", "-hwaccel_output_format", "cuda"]
    argv = [
        *PROGRAM, "-progress", "pipe:1", "-stats_period", "0.5",
        *([*on_gpu, "-extra_hw_frames", "8"] if way.on_gpu else []),
        *GUARDS, "1000", "-i", "file:/job/input",
        *(["-filter_complex_threads", "2"] if way.encoder == "libx264" else []),
        "-filter_complex", graph(case, on_gpu=way.on_gpu),
    ]  # fmt: skip
    for number, name in enumerate(case.sizes):
        argv += ["-map", f"[v{number}]", *encoder(way, case, KBPS[name][0], threads[number])]
        argv += hls_output(name, "10")
    if case.sound:
        for number, kbps in enumerate(dict.fromkeys(KBPS[name][1] for name in case.sizes)):
            argv += ["-map", f"[a{number}]", "-c:a", "aac", "-profile:a", "aac_low"]
            argv += ["-b:a", f"{kbps}k", *hls_output(f"audio-{kbps}k", "10")]
    argv += ["-map", "[poster]", "-frames:v", "1", "-c:v", "mjpeg", "-q:v", "3", *CLEAN]
    return [*argv, "-f", "image2", "-update", "1", "poster.jpg"]


PROCESSORS = 8
NOTHING_BESIDE = {
    "encode_processors": PROCESSORS,
    "storyboard": False,
    "animated_preview": False,
    "waveform_of_videos": False,
    "loudness": "off",
}


@pytest.mark.parametrize("best", [CUDA, NVENC, X264], ids=["cuda", "nvenc", "x264"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_source_by_every_way(case: Case, best: EncoderChoice) -> None:
    found, settings = read(case), EncodeSettings.model_validate(NOTHING_BESIDE | case.settings)
    job = plan.video_pass(SOURCE, found, best.encoder, settings)
    way = first_way(best, found, job.canvas)
    if best.on_gpu and "scale_cuda" not in case.gpu:
        assert way == EncoderChoice("h264_nvenc", f"h264_nvenc without GPU decode: {case.gpu}")
    else:
        assert way == best
    threads = encoders.threads(job.rungs, PROCESSORS)
    assert ffmpeg.video_pass("ffmpeg", by(way, job)) == expected(way, case, threads)


@pytest.mark.parametrize(
    ("processors", "expected"), [(1, (1, 1, 1, 1)), (2, (2, 1, 1, 1)), (16, (14, 6, 3, 2))]
)
def test_rungs_share_the_processors_by_their_pixels(
    processors: int, expected: tuple[int, ...]
) -> None:
    rungs = ladder.plan(Size(1920, 1080))
    assert encoders.threads(rungs, processors) == expected
    assert encoders.threads(rungs[-1:], processors) == (round(1.5 * processors),)


def test_pictures_beside_are_chosen_before_they_are_copied_from_the_gpu() -> None:
    job = plan.video_pass(SOURCE, read(CASES["SDR"]), "h264_nvenc", EncodeSettings())
    graph = ffmpeg.video_pass("ffmpeg", by(CUDA, job))
    chains = graph[graph.index("-filter_complex") + 1].split(";")
    assert chains[0].endswith("split=4[canvas][still][sheets][moments]")
    for chain, source, size in zip(
        chains[1:4],
        ("still", "sheets", "moments"),
        ("", "scale=160:90", "scale=320:180"),
        strict=True,
    ):
        assert chain.startswith(f"[{source}]select=")
        assert chain.count("hwdownload,format=nv12,") == 1
        assert chain.partition("hwdownload,format=nv12,")[2].startswith(size)


def failed(code: WorkerErrorCode, tail: str = "") -> JobFailed:
    return JobFailed(code, "A sentence.", tail)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (ProcessFailed("ffmpeg", 1, "[h264 @ 0x55] Failed\nand more"), "Failed"),
        (ProcessFailed("ffmpeg", -11, ""), "ffmpeg ended with -11"),
        (ProcessFailed("ffmpeg", 1, "a\x00b\x1bc"), "abc"),
        (ProcessFailed("ffmpeg", 1, "ut off\n[x @ 1] Whole" + "\n" * 3990), "Whole"),
        (failed(WorkerErrorCode.INPUT_UNREADABLE, "no frame"), "no frame"),
        (failed(WorkerErrorCode.OUTPUT_INVALID), "A sentence."),
        (failed(WorkerErrorCode.INPUT_TOO_LARGE), None),
        (failed(WorkerErrorCode.TIMED_OUT), None),
    ],
)
def test_the_next_way_is_tried_where_it_may_end_otherwise(
    failure: ProcessFailed | JobFailed, reason: str | None
) -> None:
    note = reason and f"h264_nvenc without GPU decode: {reason}"
    further = reason and EncoderChoice("h264_nvenc", note)
    assert way_after(CUDA, failure) == further
    note = reason and f"libx264 instead of h264_nvenc: {reason}"
    assert way_after(NVENC, failure) == (reason and EncoderChoice("libx264", note))
    assert way_after(X264, failure) is None
