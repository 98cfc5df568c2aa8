"""The rules of HLS that an output must keep, each with how it is checked.

Numbers are those of Apple's "HLS Authoring Specification for Apple Devices" and of the sections of
RFC 8216. A check yields what breaks its rule, in words; nothing when it is kept.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gpu_worker import iframe_rules, media_rules
from gpu_worker.codecs import AAC_LC
from gpu_worker.media_rules import Problems
from gpu_worker.produced import Output, Variant
from gpu_worker.transport import CLOCK_HZ

APPLE, RFC = "HLS Authoring Specification for Apple Devices", "RFC 8216"
FIRST_VARIANT_BPS = 2_000_000
TOLD_TO_TRUTH = 0.1
SOUND_CUT_SECONDS = 0.1
"""Sound can be cut between AAC frames only, and those of one PES packet stay together."""
DRIFT_SECONDS = 0.25
"""How far sound and picture may differ in length, where one ends before the other."""


@dataclass(frozen=True)
class Rule:
    """`video_only`: says nothing of sound alone."""

    id: str
    source: str
    says: str
    check: Callable[[Output], Problems]
    video_only: bool = False


def _codecs(output: Output) -> Problems:
    for variant in output.variants:
        truth = {sps.codecs for s in variant.media.segments for sps in s.content.sps}
        if any(segment.content.sounds for part in variant.parts for segment in part.segments):
            truth.add(AAC_LC)
        if set(variant.codecs) != truth:
            told = _listing(variant.codecs)
            yield f"{variant.name} is said to be {told}, and is {_listing(truth)}"


def _resolution(output: Output) -> Problems:
    for variant in output.variants:
        truth = {(sps.width, sps.height) for s in variant.media.segments for sps in s.content.sps}
        if truth != {variant.resolution}:
            yield f"{variant.name} is said to be {variant.resolution}, and is {_listing(truth)}"


def _frame_rate(output: Output) -> Problems:
    for variant in output.variants:
        truth = variant.media.frame_rate
        if variant.frame_rate is None:
            yield f"{variant.name} has no FRAME-RATE"
        elif truth is not None and abs(truth - variant.frame_rate) > 0.01:
            yield f"{variant.name} is said to have {variant.frame_rate} pictures/s, not {truth:.3f}"


def _peak_counts_sound(output: Output) -> Problems:
    for variant in output.variants:
        peak = sum(part.peak_bits_per_second for part in variant.parts)
        if variant.bandwidth is None or variant.bandwidth < int(peak):
            yield f"{variant.name} has BANDWIDTH {variant.bandwidth}, its parts peak at {peak:.0f}"


def _peak_is_true(output: Output) -> Problems:
    for variant in output.variants:
        peak = sum(part.peak_bits_per_second for part in variant.parts)
        if not _near(variant.bandwidth, peak):
            yield f"{variant.name} has BANDWIDTH {variant.bandwidth}, measured {peak:.0f}"


def _average_is_there(output: Output) -> Problems:
    for variant in output.variants:
        if variant.average_bandwidth is None:
            yield f"{variant.name} has no AVERAGE-BANDWIDTH"
        elif variant.average_bandwidth > (variant.bandwidth or 0):
            yield f"{variant.name} has an AVERAGE-BANDWIDTH above its BANDWIDTH"


def _average_is_true(output: Output) -> Problems:
    for variant in output.variants:
        truth = sum(part.bits_per_second() for part in variant.parts)
        if not _near(variant.average_bandwidth, truth):
            told = variant.average_bandwidth
            yield f"{variant.name} has AVERAGE-BANDWIDTH {told}, measured {truth:.0f}"


def _near(told: int | None, truth: float) -> bool:
    return told is not None and abs(told - truth) <= TOLD_TO_TRUTH * truth


def _independent(output: Output) -> Problems:
    if not output.independent_segments:
        yield "master.m3u8 has no EXT-X-INDEPENDENT-SEGMENTS"


def _no_captions(output: Output) -> Problems:
    for variant in output.variants:
        if variant.closed_captions != "NONE":
            yield f"{variant.name} does not say CLOSED-CAPTIONS=NONE"


def _audio_groups(output: Output) -> Problems:
    for variant in output.variants:
        if variant.names_missing_group:
            yield f"{variant.name} names an audio group that is not there"
        elif output.sounds and variant.sound is None:
            yield f"{variant.name} names no audio group"


def _first_variant(output: Output) -> Problems:
    def distance(variant: Variant) -> int:
        return abs((variant.bandwidth or 0) - FIRST_VARIANT_BPS)

    # Everybody plays H.264: the first one is of it, where there is another as well.
    common = [variant for variant in output.variants if not variant.media.mapped]
    nearest = min(common or output.variants, key=distance)
    if output.variants[0] not in common:
        yield f"{output.variants[0].name} comes first, which not everybody plays"
    if distance(output.variants[0]) > distance(nearest):
        yield f"{output.variants[0].name} comes first; {nearest.name} is nearer to 2 Mb/s"


def _on_demand(output: Output) -> Problems:
    for rendition in output.everything:
        if (rendition.kind or "").upper() != "VOD":
            yield f"{rendition.name} is of type {rendition.kind}"


def _ended(output: Output) -> Problems:
    for rendition in output.everything:
        if not rendition.ended:
            yield f"{rendition.name} has no EXT-X-ENDLIST"


def _rounds_to_target(output: Output) -> Problems:
    for rendition, segment in output.every_segment:
        if int(segment.seconds + 0.5) > (rendition.target_seconds or 0):
            target = rendition.target_seconds
            yield f"{segment.name} lasts {segment.seconds} s; the target duration is {target}"


def _never_far_over_target(output: Output) -> Problems:
    for rendition, segment in output.every_segment:
        if rendition.lasts(segment) > (rendition.target_seconds or 0) + 0.5:
            yield f"{segment.name} lasts {rendition.lasts(segment):.3f} s"


def _lengths_are_true(output: Output) -> Problems:
    """Any run of segments: the sum of errors up to each boundary is looked at."""
    for rendition in output.everything:
        allowed = max((rendition.frame_ticks or 0) / CLOCK_HZ, SOUND_CUT_SECONDS / 2)
        error, least, most = 0.0, 0.0, 0.0
        for segment in rendition.segments:
            error += segment.seconds - rendition.lasts(segment)
            least, most = min(least, error), max(most, error)
        if most - least > allowed + 0.001:
            yield f"{rendition.name} differs from its content by {most - least:.3f} s"


def _equal_targets(output: Output) -> Problems:
    targets = {rendition.target_seconds for rendition in output.renditions}
    if len(targets) > 1:
        yield f"target durations are {_listing(targets)}"


def _equal_lengths(output: Output) -> Problems:
    first = output.renditions[0]
    for rendition in output.renditions[1:]:
        allowed = 0.001 if rendition.has_picture == first.has_picture else DRIFT_SECONDS
        if abs(rendition.seconds - first.seconds) > allowed:
            lengths = f"{rendition.seconds:.3f} s, {first.name} {first.seconds:.3f} s"
            yield f"{rendition.name} lasts {lengths}"


def _equal_boundaries(output: Output) -> Problems:
    first = output.renditions[0]
    for rendition in output.renditions[1:]:
        same_kind = rendition.has_picture == first.has_picture
        allowed = 0.001 if same_kind else SOUND_CUT_SECONDS
        # The ends are the total lengths, which have a rule of their own.
        pairs = list(zip(rendition.boundaries[:-1], first.boundaries[:-1], strict=False))
        if len(rendition.segments) != len(first.segments):
            counts = f"{len(rendition.segments)} segments, {first.name} {len(first.segments)}"
            yield f"{rendition.name} has {counts}"
        elif any(abs(one - other) > allowed for one, other in pairs):
            yield f"the segments of {rendition.name} end elsewhere than those of {first.name}"


def _version(output: Output) -> Problems:
    """EXTINF with a fraction needs version 3, EXT-X-MAP 6."""
    for rendition in output.everything:
        needed = 6 if rendition.mapped else 3
        if rendition.version < needed:
            yield f"{rendition.name} says version {rendition.version}, and needs {needed}"


def _listing(values: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, values))) or "nothing"


RULES = (
    Rule(
        "apple-1.3",
        APPLE,
        "H.264 High to 5.2, HEVC Main to 5, AV1 Main to 5.1",
        media_rules.known_profiles,
        True,
    ),
    Rule("apple-1.13", APPLE, "an IDR picture every two seconds", media_rules.idr_often, True),
    Rule("apple-1.14", APPLE, "no interlaced pictures", media_rules.progressive, True),
    Rule("apple-1.19", APPLE, "60 pictures a second at most", media_rules.at_most_sixty, True),
    Rule("apple-1.21", APPLE, "one colour space, BT.709", media_rules.one_colour_space, True),
    Rule("apple-1.26", APPLE, "AVERAGE-BANDWIDTH within 10 % of the truth", _average_is_true),
    Rule("apple-1.27", APPLE, "BANDWIDTH within 10 % of the measured peak", _peak_is_true),
    Rule("apple-1.32", APPLE, "the variant nearest to 2 Mb/s comes first", _first_variant, True),
    Rule("apple-2.3", APPLE, "stereo sound in AAC-LC", media_rules.stereo_aac),
    Rule("apple-6.1", APPLE, "I-frame playlists to scrub with", iframe_rules.are_there, True),
    Rule("apple-7.1", APPLE, "time stamps go on from segment to segment", media_rules.continuous),
    Rule("apple-7.2", APPLE, "continuity counters go up by one", media_rules.counters),
    Rule("apple-7.4", APPLE, "segments begin with an IDR picture", media_rules.idr_first, True),
    Rule("apple-7.7", APPLE, "no segment half a second over target", _never_far_over_target),
    Rule("apple-8.1", APPLE, "EXTINF within a frame of the content", _lengths_are_true),
    Rule("apple-8.2", APPLE, "one target duration for all", _equal_targets),
    Rule("apple-8.3", APPLE, "one total length for all", _equal_lengths),
    Rule("apple-8.6", APPLE, "playlists are of type VOD", _on_demand),
    Rule("apple-8.22", APPLE, "segments end at the same times in all", _equal_boundaries),
    Rule("apple-9.1", APPLE, "CODECS as in the bitstream", _codecs),
    Rule("apple-9.2", APPLE, "RESOLUTION as in the bitstream", _resolution, True),
    Rule("apple-9.11", APPLE, "EXT-X-INDEPENDENT-SEGMENTS", _independent),
    Rule("apple-9.13", APPLE, "BANDWIDTH is the peak with its sound", _peak_counts_sound),
    Rule("apple-9.14", APPLE, "AVERAGE-BANDWIDTH is there", _average_is_there),
    Rule("apple-9.15", APPLE, "FRAME-RATE as in the time stamps", _frame_rate, True),
    Rule("rfc8216-3.2", RFC, "segments begin with a PAT and its PMT", media_rules.tables_first),
    Rule("rfc8216-4.3.2.2", RFC, "byte ranges are I-frames", iframe_rules.ranges_are_iframes, True),
    Rule("rfc8216-6.2.4", RFC, "pictures begin at one time", media_rules.matching_times, True),
    Rule("rfc8216-7", RFC, "EXT-X-VERSION as high as its tags need", _version),
    Rule("rfc8216-4.3.3.1", RFC, "rounded EXTINF is at most the target", _rounds_to_target),
    Rule("rfc8216-4.3.3.4", RFC, "playlists have an end", _ended),
    Rule(
        "rfc8216-4.3.3.6", RFC, "I-frames last until the next", iframe_rules.lengths_are_spans, True
    ),
    Rule("rfc8216-4.3.4.2", RFC, "CLOSED-CAPTIONS=NONE on every variant", _no_captions, True),
    Rule("rfc8216-4.3.4.2.1", RFC, "audio groups that are named are there", _audio_groups, True),
    Rule(
        "rfc8216-4.3.4.3", RFC, "lines of I-frame playlists true", iframe_rules.lines_are_true, True
    ),
)
