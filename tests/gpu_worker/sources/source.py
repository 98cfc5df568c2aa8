"""What a source is: how it is drawn and encoded, and what must come of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from gpu_worker.contract import MediaType, WorkerErrorCode
from tests.gpu_worker.sources import colour
from tests.gpu_worker.sources.colour import Floats
from tests.gpu_worker.sources.pattern import Encode


def _as_is(rgb: Floats) -> Floats:
    return rgb


def _in(gamut: colour.Gamut) -> Encode:
    return lambda rgb: colour.in_gamut(rgb, gamut)


@dataclass(frozen=True)
class Signal:
    """A way to carry colour: what is drawn, how it becomes Y'CbCr, and what the file says of it."""

    encode: Encode = _as_is
    matrix: str = "bt709"
    tags: str = "colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    range: str = "tv"
    hdr: bool = False


UNTAGGED = "colorspace=unknown:color_primaries=unknown:color_trc=unknown"
WIDE = "colorspace=bt2020nc:color_primaries=bt2020:color_trc="
SIGNALS = {
    "bt709": Signal(),
    "bt709 untagged": Signal(tags=UNTAGGED),
    "rgb": Signal(matrix="", tags=UNTAGGED, range="pc"),
    "bt709 full": Signal(range="pc"),
    "bt601 untagged": Signal(matrix="smpte170m", tags=UNTAGGED),
    "bt601 full": Signal(matrix="smpte170m", tags=UNTAGGED, range="pc"),
    "bt601": Signal(
        _in("smpte170m"),
        "smpte170m",
        "colorspace=smpte170m:color_primaries=smpte170m:color_trc=smpte170m",
    ),
    "pal": Signal(
        _in("bt470bg"), "bt470bg", "colorspace=bt470bg:color_primaries=bt470bg:color_trc=smpte170m"
    ),
    "bt2020": Signal(_in("bt2020"), "bt2020nc", WIDE + "bt2020-10"),
    "pq": Signal(colour.pq, "bt2020nc", WIDE + "smpte2084", hdr=True),
    "hlg": Signal(colour.hlg, "bt2020nc", WIDE + "arib-std-b67", hdr=True),
}


@dataclass(frozen=True)
class Picture:
    """A picture track; `size` is as displayed, before squeezing and turning."""

    codec: str = "-c:v libx264 -preset ultrafast -crf 12"
    size: tuple[int, int] = (320, 180)
    rate: str = "25"
    seconds: float = 1.6
    pixels: str = "yuv420p"
    signal: str = "bt709"
    sample_aspect: str = "1"
    turn: str = ""
    """Options of ffmpeg's that set a display matrix."""
    filters: str = ""
    """Applied to the drawn frames before they are encoded."""
    moving: bool = False

    @property
    def coded(self) -> tuple[int, int]:
        """The size as encoded, before turning."""
        return round(self.size[0] / Fraction(self.sample_aspect)), self.size[1]


@dataclass(frozen=True)
class Sound:
    """A sound track with a beep of 1 kHz at one second of the source's time."""

    codec: str = "-c:a aac -b:a 96k"
    seconds: float = 1.6
    channels: str = "stereo"
    rate_hz: int = 48_000
    starts: float = 0.0
    """Seconds after the picture's first frame."""
    beeps: bool = True


@dataclass(frozen=True)
class Made:
    """What a conforming output shows."""

    seconds: float | None = None
    """None: as long as the picture, or the sound where that is all."""
    rate: str | None = None
    """None: that of the source."""
    size: tuple[int, int] | None = None
    """Of the first variant; None: that of the source."""
    rungs: int = 1
    delta_e: float = 1.5
    """The largest CIEDE2000 of any patch; for HDR see `look.Hdr`."""
    flash: bool = True
    beep: bool = True
    sync_seconds: float = 0.040
    """How far the beep may be from the flash."""
    tolerance_seconds: float = 0.0
    """For the length, beyond one frame."""


@dataclass(frozen=True)
class Source:
    """One file to convert. `outcome` is a code where it must be refused."""

    name: str
    file: str
    picture: Picture | None = field(default_factory=Picture)
    sounds: tuple[Sound, ...] = (Sound(),)
    options: str = ""
    """Of the output: its container, dispositions, attachments."""
    again: str | None = None
    """Arguments of a second ffmpeg that makes the file of the first one, named IN."""
    spoil: Callable[[bytes], bytes] | None = None
    """What is done to the finished file."""
    wanted: MediaType | None = None
    outcome: Made | WorkerErrorCode = field(default_factory=Made)
    content: Callable[[], bytes | Path] | None = None
    """The file itself, where nothing is drawn."""
