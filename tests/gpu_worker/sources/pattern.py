"""A test picture whose colours, corners and square are known, with a flash at one second.

Lengths are in parts of the shorter side, so that the picture looks the same in every size and
shape; `shrink` squeezes it for pixels that are not square.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from tests.gpu_worker.sources.colour import Floats

FLASH_AT_SECONDS, FLASH_SECONDS = 1.0, 0.2
SQUARE_SIDE = 0.28
GREY, BLACK, WHITE = (0.5, 0.5, 0.5), (0.08, 0.08, 0.08), (0.92, 0.92, 0.92)


@dataclass(frozen=True)
class Patch:
    """A square of one colour: its middle as shares of the picture plus parts of the short side."""

    x: float
    y: float
    right: float
    down: float
    side: float
    rgb: tuple[float, float, float]


PATCHES = {
    "red": Patch(0, 0, 0.12, 0.12, 0.24, (0.75, 0.15, 0.15)),
    "green": Patch(1, 0, -0.12, 0.12, 0.24, (0.20, 0.65, 0.25)),
    "blue": Patch(0, 1, 0.12, -0.12, 0.24, (0.20, 0.25, 0.75)),
    "yellow": Patch(1, 1, -0.12, -0.12, 0.24, (0.80, 0.75, 0.15)),
    "cyan": Patch(0, 0.5, 0.10, 0, 0.18, (0.20, 0.65, 0.70)),
    "skin": Patch(1, 0.5, -0.10, 0, 0.18, (0.80, 0.60, 0.50)),
    "grey": Patch(0.5, 1, 0, -0.10, 0.18, (0.25, 0.25, 0.25)),
    "surround": Patch(0.5, 0.5, 0, 0, 0.40, BLACK),
    "square": Patch(0.5, 0.5, 0, 0, SQUARE_SIDE, WHITE),
}
FLASH = Patch(0.5, 0, 0, 0.10, 0.18, WHITE)
DARK = Patch(0.5, 0, 0, 0.10, 0.18, BLACK)
BAR_ROWS = (0.25, 0.40)
BAR_STEP = 0.03
Frame = npt.NDArray[np.uint16]
Encode = Callable[[Floats], Floats]
"""From R'G'B' of BT.709 to the signal that a source carries."""


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels."""

    left: int
    top: int
    right: int
    bottom: int


def box(patch: Patch, width: int, height: int, shrink: Fraction = Fraction(1)) -> Box:
    """Where `patch` lies in a picture of that size; its pixels are `shrink` times as wide."""
    short = min(width * shrink, Fraction(height))
    across, along = float(short / shrink), float(short)
    x, y = patch.x * width + patch.right * across, patch.y * height + patch.down * along
    half_x, half_y = patch.side * across / 2, patch.side * along / 2
    return Box(round(x - half_x), round(y - half_y), round(x + half_x), round(y + half_y))


def draw(
    width: int, height: int, encode: Encode, shrink: Fraction = Fraction(1), *, flash: bool = False
) -> Frame:
    """The picture as signal values of 16 bits, shape (height, width, 3)."""
    signal = np.empty((height, width, 3))
    signal[:] = encode(np.array(GREY))
    for patch in (*PATCHES.values(), FLASH if flash else DARK):
        place = box(patch, width, height, shrink)
        signal[place.top : place.bottom, place.left : place.right] = encode(np.array(patch.rgb))
    return np.round(np.clip(signal, 0, 1) * 65535).astype("<u2")


def frames(
    size: tuple[int, int], times: Sequence[Fraction], encode: Encode, shrink: Fraction
) -> list[Frame]:
    """A picture for each time in seconds; those from the first to the 1.2th have the flash."""
    dark, bright = (draw(*size, encode, shrink, flash=lit) for lit in (False, True))
    ends = FLASH_AT_SECONDS + FLASH_SECONDS
    return [bright if FLASH_AT_SECONDS <= time < ends else dark for time in times]


def with_bar(frame: Frame, number: int) -> Frame:
    """The frame with a black bar across which moves on by `BAR_STEP` of the width each time."""
    height, width = frame.shape[:2]
    left = round(number * BAR_STEP * width) % width
    barred = frame.copy()
    top, bottom = (round(share * height) for share in BAR_ROWS)
    barred[top:bottom, left : left + width // 16] = 0
    return barred
