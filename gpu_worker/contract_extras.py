"""What is told of an output's extras: a part of the contract that the service shows, no more."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from gpu_worker.contract import SCHEMA_VERSION, Count, Visible, WireModel


class StoryboardFacts(WireModel):
    """Small pictures of a film on sheets, one every `interval_seconds`; `storyboard.vtt` says which
    lies where. Sizes in pixels; `columns` and `rows` of tiles on one sheet."""

    interval_seconds: Count
    tiles: Count
    columns: Count
    rows: Count
    tile_width: Count
    tile_height: Count
    sheets: tuple[Visible, ...]
    """Names of JPEG files beside `master.m3u8`."""


class AnimatedFacts(WireModel):
    """A small animated WebP of a film's moments, beside `master.m3u8`. Sizes in pixels."""

    bytes: Count
    width: Count
    height: Count


class Loudness(WireModel):
    """How loud the sound is as delivered (EBU R 128), before AAC; of silence there are no figures.
    `gain_db` is what was added to it first."""

    integrated_lufs: float | None = None
    range_lu: float | None = None
    true_peak_dbtp: float | None = None
    gain_db: float = 0.0


class Extras(WireModel):
    """`extras.json`: what there is besides renditions, poster and preview.

    What failed is None, and a note says why.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    storyboard: StoryboardFacts | None = None
    animated: AnimatedFacts | None = None
    loudness: Loudness | None = None
    notes: tuple[Annotated[str, StringConstraints(max_length=500)], ...] = ()
