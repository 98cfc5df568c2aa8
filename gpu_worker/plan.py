"""From what was probed to what ffmpeg is asked to do. Pure."""

from gpu_worker import colour, ladder, storyboard
from gpu_worker.contract import MediaType, WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.ffmpeg import AudioPass, Source, VideoEncoder, VideoPass
from gpu_worker.ladder import PlannedRung, Size
from gpu_worker.probe import UNREADABLE, AudioStream, MediaProbe
from gpu_worker.settings import EncodeSettings
from gpu_worker.sound import AudioPlan
from gpu_worker.video_graph import TAIL_SLACK_SECONDS

POSTER_POSITION = 0.1
SOUND_LEADS_SECONDS = 0.1
"""Sound that begins so little before the first picture is an encoder's priming: the output begins
with the picture, which would be shown for too long, and late, otherwise."""
SOUND_OUTLASTS_SECONDS = 0.5
"""Sound that goes on for longer than this after the last picture is kept under a still."""
MAX_CHANNELS = 64
MAX_SAMPLE_RATE_HZ = 768_000


def check_size(size: int, most: int) -> None:
    """Raise `input_too_large` for a file of more than `most` bytes."""
    if size > most:
        raise JobFailed(
            WorkerErrorCode.INPUT_TOO_LARGE,
            f"This file has {size / 1e9:.1f} GB; we take up to {most / 1e9:.1f} GB.",
        )


def check(found: MediaProbe, wanted: MediaType, settings: EncodeSettings) -> None:
    """Refuse what has no track of the wanted type, or is larger than the settings allow.

    Raises `no_media_stream` or `input_too_large`.
    """
    if (found.video if wanted == "video" else found.audio) is None:
        what = "video" if wanted == "video" else "sound"
        raise JobFailed(
            WorkerErrorCode.NO_MEDIA_STREAM, f"This file has no {what} in it that we could use."
        )
    if (found.duration_seconds or 0) > settings.max_duration_seconds:
        raise JobFailed(
            WorkerErrorCode.INPUT_TOO_LARGE,
            f"This file is longer than {settings.max_duration_seconds / 3600:g} hours, "
            "which is the most we take.",
        )
    if wanted == "video" and found.video is not None:
        _check_picture(found.video.coded, settings)
    if found.audio is not None:
        _check_sound(found.audio)


def _check_picture(coded: Size, settings: EncodeSettings) -> None:
    sides = (coded.width, coded.height)
    if min(sides) < 1:
        raise JobFailed(
            WorkerErrorCode.INPUT_UNREADABLE, UNREADABLE, f"a picture of {sides[0]}x{sides[1]}"
        )
    if max(sides) > settings.max_side_pixels or coded.width * coded.height > settings.max_pixels:
        raise JobFailed(
            WorkerErrorCode.INPUT_TOO_LARGE,
            f"The picture is {coded.width} by {coded.height} pixels, which is more than we take.",
        )


def _check_sound(audio: AudioStream) -> None:
    """The waveform keeps a twentieth of a second of all channels in memory."""
    if audio.sample_rate_hz < 1:
        raise JobFailed(WorkerErrorCode.INPUT_UNREADABLE, UNREADABLE, "sound of 0 Hz")
    if audio.channels > MAX_CHANNELS or audio.sample_rate_hz > MAX_SAMPLE_RATE_HZ:
        raise JobFailed(
            WorkerErrorCode.INPUT_UNSUPPORTED,
            f"The sound has {audio.channels} channels at {audio.sample_rate_hz} Hz, "
            "which is more than we take.",
        )


def video_pass(
    source: Source, found: MediaProbe, encoder: VideoEncoder, settings: EncodeSettings
) -> VideoPass:
    """The one pass over a video whose tracks have their ends. ValueError without a video track.

    Every rendition gets the length of the picture, or of the sound when that goes on clearly
    longer: the shorter of the two is filled up with silence or with its last picture.
    """
    video = found.video
    if video is None:
        raise ValueError("a video pass needs a video track")
    skipped = video.start_seconds if 0 < video.start_seconds <= SOUND_LEADS_SECONDS else 0.0
    picture_end = (video.end_seconds or 0.0) - skipped
    sound_end = ((found.audio and found.audio.end_seconds) or 0.0) - skipped
    outlasts = sound_end > picture_end + SOUND_OUTLASTS_SECONDS
    length = min(sound_end if outlasts else picture_end, settings.max_duration_seconds)
    rungs = ladder.plan(video.display, force_full=settings.force_full_ladder)
    canvas = rungs[0].size if settings.force_full_ladder else ladder.canvas(video.display)
    return VideoPass(
        source=source,
        index=video.index,
        canvas=canvas,
        rungs=rungs,
        frame_rate=ladder.output_rate(video.average_rate, video.nominal_rate),
        length_seconds=length,
        poster_at_seconds=length * POSTER_POSITION,
        encoder=encoder,
        x264_preset=settings.x264_preset,
        processors=settings.encode_processors,
        beside=settings.beside,
        colour=colour.of(video.colour, video.coded.short_side),
        interlaced=video.interlaced,
        skip_seconds=skipped,
        pad_seconds=max(0.0, length - picture_end),
        audio=_sound(found.audio, rungs, length - sound_end, settings) if found.audio else None,
        waveform_rate_hz=(
            found.audio.sample_rate_hz if found.audio and settings.waveform_of_videos else None
        ),
        storyboard=storyboard.plan(canvas, length) if settings.storyboard else None,
        animated=settings.animated_preview,
    )


def _sound(
    audio: AudioStream, rungs: tuple[PlannedRung, ...], missing: float, settings: EncodeSettings
) -> AudioPlan:
    """Each distinct bit rate of the rungs once, filled up with the `missing` seconds."""
    return AudioPlan(
        index=audio.index,
        channels=audio.channels,
        kbps=tuple(dict.fromkeys(planned.rung.audio_kbps for planned in rungs)),
        pad_seconds=max(0.0, missing) + TAIL_SLACK_SECONDS,
        measured=settings.loudness != "off" or settings.loudness_target_lufs is not None,
    )


def audio_pass(source: Source, found: MediaProbe, settings: EncodeSettings) -> AudioPass:
    """The one pass over an audio file. Its length is taken as it comes: MP3s misstate theirs.

    ValueError without an audio track.
    """
    audio = found.audio
    if audio is None:
        raise ValueError("an audio pass needs an audio track")
    return AudioPass(
        source=source,
        audio=AudioPlan(
            audio.index,
            audio.channels,
            ladder.AUDIO_ONLY_KBPS,
            measured=settings.loudness == "all" or settings.loudness_target_lufs is not None,
        ),
        sample_rate_hz=audio.sample_rate_hz,
        max_seconds=settings.max_duration_seconds,
    )
