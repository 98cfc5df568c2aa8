"""The rules of HLS that are kept or broken by what is in the segments; see :mod:`rules`."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from gpu_worker.codecs import AAC_LC_OBJECT, Described
from gpu_worker.produced import Output, Rendition
from gpu_worker.transport import CLOCK_HZ, after, later_by

PROFILE_HIGH, MAX_LEVEL = 100, 52
MOST = {"hevc": (1, 150), "av1": (0, 13)}
"""Profile Main and level 5.0; 5.1 of AV1. HEVC counts thirty times the level."""
MAX_FRAME_RATE = 60
KEY_FRAME_SECONDS = 2
BT709 = (1, 1, 1)
TICKS_OF_ROUNDING = 2
Problems = Iterator[str]
"""What breaks a rule, in words."""


def idr_first(output: Output) -> Problems:
    for rendition, segment in output.every_segment:
        if rendition.has_picture and not segment.content.idr[:1].any():
            yield f"{segment.name} does not begin with an IDR picture"


def idr_often(output: Output) -> Problems:
    """An IDR picture every two seconds."""
    for rendition in (*output.pictures, output.preview):
        frame, last = rendition.frame_ticks or 0, None
        # A group is of whole frames: 48 at 23.976 a second last 2.002 s.
        allowed = KEY_FRAME_SECONDS * CLOCK_HZ + frame + TICKS_OF_ROUNDING
        for segment in rendition.segments:
            content = segment.content
            marks = [*content.presented[content.idr].tolist(), *content.presented[-1:].tolist()]
            for number, time in enumerate(marks):
                if last is not None and later_by(time, last) > allowed:
                    seconds = later_by(time, last) / CLOCK_HZ
                    yield f"{segment.name} has no IDR picture for {seconds:.2f} s"
                last = last if number == len(marks) - 1 else time


def known_profiles(output: Output) -> Problems:
    for _, segment in output.every_segment:
        for sps in segment.content.sps:
            most = MOST[sps.codec] if isinstance(sps, Described) else (PROFILE_HIGH, MAX_LEVEL)
            if sps.profile != most[0] or sps.level > most[1]:
                yield f"{segment.name} is {sps.codecs}"


def matching_times(output: Output) -> Problems:
    """What two renditions show at once has one time stamp in both."""
    first, *others = output.pictures
    shown = int(first.segments[0].content.presented.min())
    for rendition in others:
        late = later_by(int(rendition.segments[0].content.presented.min()), shown)
        if abs(late) > TICKS_OF_ROUNDING:
            yield f"{rendition.name} begins {late / CLOCK_HZ:.3f} s after {first.name}"


def progressive(output: Output) -> Problems:
    for _, segment in output.every_segment:
        if any(not sps.progressive for sps in segment.content.sps):
            yield f"{segment.name} is interlaced"


def at_most_sixty(output: Output) -> Problems:
    for rendition in (*output.pictures, output.preview):
        if (rendition.frame_rate or 0) > MAX_FRAME_RATE + 0.01:
            yield f"{rendition.name} has {rendition.frame_rate:.2f} pictures a second"


def one_colour_space(output: Output) -> Problems:
    for _, segment in output.every_segment:
        for sps in segment.content.sps:
            colours = (sps.primaries, sps.transfer, sps.matrix)
            if colours != BT709 or sps.full_range or not sps.square_pixels:
                yield f"{segment.name} is not in BT.709 of limited range with square pixels"


def stereo_aac(output: Output) -> Problems:
    for _, segment in output.every_segment:
        for adts in segment.content.adts:
            if (adts.object_type, adts.channels) != (AAC_LC_OBJECT, 2):
                yield f"{segment.name} has AAC of type {adts.object_type}, {adts.channels} channels"


def continuous(output: Output) -> Problems:
    for rendition in output.everything:
        yield from _picture_gaps(rendition)
        yield from _sound_gaps(rendition)


def _picture_gaps(rendition: Rendition) -> Problems:
    frame, shown, decoded = rendition.frame_ticks, None, None
    if frame is None:
        return
    for segment in rendition.segments:
        content = segment.content
        if not len(content.presented):
            continue
        first = int(content.presented[0])
        times = segment.times + first
        orders = content.decoded if decoded is None else np.insert(content.decoded, 0, decoded)
        if (after(int(orders[0]), orders[1:]) <= after(int(orders[0]), orders[:-1])).any():
            yield f"{segment.name} has pictures that are decoded at once or backwards"
        steps = np.diff(times if shown is None else np.insert(times, 0, times[0]))
        if shown is not None:
            steps[0] = later_by(int(times[0]), shown)
        if len(steps) and float(np.abs(steps - frame).max()) > TICKS_OF_ROUNDING:
            worst = float(steps[np.abs(steps - frame).argmax()])
            yield f"{segment.name} has a step of {worst / CLOCK_HZ:.3f} s between two pictures"
        shown, decoded = int(times[-1]), int(content.decoded[-1])


def _sound_gaps(rendition: Rendition) -> Problems:
    due: float | None = None
    for segment in rendition.segments:
        rate = next((adts.sample_rate_hz for adts in segment.content.adts), 0)
        for sounds in segment.content.sounds:
            if due is not None and abs(later_by(sounds.presented, round(due))) > TICKS_OF_ROUNDING:
                yield f"{segment.name} has sound that does not follow the one before"
            due = sounds.presented + sounds.samples * CLOCK_HZ / rate if rate else None


def counters(output: Output) -> Problems:
    for rendition in output.everything:
        for segment in rendition.segments:
            if not segment.content.counters_in_order:
                yield f"{segment.name} has lost transport packets"
        for one, other in pairwise(rendition.segments):
            shared = one.content.counters.keys() & other.content.counters.keys()
            for pid in sorted(shared):
                if (one.content.counters[pid][1] + 1) % 16 != other.content.counters[pid][0]:
                    yield f"{other.name} does not go on where {one.name} ends, in PID {pid}"


def tables_first(output: Output) -> Problems:
    for _, segment in output.every_segment:
        if not segment.content.begins_with_tables:
            yield f"{segment.name} does not begin with a PAT and a PMT"
