"""What ffprobe prints: tracks to use, or a reason that a creator is told; nothing else."""

import json
import math
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from gpu_worker.errors import JobFailed
from gpu_worker.probe import understood
from tests.fuzz.shapes import damaged, few
from tests.gpu_worker.test_probe import SOUND, VIDEO

DOCUMENT: dict[str, Any] = {
    "packets": [{"flags": "K__"}],
    "streams": [
        {
            **VIDEO,
            "disposition": {"default": 1, "attached_pic": 0},
            "side_data_list": [{"rotation": -90}],
        },
        {**SOUND, "index": 1, "disposition": {"default": 1}, "tags": {"DURATION": "00:00:14.0"}},
    ],
    "format": {"format_name": "matroska,webm", "start_time": "0.0", "duration": "11.0"},
}
documents = damaged(DOCUMENT).map(json.dumps) | st.binary() | st.text()


@few
@given(documents)
@example("[" * 100_000)
@example(json.dumps(DOCUMENT | {"format": {"duration": "nan"}}))
@example(json.dumps(DOCUMENT | {"format": {"duration": "1e999"}}))
def test_what_ffprobe_prints_is_understood_or_refused(told: str | bytes) -> None:
    try:
        found = understood(told)
    except JobFailed as refused:
        assert len(str(refused)) < 5_000
        return
    figures = [found.duration_seconds]
    if found.video:
        figures += [found.video.start_seconds, found.video.end_seconds]
        assert found.video.rotation_degrees in {0, 90, 180, 270}
        if found.video.coded.short_side >= 1:  # `plan` refuses the others.
            assert found.video.display.short_side >= 1
    if found.audio:
        figures.append(found.audio.end_seconds)
    assert all(math.isfinite(each) for each in figures if each is not None)
    json.dumps(found.document)


def test_the_document_as_it_is_is_understood() -> None:
    found = understood(json.dumps(DOCUMENT))

    assert found.video is not None
    assert found.audio is not None
