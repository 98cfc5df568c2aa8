"""The worker's signed callback: believed when signed, acted on once, borne out by the bucket."""

import json
from uuid import uuid4

import pytest

from domain.media import attempt_id
from gpu_worker.contract import Report, ReportOutput, WorkerErrorCode
from tests.api.gpu import DURATION_S, MESSAGE, Job, completion, failure
from tests.api.studio import AUDIO, Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_finished_video_is_ready_with_what_its_manifest_says(studio: Studio) -> None:
    job = await studio.transcoding()
    await studio.gpu.start(job)

    answer = await studio.gpu.finish(job)

    assert (answer.status_code, answer.json()) == (200, {"verdict": "ready"})
    item = (await studio.get(f"/api/media/{job.media_id}")).json()
    assert (item["status"], item["error"], item["attempts"]) == ("ready", None, 1)
    assert item["outputs"] == {
        "hlsMasterPlaylistKey": job.layout.master,
        "hlsPreviewKey": job.layout.preview,
        "thumbnailKey": job.layout.thumbnail,
        "waveformKey": None,
    }
    assert (item["durationSeconds"], item["width"], item["height"]) == (DURATION_S, 1280, 720)
    assert item["encoder"] == "libx264"


async def test_a_finished_song_is_ready_with_a_waveform(studio: Studio) -> None:
    job = await studio.ready(AUDIO)

    item = (await studio.get(f"/api/media/{job.media_id}")).json()

    assert item["outputs"]["waveformKey"] == job.layout.waveform
    assert (item["width"], item["height"], item["outputs"]["thumbnailKey"]) == (None, None, None)


@pytest.mark.parametrize(
    ("code", "retryable", "hint"),
    [
        (WorkerErrorCode.ENCODE_FAILED, True, "Retry once"),
        (WorkerErrorCode.INPUT_UNREADABLE, False, "plays on your own machine"),
    ],
)
async def test_a_given_up_job_fails_with_code_sentence_and_hint(
    studio: Studio, code: WorkerErrorCode, retryable: bool, hint: str
) -> None:
    job = await studio.transcoding()

    answer = await studio.gpu.fail(job, code)

    assert answer.json() == {"verdict": "failed"}
    status = await studio.status(job.media_id)
    assert (status.status, status.attempts) == ("failed", 1)
    assert status.error is not None
    assert (status.error.code, status.error.message) == (code.value, MESSAGE)
    assert status.error.retryable is retryable
    assert hint in status.error.hint


async def test_a_job_that_gives_no_reason_is_an_encode_failure(studio: Studio) -> None:
    job = await studio.transcoding()

    await studio.gpu.report(Report(job_id=job.job_id, status="failed", output=job.output))

    error = (await studio.status(job.media_id)).error
    assert error is not None
    assert error.code == "encode_failed"


async def test_a_start_is_recorded_once(studio: Studio) -> None:
    job = await studio.transcoding()

    verdicts = [(await studio.gpu.start(job)).json()["verdict"] for _ in range(2)]

    assert verdicts == ["transcoding", "transcoding"]
    assert (await studio.events(job.media_id)).count("transcoding_started") == 1


async def test_progress_moves_forward_and_is_gone_at_the_end(studio: Studio) -> None:
    job = await studio.transcoding()
    seen = []
    for percent in (10.0, 60.0, 30.0, 61.0):
        assert (await studio.gpu.progress(job, percent, "720p")).json() == {"verdict": "noted"}
        progress = (await studio.status(job.media_id)).progress
        assert progress is not None
        assert (progress.stage, progress.rung) == ("encode", "720p")
        seen.append(progress.percent)
    await studio.gpu.finish(job)
    await studio.gpu.progress(job, 99.0)

    assert seen == [10.0, 60.0, 60.0, 61.0]
    assert (await studio.status(job.media_id)).progress is None
    assert len(await studio.events(job.media_id)) == 5


async def test_the_second_attempt_begins_without_progress(studio: Studio) -> None:
    job = await studio.transcoding()
    await studio.gpu.progress(job, 90.0)
    await studio.gpu.fail(job)
    await studio.retry(job.media_id)
    assert (await studio.status(job.media_id)).progress is None

    await studio.gpu.progress(job, 95.0)

    assert (await studio.status(job.media_id)).progress is None
    await studio.gpu.progress(await studio.job(job.media_id), 5.0)
    progress = (await studio.status(job.media_id)).progress
    assert progress is not None
    assert progress.percent == 5.0


