"""Which media type an answer is in, by the request's Accept. Source: RFC 9110, 12.5.1."""

from collections.abc import Sequence
from typing import NamedTuple

ANYTHING = frozenset({"", "*/*"})


class _Range(NamedTuple):
    kind: str
    subtype: str
    quality: float

    def fits(self, kind: str, subtype: str) -> bool:
        return self.kind in {"*", kind} and self.subtype in {"*", subtype}

    @property
    def precision(self) -> int:
        return (self.kind != "*") + (self.subtype != "*")


def best(accept: str, offered: Sequence[str]) -> str | None:
    """The one of `offered` that `accept` likes most, the earlier of equals; None if it takes none.

    A range's own parameters are not compared: none of our types differ by theirs alone.
    """
    if accept.strip() in ANYTHING:
        return offered[0]
    ranges = [_range(text) for text in accept.split(",") if text.strip()]
    liked = {each: _quality(ranges, each) for each in offered}
    chosen = max(offered, key=liked.__getitem__)
    return chosen if liked[chosen] > 0 else None


def _quality(ranges: Sequence[_Range], media_type: str) -> float:
    kind, _, subtype = media_type.split(";", maxsplit=1)[0].partition("/")
    fitting = [each for each in ranges if each.fits(kind, subtype)]
    closest = max(fitting, key=lambda each: each.precision, default=None)
    return 0.0 if closest is None else closest.quality


def _range(text: str) -> _Range:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    kind, _, subtype = name.partition("/")
    weights = [part[2:] for part in parameters if part.startswith("q=")]
    return _Range(kind, subtype, _weight(weights[0]) if weights else 1.0)


def _weight(text: str) -> float:
    """A weight of 0 to 1; one that is not written as such counts as not given."""
    digits = text.replace(".", "", 1)
    known = digits.isascii() and digits.isdecimal() and len(text) <= 5
    return min(float(text), 1.0) if known else 1.0
