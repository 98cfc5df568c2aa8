"""A long film cut into pieces that are encoded apart and follow each other without a seam. Pure.

The cuts lie on the grid that one pass has: whole segments, and so whole groups of pictures, counted
in pictures of the constant output rate. Nothing is rounded: all of it is fractions.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

SEGMENT_SECONDS = 6
MOST_CHUNKS = 400
ROUNDING_SECONDS = Fraction(1, 10_000)
"""More than times of 1/90000 s are rounded by, and far less than a picture lasts."""


@dataclass(frozen=True)
class Chunk:
    """A part of a film: so many segments, and the pictures in them, `end_frame` excluded.

    `lead_seconds`: so long before its first picture decoding begins, at the key frame before that;
    None: at the beginning of the film, which is slow and always right.
    """

    number: int
    first_segment: int
    segments: int
    first_frame: int
    end_frame: int
    is_last: bool = False
    lead_seconds: float | None = None

    @property
    def frames(self) -> int:
        """Its pictures; the last chunk has fewer where the container has promised too much."""
        return self.end_frame - self.first_frame

    def led(self, seconds: float | None) -> "Chunk":
        """The same with another lead."""
        return replace(self, lead_seconds=seconds)

    def starts_at(self, rate: Fraction) -> Fraction:
        """When its first picture is shown, in seconds from the film's start."""
        return self.first_frame / rate

    def segment_time(self, rate: Fraction) -> Fraction:
        """The `hls_time`, in seconds, that cuts this chunk where one pass would cut.

        ffmpeg counts from a chunk's first picture. Where pictures do not fall on the grid, that is
        a little later than the grid, and later segments may begin closer to it.
        """
        late = self.starts_at(rate) - self.first_segment * SEGMENT_SECONDS
        return SEGMENT_SECONDS - (late + ROUNDING_SECONDS if late else Fraction(0))


def first_frame(segment: int, rate: Fraction) -> int:
    """The number of the picture that a segment begins with: the first that is not too early."""
    return math.ceil(segment * SEGMENT_SECONDS * rate)


def frames_in(length_seconds: float, rate: Fraction) -> int:
    """So many pictures ffmpeg's `-t` lets through: to the nearest one."""
    return math.floor(round(length_seconds * 1_000_000) * rate / 1_000_000 + Fraction(1, 2))


def plan(rate: Fraction, length_seconds: float, chunk_seconds: float) -> tuple[Chunk, ...]:
    """Chunks of about `chunk_seconds` for a film; one of everything where it cannot be cut."""
    end = frames_in(length_seconds, rate)
    total = _segments_until(end, rate)
    size = _segments_of_one(rate, total, chunk_seconds)
    # The last one has two segments at least: the end of a film is nowhere known to the picture.
    starts = [*range(0, max(1, total - 1), size)] if size else [0]
    ends = [*starts[1:], total]
    return tuple(
        Chunk(
            number=number,
            first_segment=start,
            segments=stop - start,
            first_frame=first_frame(start, rate),
            end_frame=end if stop == total else first_frame(stop, rate),
            is_last=stop == total,
        )
        for number, (start, stop) in enumerate(zip(starts, ends, strict=True))
    )


def _segments_until(end_frame: int, rate: Fraction) -> int:
    about = math.floor(end_frame / rate / SEGMENT_SECONDS)
    return next(n for n in (about, about + 1, about + 2) if first_frame(n, rate) >= end_frame)


def _segments_of_one(rate: Fraction, total: int, chunk_seconds: float) -> int:
    """0: pictures are so few that segments would be cut elsewhere; see :meth:`segment_time`.

    With each segment ffmpeg cuts a little earlier, by less than a picture; that may not add up to
    two seconds, where the key frame before is.
    """
    wanted = max(1, round(chunk_seconds / SEGMENT_SECONDS), -(-total // MOST_CHUNKS))
    if (SEGMENT_SECONDS * rate).denominator == 1:
        return wanted
    return min(wanted, math.floor(2 * rate) - 3) if 2 * rate > 4 else 0


def segment_name(rendition: str, number: int) -> str:
    """The file of a rendition's segment, as ffmpeg writes it; the first has number 0."""
    return f"{rendition}_{number:03}.ts"
