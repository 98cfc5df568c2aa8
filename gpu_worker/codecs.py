"""Reads of H.264 and AAC what players must be told, out of the bitstream itself.

Sources: ITU-T H.264, 7.3.1, 7.3.2.1.1, E.1.1 (NAL units, SPS, VUI); ISO/IEC 13818-7, 6.2 (ADTS);
RFC 6381, 3.3 (the codecs parameter).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

NAL_SLICE, NAL_IDR, NAL_SPS = 1, 5, 7
SLICES = range(NAL_SLICE, NAL_IDR + 1)
EXTENDED_SAR = 255
SQUARE_PIXELS = 1
WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""Profiles whose SPS tells the chroma format and depths."""
AAC_LC_OBJECT = 2
AAC_LC = f"mp4a.40.{AAC_LC_OBJECT}"
AAC_RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
SAMPLES_PER_AAC_FRAME = 1024


@dataclass(frozen=True)
class Sps:
    """A sequence parameter set; `level` 40 means 4.0, colours are H.273's code points or None."""

    profile: int
    constraints: int
    level: int
    width: int
    height: int
    progressive: bool
    square_pixels: bool
    full_range: bool = False
    primaries: int | None = None
    transfer: int | None = None
    matrix: int | None = None

    @property
    def codecs(self) -> str:
        """`avc1.PPCCLL`."""
        return f"avc1.{self.profile:02x}{self.constraints:02x}{self.level:02x}"


@dataclass(frozen=True)
class Described:
    """What an initialisation section says of HEVC or AV1 in it; colours as H.273 has them.

    `level` is as the codec counts: of HEVC 90 means 3.0, of AV1 8 means 4.0.
    """

    codec: Literal["hevc", "av1"]
    codecs: str
    profile: int
    level: int
    width: int
    height: int
    progressive: bool
    square_pixels: bool
    full_range: bool
    primaries: int | None
    transfer: int | None
    matrix: int | None


@dataclass(frozen=True)
class Adts:
    """What an AAC frame says of itself; `object_type` 2 is AAC-LC."""

    object_type: int
    sample_rate_hz: int
    channels: int


class _Bits:
    """A NAL unit's payload, read bit by bit. ValueError past its end."""

    def __init__(self, payload: bytes) -> None:
        clean = payload.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value, self._left = int.from_bytes(clean), 8 * len(clean)

    def u(self, count: int) -> int:
        """An unsigned number of so many bits."""
        self._left -= count
        if self._left < 0:
            raise ValueError("the parameter set is cut off")
        return self._value >> self._left & (1 << count) - 1

    def ue(self) -> int:
        """An unsigned Exp-Golomb number."""
        zeros = 0
        while not self.u(1):
            zeros += 1
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """A signed Exp-Golomb number."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def nal_units(stream: bytes) -> list[bytes]:
    """The NAL units in a piece of byte stream, headers included, start codes not."""
    return [piece for piece in stream.split(b"\x00\x00\x01")[1:] if piece]


def parse_sps(nal: bytes) -> Sps:
    """A NAL unit of type 7. Raises ValueError when it is cut off."""
    profile, constraints, level = nal[1:4]
    bits = _Bits(nal[4:])
    bits.ue()
    chroma_format = _chroma_format(bits) if profile in WITH_CHROMA else 1
    bits.ue()
    _skip_picture_order(bits)
    bits.ue()
    bits.u(1)
    across, along = bits.ue() + 1, bits.ue() + 1
    progressive = bool(bits.u(1))
    if not progressive:
        bits.u(1)
    bits.u(1)
    crop = [bits.ue() for _ in range(4)] if bits.u(1) else [0, 0, 0, 0]
    unit_x = 2 if chroma_format in {1, 2} else 1
    unit_y = (2 if chroma_format == 1 else 1) * (1 if progressive else 2)
    square, full, colours = _vui(bits) if bits.u(1) else (True, False, (None, None, None))
    return Sps(
        profile,
        constraints,
        level,
        16 * across - unit_x * (crop[0] + crop[1]),
        16 * along * (1 if progressive else 2) - unit_y * (crop[2] + crop[3]),
        progressive,
        square,
        full,
        *colours,
    )


def _chroma_format(bits: _Bits) -> int:
    chroma_format = bits.ue()
    if chroma_format == 3:
        bits.u(1)
    bits.ue()
    bits.ue()
    bits.u(1)
    if bits.u(1):
        for number in range(8 if chroma_format != 3 else 12):
            if bits.u(1):
                _skip_scaling_list(bits, 16 if number < 6 else 64)
    return chroma_format


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    scale = following = 8
    for _ in range(size):
        if following:
            following = (scale + bits.se()) % 256
        scale = following or scale


def _skip_picture_order(bits: _Bits) -> None:
    kind = bits.ue()
    if kind == 0:
        bits.ue()
    elif kind == 1:
        bits.u(1)
        bits.se()
        bits.se()
        for _ in range(bits.ue()):
            bits.se()


def _vui(bits: _Bits) -> tuple[bool, bool, tuple[int | None, int | None, int | None]]:
    """Whether pixels are square, whether the range is full, and the colours."""
    square = True
    if bits.u(1):
        aspect = bits.u(8)
        ratio = (bits.u(16), bits.u(16)) if aspect == EXTENDED_SAR else None
        square = aspect in {0, SQUARE_PIXELS} or (ratio is not None and ratio[0] == ratio[1])
    if bits.u(1):
        bits.u(1)
    if not bits.u(1):
        return square, False, (None, None, None)
    bits.u(3)
    full = bool(bits.u(1))
    colours = (bits.u(8), bits.u(8), bits.u(8)) if bits.u(1) else (None, None, None)
    return square, full, colours


def adts_frames(stream: bytes) -> Iterator[Adts]:
    """The headers of AAC frames that lie one after the other.

    Raises ValueError where none begins, or the last one is not whole.
    """
    at = 0
    while at < len(stream):
        header = stream[at : at + 7]
        if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
            raise ValueError("there is something else than AAC frames")
        size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
        at += max(size, 7)
        if at > len(stream):
            raise ValueError("the last AAC frame is not whole")
        rate = header[2] >> 2 & 15
        yield Adts(
            object_type=(header[2] >> 6) + 1,
            sample_rate_hz=AAC_RATES_HZ[rate] if rate < len(AAC_RATES_HZ) else 0,
            channels=(header[2] & 1) << 2 | header[3] >> 6,
        )
