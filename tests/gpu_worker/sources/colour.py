"""Colour by the standards' formulas, with numpy alone: no ffmpeg, nothing of the worker.

RGB is non-linear R'G'B' from 0 to 1 in the primaries and with the white of BT.709. Sources: ITU-R
BT.601, BT.709, BT.1886, BT.2020, BT.2100 (PQ and HLG); SMPTE ST 170 and BT.470 (primaries); CIE 142
(ΔE2000).
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Matrix = Literal["bt601", "bt709"]
Gamut = Literal["bt709", "smpte170m", "bt470bg", "bt2020"]

LUMA_OF_RED_AND_BLUE: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
}
PRIMARIES: dict[Gamut, tuple[tuple[float, float], ...]] = {
    "bt709": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    "smpte170m": ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    "bt470bg": ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
}
WHITE_D65 = (0.3127, 0.3290)
SCREEN_GAMMA = 2.4
HDR_WHITE_NITS = 203.0
"""Where BT.2408 puts the white of a diffuse surface."""


def rgb_of(yuv: Floats, matrix: Matrix, *, full: bool) -> Floats:
    """R'G'B' of 8-bit Y'CbCr triples."""
    red, blue = LUMA_OF_RED_AND_BLUE[matrix]
    luma = yuv[..., 0] / 255 if full else (yuv[..., 0] - 16) / 219
    span = 255 if full else 224
    from_blue, from_red = (yuv[..., 1] - 128) / span, (yuv[..., 2] - 128) / span
    r = luma + 2 * (1 - red) * from_red
    b = luma + 2 * (1 - blue) * from_blue
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.stack([r, g, b], axis=-1), 0, 1)


def xyz_of_linear(gamut: Gamut) -> Floats:
    """The matrix from linear RGB of a gamut to XYZ, white at Y = 1."""
    columns = np.array([_xyz(*point) for point in PRIMARIES[gamut]]).T
    scaled: Floats = columns * np.linalg.solve(columns, _xyz(*WHITE_D65))
    return scaled


def _xyz(x: float, y: float) -> Floats:
    return np.array([x / y, 1, (1 - x - y) / y])


def linear(rgb: Floats) -> Floats:
    """Light of R'G'B' by the sRGB curve, as a screen shows it."""
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def in_gamut(rgb: Floats, gamut: Gamut) -> Floats:
    """R'G'B' with the primaries of `gamut` that look the same on a screen by BT.1886."""
    there = np.linalg.inv(xyz_of_linear(gamut)) @ xyz_of_linear("bt709")
    light: Floats = np.clip(rgb**SCREEN_GAMMA @ there.T, 0, None)
    return light ** (1 / SCREEN_GAMMA)


def pq(rgb: Floats) -> Floats:
    """The PQ signal in BT.2020 of a screen that shows `rgb` with white at 203 cd/m²."""
    light = _wide_light(rgb) * HDR_WHITE_NITS / 10_000
    power = light**0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(rgb: Floats) -> Floats:
    """The HLG signal in BT.2020 of a scene shown as `rgb` on a 1000 cd/m² screen, white at 203."""
    shown = _wide_light(rgb) * HDR_WHITE_NITS / 1000
    luminance = shown @ np.array([0.2627, 0.6780, 0.0593])
    scene = shown * np.maximum(luminance, 1e-9)[..., None] ** ((1 - 1.2) / 1.2)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


def _wide_light(rgb: Floats) -> Floats:
    there = np.linalg.inv(xyz_of_linear("bt2020")) @ xyz_of_linear("bt709")
    light: Floats = np.clip(linear(rgb) @ there.T, 0, None)
    return light


def lab(rgb: Floats) -> Floats:
    """CIE L*a*b* under D65."""
    ratio = linear(rgb) @ xyz_of_linear("bt709").T / _xyz(*WHITE_D65)
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def hue_degrees(colour: Floats) -> Floats:
    """The hue angle of L*a*b* colours."""
    return np.degrees(np.arctan2(colour[..., 2], colour[..., 1])) % 360


def delta_e(one: Floats, other: Floats) -> Floats:
    """CIEDE2000 between L*a*b* colours."""
    mean_c7 = ((_chroma(one) + _chroma(other)) / 2) ** 7
    stretch = 1.5 - 0.5 * np.sqrt(mean_c7 / (mean_c7 + 25.0**7))
    one, other = one * _along_a(stretch), other * _along_a(stretch)
    c1, c2 = _chroma(one), _chroma(other)
    h1, h2 = hue_degrees(one), hue_degrees(other)
    turn = (h2 - h1 + 180) % 360 - 180
    grey = c1 * c2 == 0
    delta_h = np.where(grey, 0, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)))
    mean_h = np.where(grey, h1 + h2, h1 + turn / 2)
    lightness, chroma = (one[..., 0] + other[..., 0]) / 2, (c1 + c2) / 2
    weight = (
        1
        - 0.17 * np.cos(np.radians(mean_h - 30))
        + 0.24 * np.cos(np.radians(2 * mean_h))
        + 0.32 * np.cos(np.radians(3 * mean_h + 6))
        - 0.20 * np.cos(np.radians(4 * mean_h - 63))
    )
    squared = (lightness - 50) ** 2
    for_l = (other[..., 0] - one[..., 0]) / (1 + 0.015 * squared / np.sqrt(20 + squared))
    for_c = (c2 - c1) / (1 + 0.045 * chroma)
    for_h = delta_h / (1 + 0.015 * chroma * weight)
    c7 = chroma**7
    blue = 60 * np.exp(-((((mean_h % 360) - 275) / 25) ** 2))
    rotation = -2 * np.sqrt(c7 / (c7 + 25.0**7)) * np.sin(np.radians(blue))
    return np.sqrt(for_l**2 + for_c**2 + for_h**2 + rotation * for_c * for_h)


def _chroma(colour: Floats) -> Floats:
    length: Floats = np.hypot(colour[..., 1], colour[..., 2])
    return length


def _along_a(factor: Floats) -> Floats:
    return np.stack([np.ones_like(factor), factor, np.ones_like(factor)], axis=-1)
