"""Choosing tracks and sizes out of what ffprobe says."""

from fractions import Fraction
from typing import Any

from gpu_worker import probe
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
