"""Leaves rungs out that add nothing: measured on what was produced."""

from collections.abc import Sequence
from pathlib import Path

from gpu_worker.playlist import MediaPlaylist, Variant


def worth_keeping(variants: Sequence[Variant], step: float) -> tuple[Variant, ...]:
    """Those of a ladder, highest first, that serve somebody: the highest, and each that takes
    clearly less than the one kept above it, by a factor of `step` at the peak or on average.

    Rates are of picture and sound together, as a player compares them with its line. Who can have
    the lower of two that cost the same can have the higher, which looks better.
    """
    kept = list(variants[:1])
    for variant in variants[1:]:
        above = kept[-1]
        if (
            above.bandwidth_bps >= step * variant.bandwidth_bps
            or above.average_bandwidth_bps >= step * variant.average_bandwidth_bps
        ):
            kept.append(variant)
    return tuple(kept)


def remove_unused(
    folder: Path, kept: Sequence[Variant], produced: Sequence[MediaPlaylist]
) -> list[MediaPlaylist]:
    """What variants that are kept play, of all that was produced; the rest is deleted."""
    played = {variant.playlist for variant in kept} | {variant.audio for variant in kept}
    for playlist in produced:
        if playlist not in played:
            names = {playlist.uri, *(segment.uri for segment in playlist.segments)}
            for name in names | ({playlist.initialisation} - {None}):
                (folder / str(name)).unlink()
    return [playlist for playlist in produced if playlist in played]
