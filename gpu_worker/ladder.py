"""The ladder: which renditions a source gets, at which size and frame rate. Pure.

Sizes are those of the picture as displayed: rotated upright, pixels square.
"""

from dataclasses import dataclass
from fractions import Fraction

from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed

MAX_LONG_SIDE = 3840
"""Keeps a 32:9 picture whole at 1080p, and H.264 below level 5.2."""
MIN_SHORT_SIDE = 16
MAX_FRAME_RATE = Fraction(60)
MIN_FRAME_RATE = Fraction(1)
"""Below one frame in two seconds no segment could begin on its boundary."""
STANDARD_RATES = tuple(
    Fraction(rate)
    for rate in ("24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60")
)


@dataclass(frozen=True)
class Size:
    """A picture in square pixels."""

    width: int
    height: int

    @property
    def short_side(self) -> int:
        """The shorter side in pixels."""
        return min(self.width, self.height)


@dataclass(frozen=True)
class Rung:
    """A step of the ladder; rates in kilobits a second."""

    name: str
    short_side: int
    video_kbps: int
    audio_kbps: int


@dataclass(frozen=True)
class PlannedRung:
    """A rung with the size it gets for one source."""

    rung: Rung
    size: Size


RUNGS = (
    Rung("1080p", 1080, 5000, 128),
    Rung("720p", 720, 2500, 128),
    Rung("480p", 480, 1000, 128),
    Rung("360p", 360, 500, 64),
)
AUDIO_ONLY_KBPS = (128, 64)
PREVIEW_SHORT_SIDE = 720


def canvas(display: Size) -> Size:
    """The picture all renditions and the poster are scaled from: at most 1080p, even sides.

    Raises `input_unsupported` for pictures no encoder takes.
    """
    longest = max(display.width, display.height)
    if display.short_side < MIN_SHORT_SIDE or longest > 16 * display.short_side:
        raise JobFailed(
            WorkerErrorCode.INPUT_UNSUPPORTED,
            f"The picture is {display.width} by {display.height} pixels, "
            "which is too small or too narrow to play.",
        )
    return _scaled(display, RUNGS[0].short_side, upscale=False)


def plan(display: Size, *, force_full: bool = False) -> tuple[PlannedRung, ...]:
    """The rungs for a source, largest first. None is above the source unless `force_full`.

    The lowest rung always stays; a source smaller than it is kept at its own size.
    """
    fitting = tuple(r for r in RUNGS if force_full or r.short_side <= display.short_side)
    return tuple(
        PlannedRung(rung, _scaled(display, rung.short_side, upscale=force_full))
        for rung in fitting or RUNGS[-1:]
    )


def preview_rung(rungs: tuple[PlannedRung, ...]) -> PlannedRung:
    """The rung the preview is copied from: 720p, or the highest below."""
    return next((p for p in rungs if p.rung.short_side <= PREVIEW_SHORT_SIDE), rungs[-1])


def output_rate(average: Fraction, nominal: Fraction) -> Fraction:
    """The constant frame rate to encode at, from ffprobe's avg_frame_rate and r_frame_rate.

    A standard average decides: for interlaced material the nominal rate counts fields. Where the
    rate varies it is the nominal one, or else the next standard one above the average. Above 60
    it is halved until it is not.
    """
    rate = average or nominal or Fraction(25)
    if rate > MAX_FRAME_RATE * Fraction(101, 100):
        while rate > MAX_FRAME_RATE:
            rate /= 2
        return _near_standard(rate) or rate.limit_denominator(1001)
    near = _near_standard(rate) or _near_standard(nominal)
    if near is not None:
        return near
    if rate == nominal:
        return max(rate, MIN_FRAME_RATE)
    return next(standard for standard in STANDARD_RATES if standard >= min(rate, MAX_FRAME_RATE))


def _near_standard(rate: Fraction) -> Fraction | None:
    nearest = min(STANDARD_RATES, key=lambda standard: abs(standard - rate))
    return nearest if abs(nearest - rate) * 200 <= nearest else None


def _scaled(display: Size, short_side: int, *, upscale: bool) -> Size:
    """`display` scaled to `short_side`, both sides even and at least 2, ratio kept."""
    factor = Fraction(short_side, display.short_side)
    if not upscale:
        factor = min(factor, Fraction(1))
    factor = min(factor, Fraction(MAX_LONG_SIDE, max(display.width, display.height)))
    return Size(_even(display.width * factor), _even(display.height * factor))


def within(size: Size, long_side: int) -> Size:
    """`size` with a longer side of at most that, both sides even, ratio kept."""
    factor = min(Fraction(1), Fraction(long_side, max(size.width, size.height)))
    width, height = (max(2, round(side * factor / 2) * 2) for side in (size.width, size.height))
    return Size(width, height)


def _even(side: Fraction) -> int:
    """The nearest even number, never above a side that is whole: odd sources lose a line."""
    below = int(side) // 2 * 2
    nearest = below + 2 if side - below > 1 else below
    return max(2, nearest)