async def test_f06_a_message_that_comes_twice_happens_once(studio: Studio) -> None:
    job = await studio.transcoding()
    studio.gpu.write(job)
    message_id = f"msg_{uuid4()}"

    answers = [await studio.gpu.report(completion(job), message_id) for _ in range(2)]
    answers.append(await studio.gpu.report(failure(job), message_id))

    assert [answer.json() for answer in answers] == [{"verdict": "ready"}] * 3
    assert (await studio.events(job.media_id)).count("transcoding_completed") == 1
    kept = await studio.service.services.pool.fetch(
        "SELECT body, verdict FROM webhook_inbox WHERE message_id = $1", message_id
    )
    assert [tuple(row) for row in kept] == [(completion(job).to_json().encode(), "ready")]


async def test_f07_a_failure_after_the_end_changes_nothing(studio: Studio) -> None:
    job = await studio.ready()

    assert (await studio.gpu.fail(job)).json() == {"verdict": "stale"}
    assert (await studio.status(job.media_id)).status == "ready"


async def test_f10_an_older_attempt_is_not_listened_to(studio: Studio) -> None:
    first = await studio.failed()
    await studio.retry(first.media_id)

    for report in (completion(first), failure(first)):
        assert (await studio.gpu.report(report)).json() == {"verdict": "stale"}
    assert (await studio.status(first.media_id)).status == "transcoding"


async def test_f11_a_report_about_an_item_nobody_knows_waits_for_it(studio: Studio) -> None:
    media_id = uuid4()
    job = Job(media_id, 1, attempt_id(media_id, 1), "job", "video", studio.creator)

    assert (await studio.gpu.fail(job)).json() == {"verdict": "accepted"}
    assert (await studio.gpu.progress(job, 1.0)).status_code == 200


async def test_an_attempt_id_that_does_not_fit_is_a_mismatch(studio: Studio) -> None:
    job = await studio.transcoding()

    answer = await studio.gpu.fail(job._replace(attempt_id=uuid4()))

    assert answer.json() == {"verdict": "mismatch"}
    assert (await studio.status(job.media_id)).status == "transcoding"


async def test_f15_success_without_a_manifest_is_not_believed(studio: Studio) -> None:
    job = await studio.transcoding()

    assert (await studio.gpu.report(completion(job))).json() == {"verdict": "transcoding"}
    assert (await studio.status(job.media_id)).status == "transcoding"


async def test_f15_a_manifest_whose_objects_are_not_all_there_is_not_believed(
    studio: Studio,
) -> None:
    job = await studio.transcoding()
    studio.gpu.write(job)
    studio.gpu.put(f"{job.layout.prefix}720p_001.ts", b"cut", "video/mp2t")

    assert (await studio.gpu.report(completion(job))).json() == {"verdict": "failed"}
    await expect_output_invalid(studio, job, "720p_001.ts has 3 bytes")


async def test_f15_a_manifest_of_the_attempt_before_is_not_believed(studio: Studio) -> None:
    first = await studio.transcoding()
    studio.gpu.write(first)
    await studio.gpu.fail(first)
    await studio.retry(first.media_id)
    second = await studio.job(first.media_id)

    assert (await studio.gpu.report(completion(second))).json() == {"verdict": "transcoding"}
    assert (await studio.status(first.media_id)).status == "transcoding"


@pytest.mark.parametrize(
    "field", ["hls_master_key", "hls_preview_key", "thumbnail_key", "waveform_key"]
)
async def test_f12_a_report_that_names_foreign_keys_fails_the_attempt(
    studio: Studio, stranger: Studio, field: str
) -> None:
    job = await studio.transcoding()
    studio.gpu.write(job)
    honest = completion(job)
    theirs = f"{stranger.creator}/hls/{job.media_id}/master.m3u8"
    output = honest.output.model_copy(update={field: theirs})

    answer = await studio.gpu.report(honest.model_copy(update={"output": output}))

    assert answer.json() == {"verdict": "failed"}
    await expect_output_invalid(studio, job, "not this item's")


async def expect_output_invalid(studio: Studio, job: Job, told: str) -> None:
    """The attempt failed for its outputs, and can be tried again."""
    error = (await studio.status(job.media_id)).error
    assert error is not None
    assert (error.code, error.retryable) == ("output_invalid", True)
    assert told in error.message


async def test_f33_fields_of_a_newer_worker_are_ignored(studio: Studio) -> None:
    job = await studio.transcoding()
    report = json.loads(failure(job).to_json()) | {"energyJoules": 7}

    answer = await studio.gpu.deliver(json.dumps(report).encode())

    assert answer.json() == {"verdict": "failed"}


async def test_reports_use_the_names_of_the_specification() -> None:
    wire = {field.alias for field in ReportOutput.model_fields.values()}
    named = {"mediaId", "type", "hlsMasterKey", "hlsPreviewKey", "thumbnailKey", "waveformKey"}
    assert named | {"durationSeconds", "width", "height"} <= wire
