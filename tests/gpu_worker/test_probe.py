"""Choosing tracks and sizes out of what ffprobe says."""

from fractions import Fraction
from typing import Any

import pytest

from gpu_worker import colour, probe
from gpu_worker.colour import Colour, ColourTags
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.ladder import Size

VIDEO: dict[str, Any] = {
    "index": 0,
    "codec_type": "video",
    "codec_name": "h264",
    "width": 1440,
    "height": 1080,
    "sample_aspect_ratio": "4:3",
    "avg_frame_rate": "30000/1001",
    "r_frame_rate": "60000/1001",
    "field_order": "tt",
    "start_time": "0.500000",
    "duration": "10.000000",
    "tags": {"location": "+48.2+16.3/"},
}
SOUND: dict[str, Any] = {
    "codec_type": "audio",
    "codec_name": "aac",
    "channels": 2,
    "sample_rate": "48000",
}


def read(*streams: dict[str, Any]) -> probe.MediaProbe:
    return probe.read({"streams": list(streams), "format": {"start_time": "0.0", "duration": "11"}})


def test_display_size_has_square_pixels_and_stands_upright() -> None:
    turned = {**VIDEO, "side_data_list": [{"side_data_type": "x"}, {"rotation": -90}]}
    flat, upright = read(VIDEO).video, read(turned).video
    assert flat is not None
    assert upright is not None
    assert flat.display == Size(1920, 1080)
    assert upright.display == Size(1080, 1920)
    assert flat.interlaced
    assert flat.average_rate == Fraction(30000, 1001)
    assert flat.end_seconds == 10.5


def test_the_default_sound_is_chosen_and_a_cover_is_no_video() -> None:
    cover = {**VIDEO, "disposition": {"attached_pic": 1, "default": 1}}
    commentary = {**SOUND, "index": 1, "disposition": {"default": 0}}
    main = {**SOUND, "index": 2, "disposition": {"default": 1}}
    found = read(cover, commentary, main)
    assert found.video is None
    assert found.audio is not None
    assert found.audio.index == 2


def test_matroska_keeps_its_lengths_in_tags() -> None:
    found = read({**SOUND, "index": 0, "tags": {"DURATION": "00:01:14.500000000"}})
    assert found.audio is not None
    assert found.audio.end_seconds == 74.5


def test_what_is_kept_of_the_answer_holds_no_tags_and_no_file_name() -> None:
    document = {"streams": [VIDEO], "format": {"filename": "/tmp/x", "tags": {"title": "mine"}}}  # noqa: S108
    assert probe.read(document).document["format"] == {}
    assert "location" not in str(probe.read(document).document)


def test_a_matroska_length_is_not_believed_where_its_zero_is_unknown() -> None:
    late = {**SOUND, "index": 0, "start_time": "5.0", "tags": {"DURATION": "00:00:06.600000000"}}
    found = read(late)
    assert found.audio is not None
    assert found.audio.end_seconds is None


@pytest.mark.parametrize("container", ["mpeg", "asf"])
def test_a_guessed_length_is_measured(container: str) -> None:
    found = probe.read({"streams": [VIDEO], "format": {"format_name": container}})
    assert found.video is not None
    assert found.video.end_seconds is None


def test_an_encrypted_file_is_refused_as_one() -> None:
    packet = {"side_data_list": [{"side_data_type": "Encryption info"}]}
    with pytest.raises(JobFailed, match="protected") as refusal:
        probe.read({"streams": [VIDEO], "packets": [packet]})
    assert refusal.value.code is WorkerErrorCode.INPUT_UNSUPPORTED


@pytest.mark.parametrize(
    ("tags", "lines", "expected"),
    [
        (ColourTags("yuv420p"), 480, ("smpte170m", "bt709", "bt709")),
        (ColourTags("yuv420p"), 720, ("bt709", "bt709", "bt709")),
        (ColourTags("yuv420p", matrix="reserved"), 576, ("smpte170m", "bt709", "bt709")),
        (ColourTags("yuv420p", matrix="bt470bg"), 1080, ("bt470bg", "bt709", "bt709")),
        (ColourTags("yuv420p10le", "bt2020nc"), 480, ("bt2020nc", "bt2020", "bt709")),
        (ColourTags("yuv420p", primaries="bt2020"), 480, ("bt2020nc", "bt2020", "bt709")),
        (
            ColourTags("yuv420p10le", transfer="smpte2084"),
            480,
            ("bt2020nc", "bt2020", "smpte2084"),
        ),
        (
            ColourTags("yuv420p10le", "bt709", "bt709", "arib-std-b67"),
            1080,
            ("bt2020nc", "bt2020", "arib-std-b67"),
        ),
    ],
)
def test_what_is_not_said_of_colours_is_taken_as_players_take_it(
    tags: ColourTags, lines: int, expected: tuple[str, str, colour.Curve]
) -> None:
    assert colour.of(tags, lines) == Colour(*expected, full_range=False)


def test_rgb_and_grey_have_no_matrix() -> None:
    assert colour.of(ColourTags("gbrp", matrix="gbr"), 1080) is None
    assert colour.of(ColourTags("gray"), 1080) is None
