"""Limits on what a file may ask for, each with a code that says so."""

from pathlib import Path
from uuid import UUID

import pytest

from gpu_worker import manifest
from gpu_worker.contract import OutputLayout, WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.packager import Package
from tests.gpu_worker.claims import CREATOR, identity_of
from tests.gpu_worker.clips import Clips
from tests.gpu_worker.conftest import Transcode
from tests.gpu_worker.hostile.damage import wav


async def refusal(transcode: Transcode, path: Path, kind: str, **limits: object) -> JobFailed:
    with pytest.raises(JobFailed) as failure:
        await transcode(path, kind, **limits)
    return failure.value


async def test_a_gap_in_the_timestamps_makes_no_endless_stream(
    transcode: Transcode, clips: Clips
) -> None:
    """Two seconds of pictures that claim to last hours end at the limit on the duration."""
    refused = await refusal(transcode, clips["gap"], "video")
    assert refused.code is WorkerErrorCode.INPUT_TOO_LARGE


async def test_a_job_past_its_deadline_is_stopped(transcode: Transcode, clips: Clips) -> None:
    refused = await refusal(transcode, clips["long"], "video", max_wall_seconds=0.3)
    assert refused.code is WorkerErrorCode.TIMED_OUT


@pytest.mark.parametrize(
    ("limits", "code", "said"),
    [
        ({"max_input_bytes": 1000}, "input_too_large", "we take up to"),
        ({"max_duration_seconds": 3}, "input_too_large", "longer than"),
        ({"max_pixels": 300 * 160}, "input_too_large", "more than we take"),
        ({"max_side_pixels": 319}, "input_too_large", "more than we take"),
        ({"max_output_bytes": 3000}, "input_too_large", "larger than we keep"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
async def test_each_limit_is_a_setting_with_a_code_and_a_sentence(
    transcode: Transcode, clips: Clips, limits: dict[str, object], code: str, said: str
) -> None:
    refused = await refusal(transcode, clips["long"], "video", **limits)
    assert refused.code.value == code
    assert said in refused.sentence


async def test_more_memory_than_is_given_has_a_code(transcode: Transcode, clips: Clips) -> None:
    refused = await refusal(transcode, clips.sample, "video", max_memory_bytes=170 * 1024**2)
    assert refused.code is WorkerErrorCode.INPUT_TOO_LARGE
    assert "more memory" in refused.sentence


async def test_more_tracks_than_are_looked_at_are_refused(
    transcode: Transcode, clips: Clips
) -> None:
    refused = await refusal(transcode, clips.sample, "video", max_streams=1)
    assert refused.code is WorkerErrorCode.INPUT_UNSUPPORTED
    assert "more than 1 tracks" in refused.sentence


@pytest.mark.parametrize("odd", [{"channels": 65}, {"rate": 2**31 - 1}])
async def test_sound_that_would_fill_the_workers_own_memory_is_refused(
    transcode: Transcode, tmp_path: Path, odd: dict[str, int]
) -> None:
    path = tmp_path / "odd.wav"
    path.write_bytes(wav(**odd))
    refused = await refusal(transcode, path, "audio")
    assert refused.code in {WorkerErrorCode.INPUT_UNSUPPORTED, WorkerErrorCode.INPUT_UNREADABLE}


def test_a_link_among_the_outputs_is_not_followed(tmp_path: Path) -> None:
    """A program that was taken over would so have the worker upload its own secrets."""
    identity = identity_of(UUID(int=1), "job-1")
    layout = OutputLayout(CREATOR, UUID(int=1))
    folder = manifest.make_room(tmp_path, layout)
    (folder / "128k_000.ts").symlink_to("/proc/self/environ")
    package = Package(folder, "audio", (), 1.0, "aac", None, {})
    with pytest.raises(JobFailed, match="output_invalid"):
        manifest.build(tmp_path, package, identity, 1.0)
