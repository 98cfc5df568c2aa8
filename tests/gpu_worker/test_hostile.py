"""Files made to make ffmpeg do something else than read them."""

import time
from pathlib import Path

import pytest

from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed
from tests.gpu_worker.clips import Clips
from tests.gpu_worker.conftest import Transcode
from tests.gpu_worker.service import receiver

PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile '{}'\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT5S"><Period><AdaptationSet mimeType="video/mp4">'
    '<Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>"
)


@pytest.mark.parametrize("disguise", [PLAYLIST, CONCAT, DASH])
async def test_a_playlist_in_disguise_opens_neither_a_file_nor_an_address(
    transcode: Transcode, clips: Clips, tmp_path: Path, disguise: str
) -> None:
    neighbour = tmp_path / "neighbour.mp4"
    neighbour.write_bytes(clips.silent.read_bytes())
    with receiver() as listening:
        for target in (str(neighbour), "neighbour.mp4", listening.url):
            hostile = tmp_path / "holiday.mp4"
            hostile.write_text(disguise.format(target))
            with pytest.raises(JobFailed) as failure:
                await transcode(hostile)
            assert failure.value.code is WorkerErrorCode.INPUT_UNREADABLE
        assert listening.posts == []


async def test_a_gap_in_the_timestamps_makes_no_endless_stream(
    transcode: Transcode, clips: Clips
) -> None:
    """Two seconds of pictures that claim to last hours end at the limit on the duration."""
    started = time.monotonic()
    with pytest.raises(JobFailed) as failure:
        await transcode(clips["gap"])
    assert failure.value.code is WorkerErrorCode.INPUT_TOO_LARGE
    assert time.monotonic() - started < 10


async def test_a_job_past_its_deadline_is_stopped(transcode: Transcode, clips: Clips) -> None:
    with pytest.raises(JobFailed) as failure:
        await transcode(clips["long"], "video", max_wall_seconds=0.3)
    assert failure.value.code is WorkerErrorCode.TIMED_OUT


async def test_zeros_named_like_a_video_are_unreadable(
    transcode: Transcode, tmp_path: Path
) -> None:
    zeros = tmp_path / "zeros.mp4"
    zeros.write_bytes(bytes(500_000))
    with pytest.raises(JobFailed) as failure:
        await transcode(zeros)
    assert failure.value.code is WorkerErrorCode.INPUT_UNREADABLE
