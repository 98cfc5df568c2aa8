"""The rules of HLS for I-frame playlists; see :mod:`rules`."""

import numpy as np

from gpu_worker.media_rules import Problems
from gpu_worker.produced import Listed, Output, Rendition
from gpu_worker.transport import CLOCK_HZ
from gpu_worker.trickplay import IFrames, by_segment

TOLD_TO_TRUTH = 0.1
ROUNDING_SECONDS = 0.0005


def are_there(output: Output) -> Problems:
    """One for each rendition with a picture in transport streams."""
    of = [_rendition(output, iframes) for iframes in output.iframes]
    for rendition in output.pictures:
        if not rendition.mapped and rendition not in of:
            yield f"{rendition.name} has no I-frame playlist"


def ranges_are_iframes(output: Output) -> Problems:
    """Every IDR picture once, alone, from the packet its PES packet begins in to its last."""
    for iframes in output.iframes:
        rendition = _rendition(output, iframes)
        if rendition is None:
            yield f"{iframes.name} is of no rendition"
            continue
        ranges = by_segment(iframes)
        for segment in rendition.segments:
            told = [(found.offset, found.size) for found in ranges.get(segment.name, [])]
            if told != _extents(segment):
                yield f"{iframes.name} has other ranges in {segment.name} than its I-frames"
            elif not segment.content.begins_with_tables or told[0][0] == 0:
                yield f"{segment.name} has no PAT and PMT before its first I-frame"


def lengths_are_spans(output: Output) -> Problems:
    """EXTINF is the time to the next I-frame; those of a segment add up to its length."""
    for iframes in output.iframes:
        if not iframes.only_iframes or not iframes.finished:
            yield f"{iframes.name} lacks EXT-X-I-FRAMES-ONLY, EXT-X-ENDLIST or its type"
        longest = max((entry.seconds for entry in iframes.ranges), default=0.0)
        if int(longest + 0.5) > (iframes.target_seconds or 0):
            yield f"{iframes.name} has an entry longer than its target duration"
        rendition = _rendition(output, iframes)
        if rendition is not None:
            yield from _spans(iframes, rendition)


def _spans(iframes: IFrames, rendition: Rendition) -> Problems:
    ranges = by_segment(iframes)
    for segment in rendition.segments:
        content, told = segment.content, ranges.get(segment.name, [])
        lasts = sum(entry.seconds for entry in told)
        if abs(lasts - segment.seconds) > ROUNDING_SECONDS:
            yield f"{iframes.name} lasts {lasts:.3f} s in {segment.name}, not {segment.seconds:.3f}"
        ticks = np.diff(content.presented[content.idr]) % 2**33
        pairs = zip(told, (ticks / CLOCK_HZ).tolist(), strict=False)
        for entry, truth in pairs:
            if abs(entry.seconds - truth) > ROUNDING_SECONDS:
                yield f"{iframes.name} says {entry.seconds} s in {segment.name}, not {truth:.3f}"


def lines_are_true(output: Output) -> Problems:
    """BANDWIDTH, CODECS and RESOLUTION."""
    for iframes in output.iframes:
        peak = iframes.peak_bits_per_second
        told = iframes.bandwidth or 0
        if told < int(peak) or told > peak * (1 + TOLD_TO_TRUTH):
            yield f"{iframes.name} has BANDWIDTH {told}, its I-frames peak at {peak:.0f}"
        rendition = _rendition(output, iframes)
        segments = rendition.segments if rendition else ()
        sets = {sps for segment in segments for sps in segment.content.sps}
        truth = {(sps.codecs, (sps.width, sps.height)) for sps in sets}
        if truth != {(iframes.codecs, iframes.resolution)}:
            yield f"{iframes.name} is said to be {iframes.codecs}, {iframes.resolution}"


def _rendition(output: Output, iframes: IFrames) -> Rendition | None:
    """The one all of its ranges lie in."""
    names = {entry.name for entry in iframes.ranges}
    for rendition in output.pictures:
        if names <= {segment.name for segment in rendition.segments}:
            return rendition
    return None


def _extents(segment: Listed) -> list[tuple[int, int]]:
    content = segment.content
    return [(int(begin), int(end - begin)) for begin, end in content.extents[content.idr]]
