"""Sources that differ in codec, container, length and time stamps."""

from tests.gpu_worker.clips import real_clip
from tests.gpu_worker.sources.pictures import X264, X265
from tests.gpu_worker.sources.source import Made, Picture, Sound, Source

PLAIN = Picture(signal="bt601 untagged")
PCM = Sound("-c:a pcm_s16le")


def _of(codec: str, **more: object) -> Picture:
    return Picture(codec, **{"signal": "bt601 untagged", **more})  # type: ignore[arg-type]


CODECS = [
    Source("HEVC", "clip.mp4", Picture(X265)),
    Source(
        "VP9 and Opus",
        "clip.webm",
        Picture("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 10 -b:v 0"),
        (Sound("-c:a libopus"),),
    ),
    Source(
        "VP8 and Vorbis",
        "clip.webm",
        _of("-c:v libvpx -deadline realtime -cpu-used 8 -crf 4 -b:v 4M"),
        (Sound("-c:a libvorbis"),),
    ),
    Source("AV1", "clip.mp4", Picture("-c:v libsvtav1 -preset 12 -crf 20 -svtav1-params lp=1")),
    Source(
        "MPEG-2 program stream", "clip.mpg", _of("-c:v mpeg2video -q:v 2"), (Sound("-c:a mp2"),)
    ),
    Source("MPEG-4 ASP", "clip.avi", _of("-c:v mpeg4 -q:v 2 -bf 2"), (Sound("-c:a libmp3lame"),)),
    Source("ProRes", "clip.mov", Picture("-c:v prores_ks", pixels="yuv422p10le"), (PCM,)),
    Source(
        "DNxHR", "clip.mov", Picture("-c:v dnxhd -profile:v dnxhr_sq", pixels="yuv422p"), (PCM,)
    ),
    Source(
        "Motion JPEG",
        "clip.avi",
        _of("-c:v mjpeg -q:v 2", pixels="yuvj422p", signal="bt601 full"),
        (PCM,),
    ),
    Source(
        "FLV",
        "clip.flv",
        _of("-c:v flv1 -q:v 2"),
        (Sound("-c:a libmp3lame", rate_hz=44100),),
        outcome=Made(sync_seconds=0.010),
    ),
    Source(
        "WMV",
        "clip.wmv",
        _of("-c:v wmv2 -q:v 2"),
        (Sound("-c:a wmav2"),),
        outcome=Made(sync_seconds=0.010),
    ),
    Source("Theora", "clip.ogv", _of("-c:v libtheora -q:v 9"), (Sound("-c:a libvorbis"),)),
    Source(
        "DV",
        "clip.avi",
        _of(
            "-c:v dvvideo",
            size=(640, 480),
            sample_aspect="8/9",
            rate="30000/1001",
            seconds=1.24,
            pixels="yuv411p",
            filters="setfield=bff",
        ),
        (PCM,),
        outcome=Made(rungs=2, size=(640, 480)),
    ),
    Source(
        "H.263 and AMR",
        "clip.3gp",
        _of("-c:v h263 -q:v 2", size=(352, 288), seconds=1.6),
        (Sound("-c:a libopencore_amrnb -b:a 12.2k", channels="mono", rate_hz=8000),),
    ),
    Source("transport stream", "clip.ts", outcome=Made(sync_seconds=0.010)),
    Source("Matroska", "clip.mkv", Picture()),
    Source("fragmented MP4", "clip.mp4", options="-movflags +frag_keyframe+empty_moov"),
    Source("bare H.264", "clip.h264", Picture(X264 + " -bsf:v dump_extra"), ()),
]
TIMES = [
    Source("one frame", "clip.mp4", Picture(seconds=0.04), (), outcome=Made(flash=False)),
    Source(
        "a third of a second",
        "clip.mp4",
        Picture(seconds=0.32),
        (Sound(seconds=0.32, beeps=False),),
        outcome=Made(flash=False, beep=False),
    ),
    Source("no sound", "clip.mp4", sounds=()),
    Source("sound a second late", "clip.mp4", sounds=(Sound(starts=0.9, seconds=0.7),)),
    Source("sound too short", "clip.mp4", Picture(seconds=2.4), (Sound(seconds=1.5),)),
    Source("sound longer", "clip.mp4", sounds=(Sound(seconds=3.0),), outcome=Made(seconds=3.0)),
    Source(
        "sound ahead of the picture",
        "clip.mkv",
        sounds=(Sound(starts=-0.3, seconds=1.9),),
        outcome=Made(seconds=1.9),
    ),
    Source("starts at 100 s, MPEG-TS", "clip.ts", options="-output_ts_offset 100"),
    Source("starts at 5 s, Matroska", "clip.mkv", options="-output_ts_offset 5"),
    Source(
        "B-frames with negative times",
        "clip.mp4",
        Picture("-c:v libx264 -preset veryfast -crf 12 -bf 3"),
        options="-movflags +negative_cts_offsets -use_editlist 0",
    ),
    Source(
        "edit list cuts the beginning",
        "clip.mp4",
        Picture(X264 + " -g 1000", seconds=2.0),
        (Sound(seconds=2.0),),
        again="-ss 0.6 -i IN -c copy",
        outcome=Made(seconds=1.4),
    ),
    Source(
        "cut in half, index first",
        "clip.mp4",
        Picture(seconds=4.0),
        (Sound("-c:a pcm_s16le", seconds=4.0),),
        options="-f mov -movflags +faststart",
        spoil=lambda content: content[: len(content) // 2],
        outcome=Made(seconds=2.0, tolerance_seconds=0.6),
    ),
    Source(
        "cut in half, Matroska",
        "clip.mkv",
        Picture(seconds=4.0),
        (Sound("-c:a pcm_s16le", seconds=4.0),),
        spoil=lambda content: content[: len(content) // 2],
        outcome=Made(seconds=2.0, tolerance_seconds=0.6),
    ),
]
EXTRAS = [
    Source(
        "subtitles in MP4",
        "clip.mp4",
        options="-movflags +faststart",
        again="-i IN -i SUBTITLES -map 0 -map 1 -c copy -c:s mov_text",
    ),
    Source(
        "subtitles and chapters in Matroska",
        "clip.mkv",
        again="-i IN -i SUBTITLES -i CHAPTERS -map 0 -map 1 -map_chapters 2 -c copy -c:s srt",
    ),
    Source(
        "a cover beside the film",
        "clip.mp4",
        again="-i IN -i COVER -map 1 -map 0 -c copy -disposition:v:0 attached_pic",
    ),
]
REAL = [
    Source("real recording", "", None, (), content=lambda: real_clip("carphone_pristine.mp4")),
]
