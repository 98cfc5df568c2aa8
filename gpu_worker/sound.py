"""The sound's part of ffmpeg's command lines. Pure."""

from dataclasses import dataclass

from gpu_worker import loudness

AUDIO_RATE_HZ = 48_000
# The tags of a phone's recording say where it was made; none is copied.
CLEAN = ("-map_metadata", "-1", "-map_chapters", "-1")


@dataclass(frozen=True)
class AudioPlan:
    """One audio track of the source and the rates it is encoded at, once each."""

    index: int
    channels: int
    kbps: tuple[int, ...]
    pad_seconds: float = 0.0
    gain_db: float = 0.0
    measured: bool = False
    """Whether its loudness is to be measured on the way."""


def seconds(number: float) -> str:
    """A time as ffmpeg reads it, to the microsecond."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def graph(audio: AudioPlan, length_seconds: float, *, alone: bool = False) -> list[str]:
    """Stereo at 48 kHz from time zero, gaps filled, split for each bit rate.

    Alone, it begins with its first sample, as its waveform does.
    """
    outputs = [f"[a{number}]" for number in range(len(audio.kbps))]
    if audio.measured:
        outputs.append("[loud]")
    filters = [*chain(audio, alone=alone), f"asplit={len(outputs)}{''.join(outputs)}"]
    chains = [f"[0:{audio.index}]{','.join(filters)}"]
    if audio.measured:
        chains.append(f"[loud]{loudness.filters(seconds(length_seconds))},anullsink")
    return chains


def chain(audio: AudioPlan, *, alone: bool = False) -> list[str]:
    """The filters from the source to the sound as it is delivered."""
    # swresample plays mono 3 dB lower on two speakers; copied, it stays as loud.
    stereo = "pan=stereo|c0=c0|c1=c0" if audio.channels == 1 else "aformat=channel_layouts=stereo"
    filters = [
        *(["asetpts=PTS-STARTPTS"] if alone else []),
        f"aresample={AUDIO_RATE_HZ}:async=1:first_pts=0",
        stereo,
    ]
    if audio.gain_db:
        filters.append(f"volume={audio.gain_db:g}dB")
    if audio.pad_seconds > 0:
        filters.append(f"apad=pad_dur={seconds(audio.pad_seconds)}")
    return filters


def waveform(audio: AudioPlan, rate_hz: int, length_seconds: float) -> list[str]:
    """The sound as it is in the source, yet on the picture's time: gaps and the end filled."""
    filters = [f"aresample={rate_hz}:async=1:first_pts=0"]
    if audio.pad_seconds > 0:
        filters.append(f"apad=pad_dur={seconds(audio.pad_seconds)}")
    return [
        "-map", f"0:{audio.index}", "-af", ",".join(filters), "-t", seconds(length_seconds),
        *pcm(rate_hz, audio.channels),
    ]  # fmt: skip


def pcm(rate_hz: int, channels: int) -> list[str]:
    """An output of PCM to stdout: signed 16 bits, little endian, interleaved.

    Left to itself, ffmpeg hands over each packet, and wakes us for two hundredths of a second.
    """
    return [
        *CLEAN, "-c:a", "pcm_s16le", "-ar", str(rate_hz), "-ac", str(channels),
        "-flush_packets", "0", "-f", "s16le", "pipe:1",
    ]  # fmt: skip
