"""Sources that differ in their picture: shape, rate, fields, depth, colour."""

from tests.gpu_worker.sources.source import Made, Picture, Source

X264 = "-c:v libx264 -preset ultrafast -crf 12"
X265 = "-c:v libx265 -preset ultrafast -crf 12 -tag:v hvc1 -x265-params log-level=error"
INTERLACED = X264 + " -flags +ildct+ilme"
PORTRAIT = (180, 320)


def _mp4(name: str, picture: Picture, made: Made = Made(), **more: object) -> Source:  # noqa: B008
    return Source(name, "clip.mp4", picture, outcome=made, **more)  # type: ignore[arg-type]


SHAPES = [
    _mp4("plain", Picture()),
    _mp4("turned 90°", Picture(size=PORTRAIT, turn="-display_rotation 90")),
    _mp4("turned 180°", Picture(turn="-display_rotation 180")),
    _mp4("turned 270°", Picture(size=PORTRAIT, turn="-display_rotation 270")),
    _mp4("mirrored", Picture(turn="-display_hflip")),
    _mp4("upside down and mirrored", Picture(turn="-display_vflip")),
    _mp4("portrait", Picture(size=PORTRAIT)),
    _mp4(
        "full ladder", Picture(size=(1920, 1080), rate="10", seconds=1.2), Made(rungs=4), sounds=()
    ),
    _mp4("portrait ladder", Picture(size=(480, 854), rate="10", seconds=1.2), Made(rungs=2)),
    Source(
        "odd sides",
        "clip.mkv",
        Picture(size=(321, 181), pixels="yuv444p"),
        outcome=Made(size=(320, 180)),
    ),
    Source(
        "odd sides, subsampled",
        "clip.avi",
        Picture("-c:v mjpeg -q:v 2", size=(427, 241), pixels="yuvj420p", signal="bt601 full"),
        outcome=Made(size=(426, 240)),
    ),
    _mp4("wide pixels 4:3", Picture(size=(320, 180), sample_aspect="4/3")),
    _mp4(
        "PAL widescreen 64:45",
        Picture(size=(1024, 576), seconds=1.24, sample_aspect="64/45", signal="bt601 untagged"),
        Made(size=(854, 480), rungs=2),
    ),
    _mp4("tall pixels 2:3", Picture(sample_aspect="2/3")),
    _mp4(
        "wide pixels, turned 90°",
        Picture(size=PORTRAIT, sample_aspect="3/4", turn="-display_rotation 90"),
        Made(size=(240, 426)),
    ),
    _mp4("square", Picture(size=(240, 240))),
]
RATES = [
    _mp4("23.976", Picture(rate="24000/1001")),
    _mp4("29.97", Picture(rate="30000/1001")),
    _mp4("50", Picture(rate="50")),
    _mp4("59.94", Picture(rate="60000/1001")),
    _mp4("60", Picture(rate="60")),
    _mp4("120", Picture(rate="120"), Made(rate="60")),
    _mp4("240", Picture(rate="240"), Made(rate="60")),
    _mp4("10", Picture(rate="10", seconds=2)),
    _mp4(
        "a picture every two seconds",
        Picture(rate="1/2", seconds=4),
        Made(rate="1", flash=False, beep=False),
        sounds=(),
    ),
    _mp4(
        "variable",
        # Two of three frames are gone in the first and the last part.
        Picture(
            rate="30",
            seconds=3,
            filters="select=between(t\\,0.9\\,1.6)+not(mod(n\\,3))",
            codec=X264 + " -fps_mode vfr",
        ),
        Made(seconds=88 / 30),
        sounds=(),
    ),
    _mp4(
        "interlaced, top first",
        Picture(
            INTERLACED + " -x264opts tff=1",
            size=(360, 240),
            rate="50",
            moving=True,
            filters="tinterlace=interleave_top,setfield=tff",
        ),
        Made(rate="25"),
    ),
    _mp4(
        "interlaced, bottom first",
        Picture(
            INTERLACED + " -x264opts bff=1",
            size=(360, 240),
            rate="60000/1001",
            moving=True,
            filters="tinterlace=interleave_bottom,setfield=bff",
        ),
        Made(rate="30000/1001"),
    ),
    Source(
        "interlaced MPEG-2",
        "clip.ts",
        Picture(
            "-c:v mpeg2video -q:v 2 -flags +ildct+ilme",
            size=(360, 240),
            rate="60000/1001",
            moving=True,
            filters="tinterlace=interleave_top,setfield=tff",
            signal="bt601 untagged",
        ),
        outcome=Made(rate="30000/1001"),
    ),
]
DEPTHS = [
    _mp4(
        "10 bits 4:2:0 HEVC",
        Picture(X265, pixels="yuv420p10le"),
    ),
    _mp4("8 bits 4:2:2", Picture(pixels="yuv422p")),
    _mp4("10 bits 4:2:2", Picture(pixels="yuv422p10le")),
    _mp4("8 bits 4:4:4", Picture(pixels="yuv444p")),
    _mp4("RGB", Picture("-c:v libx264rgb -preset ultrafast -crf 12", pixels="rgb24", signal="rgb")),
    _mp4("full range", Picture(signal="bt709 full")),
    Source(
        "VP9 with alpha",
        "clip.webm",
        Picture(
            "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 10 -b:v 0 -auto-alt-ref 0",
            pixels="yuva420p",
        ),
        sounds=(),
    ),
    Source(
        "ProRes 4444 with alpha",
        "clip.mov",
        Picture("-c:v prores_ks -profile:v 4", pixels="yuva444p10le"),
        sounds=(),
    ),
]
COLOURS = [
    _mp4("BT.601 untagged", Picture(signal="bt601 untagged")),
    _mp4(
        "BT.709 untagged, HD",
        Picture(size=(1280, 720), rate="10", seconds=1.2, signal="bt709 untagged"),
        Made(rungs=3),
        sounds=(),
    ),
    _mp4("BT.601 of 525 lines, tagged", Picture(signal="bt601")),
    _mp4("BT.601 of 625 lines, tagged", Picture(signal="pal")),
    _mp4("BT.601 full range", Picture(signal="bt601 full")),
    _mp4("BT.2020 SDR", Picture(signal="bt2020", pixels="yuv420p10le")),
    _mp4("HDR10", Picture(signal="pq", pixels="yuv420p10le")),
    _mp4("HLG", Picture(signal="hlg", pixels="yuv420p10le")),
]
