"""Makes sound as loud as the setting wants. The gain must be known before the pass begins, so the
sound alone is decoded once more, before it."""

from dataclasses import replace

from gpu_worker import ffmpeg, loudness
from gpu_worker.extras import ExtrasMade
from gpu_worker.ffmpeg import Source
from gpu_worker.process import Limits, run
from gpu_worker.sandbox import Room
from gpu_worker.settings import EncodeSettings
from gpu_worker.sound import AudioPlan
from gpu_worker.tools import Tools

MAX_MEASURED_BYTES = 256 * 1024**2


async def normalised(
    tools: Tools,
    settings: EncodeSettings,
    source: Source,
    audio: AudioPlan,
    *,
    seconds: float,
    made: ExtrasMade,
) -> AudioPlan:
    """`audio` with the gain it needs; without one, and with a note, where nothing is measured.

    Raises ProcessFailed or ProcessTimedOut.
    """
    if settings.loudness_target_lufs is None:
        return audio
    argv = ffmpeg.loudness_pass(tools.ffmpeg, source, audio, seconds)
    limits = Limits(settings.max_wall_seconds, settings.max_cpu_seconds, MAX_MEASURED_BYTES)
    room = Room(made.folder, (source.path,), writes=True)
    await run(argv, sandbox=tools.sandbox, room=room, limits=limits)
    try:
        measured = loudness.read(made.folder / loudness.MEASURED)
    except ValueError:
        made.note("normalisation", "the sound could not be measured")
        return audio
    return replace(audio, gain_db=loudness.gain_db(measured, settings.loudness_target_lufs))
