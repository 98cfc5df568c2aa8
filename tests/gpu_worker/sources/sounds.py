"""Sources of sound alone, and pictures that matter for their sound."""

from dataclasses import replace

from tests.gpu_worker.sources.source import Made, Picture, Sound, Source

COVER = "-disposition:v attached_pic"
JPEG = Picture("-c:v mjpeg -q:v 3", seconds=0.04, pixels="yuvj420p", signal="bt601 full")


def _alone(name: str, file: str, sound: Sound, options: str = "") -> Source:
    return Source(name, file, None, (sound,), options)


def _covered(name: str, file: str, codec: str, options: str = "") -> Source:
    return Source(name, file, JPEG, (Sound(codec),), f"{COVER} {options}")


BESIDE_A_PICTURE = [
    Source("5.1", "clip.mp4", sounds=(Sound(channels="5.1"),)),
    Source("7.1", "clip.mkv", sounds=(Sound("-c:a flac", channels="7.1"),)),
    Source("mono", "clip.mp4", sounds=(Sound(channels="mono"),)),
    Source(
        "two sound tracks, the second default",
        "clip.mp4",
        sounds=(Sound(beeps=False), Sound()),
        options="-disposition:a:0 0 -disposition:a:1 default",
    ),
    Source(
        "8 kHz mono", "clip.mov", sounds=(Sound("-c:a pcm_s16le", channels="mono", rate_hz=8000),)
    ),
    Source("96 kHz of 24 bits", "clip.mov", sounds=(Sound("-c:a pcm_s24le", rate_hz=96_000),)),
    Source("32-bit float", "clip.mkv", sounds=(Sound("-c:a pcm_f32le"),)),
]
ALONE = [
    _alone("WAV", "clip.wav", Sound("-c:a pcm_s16le", rate_hz=44100)),
    _alone("WAV of 24 bits at 96 kHz", "clip.wav", Sound("-c:a pcm_s24le", rate_hz=96_000)),
    _alone("WAV in floating point", "clip.wav", Sound("-c:a pcm_f32le")),
    _alone("WAV at 8 kHz, mono", "clip.wav", Sound("-c:a pcm_s16le", 1.6, "mono", 8000)),
    _alone("WAV in 5.1", "clip.wav", Sound("-c:a pcm_s16le", channels="5.1")),
    _alone("tiny WAV", "clip.wav", Sound("-c:a pcm_s16le", 0.25, beeps=False)),
    _alone("Ogg Vorbis", "clip.ogg", Sound("-c:a libvorbis")),
    _alone("Opus", "clip.opus", Sound("-c:a libopus")),
    _alone("bare AAC", "clip.aac", Sound()),
    _alone("ALAC", "clip.m4a", Sound("-c:a alac")),
    replace(
        # A block of 43 ms is decoded before the first sample, and the last one is whole.
        _alone("WMA", "clip.wma", Sound("-c:a wmav2")),
        outcome=Made(tolerance_seconds=0.05),
    ),
    replace(
        Source("the late sound of a film", "clip.mp4", sounds=(Sound(starts=0.5, seconds=1.1),)),
        wanted="audio",
        outcome=Made(tolerance_seconds=0.02),  # MP4 counts the priming frame in.
    ),
    _alone("AIFF", "clip.aiff", Sound("-c:a pcm_s16be")),
    _alone("AMR", "clip.amr", Sound("-c:a libopencore_amrnb -b:a 12.2k", 1.6, "mono", 8000)),
    _covered("MP3 with a cover", "clip.mp3", "-c:a libmp3lame"),
    _covered("M4A with a cover", "clip.m4a", "-c:a aac", "-f ipod"),
    _covered("FLAC with a cover", "clip.flac", "-c:a flac"),
]
