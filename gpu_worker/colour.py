"""Which colours a picture is in, and what players will take them for. Pure.

Names are ffmpeg's. Sources: ITU-T H.273 (code points); ITU-R BT.601, BT.709, BT.2020, BT.2100.
"""

from dataclasses import dataclass
from typing import Literal

HD_LINES = 720
Curve = Literal["bt709", "smpte2084", "arib-std-b67"]
HDR_CURVES: tuple[Curve, ...] = ("smpte2084", "arib-std-b67")
MATRICES = frozenset({"bt709", "smpte170m", "bt470bg", "fcc", "smpte240m", "bt2020nc", "bt2020c"})
PRIMARIES = frozenset(
    {"bt709", "smpte170m", "bt470bg", "bt470m", "smpte240m", "film", "bt2020", "smpte431"}
    | {"smpte432", "jedec-p22"}
)


@dataclass(frozen=True)
class Colour:
    """Matrix, primaries and curve of Y'CbCr. All standard-range curves count as BT.709's: screens
    show them alike."""

    matrix: str
    primaries: str
    curve: Curve
    full_range: bool

    @property
    def hdr(self) -> bool:
        """Whether it must be tone-mapped for a standard screen."""
        return self.curve in HDR_CURVES


PRODUCED = Colour("bt709", "bt709", "bt709", full_range=False)
"""What every rendition is in."""


@dataclass(frozen=True)
class ColourTags:
    """What a file says of its colours; None where it says nothing."""

    pixel_format: str
    matrix: str | None = None
    primaries: str | None = None
    transfer: str | None = None
    full_range: bool = False


def of(tags: ColourTags, lines: int) -> Colour | None:
    """The colour of a picture with so many lines; None for RGB and grey, which have no matrix.

    What is not said is taken as players take it: by the number of lines, and the primaries as
    those of BT.709 unless the matrix is BT.2020's.
    """
    if not tags.pixel_format.startswith(("yuv", "nv", "p0", "uyvy")):
        return None
    for curve in HDR_CURVES:
        if tags.transfer == curve:
            # Rec. 2100 knows no other primaries, but not every file says so.
            return Colour("bt2020nc", "bt2020", curve, tags.full_range)
    matrix = tags.matrix if tags.matrix in MATRICES else None
    primaries = tags.primaries if tags.primaries in PRIMARIES else None
    if matrix is None:
        usual = "bt709" if lines >= HD_LINES else "smpte170m"
        matrix = "bt2020nc" if primaries == "bt2020" else usual
    if primaries is None:
        primaries = "bt2020" if matrix.startswith("bt2020") else "bt709"
    return Colour(matrix, primaries, "bt709", tags.full_range)


def to_bt709(colour: Colour | None, size: str) -> list[str]:
    """ffmpeg's filters that scale to `size` and bring the colours to those of `PRODUCED`."""
    if colour is None:
        # From RGB, only these flags leave a grey without a tint.
        exact = "out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int"
        return [f"scale={size}:{exact}"]
    told = (
        f"setparams=color_primaries={colour.primaries}:color_trc={colour.curve}"
        f":colorspace={colour.matrix}:range={'pc' if colour.full_range else 'tv'}"
    )
    if colour == PRODUCED:
        return [told, f"scale={size}"]
    wanted = "primaries=bt709:transfer=bt709:matrix=bt709:range=tv"
    # zscale wants chroma that covers the luma exactly. swscale would darken the picture by one
    # level and tint its greys.
    even, scaled = "scale=ceil(iw/2)*2:ceil(ih/2)*2", f"zscale={size}:filter=bicubic"
    if not colour.hdr:
        return [even, told, f"{scaled}:{wanted}"]
    # Tone mapping wants linear light in floating point; scaled first, it has less to do.
    linear = ["zscale=transfer=linear:npl=100", "format=gbrpf32le", "zscale=primaries=bt709"]
    return [even, told, scaled, *linear, "tonemap=hable:desat=0", f"zscale={wanted}"]
