"""The stand-in's queue: what RunPod does to jobs by itself, on a clock of the test's."""

import pytest
from pydantic import ValidationError

from infra.embedded.runpod_queue import JobQueue, JobResult, JobStatus, RunRequest

REQUEST = RunRequest.model_validate(
    {
        "input": {"mediaId": "m"},
        "webhook": "http://service/hook/token",
        "policy": {"executionTimeout": 60_000, "ttl": 600_000},
    }
)


def test_jobs_are_taken_oldest_first_and_once() -> None:
    queue = JobQueue()
    first, second = queue.submit(REQUEST, 0), queue.submit(REQUEST, 0)
    assert first.id != second.id
    assert queue.take("w1", 1, 1) == [first]
    assert queue.take("w2", 5, 1) == [second]
    assert queue.take("w1", 1, 1) == []


def test_completed_job_answers_as_the_vendor_documents() -> None:
    queue = JobQueue()
    job = queue.submit(REQUEST, 100)
    assert job.view(101) == {"id": job.id, "status": "IN_QUEUE"}
    queue.take("w", 1, 104.7)
    assert queue.report("w", job.id, JobResult(output={"ok": True}), 106.2) is job
    assert job.view(200) == {
        "id": job.id,
        "status": "COMPLETED",
        "delayTime": 4700,
        "executionTime": 1500,
        "workerId": "w",
        "output": {"ok": True},
    }


def test_error_is_a_failure_only_as_a_string() -> None:
    queue = JobQueue()
    failed, odd = queue.submit(REQUEST, 0), queue.submit(REQUEST, 0)
    queue.take("w", 2, 0)
    queue.report("w", failed.id, JobResult(error="no stream"), 1)
    queue.report("w", odd.id, JobResult(error={"code": 1}), 1)
    assert (failed.status, failed.error) == (JobStatus.FAILED, "no stream")
    assert (odd.status, odd.output, odd.error) == (JobStatus.COMPLETED, None, None)


def test_progress_shows_as_output_and_late_progress_changes_nothing() -> None:
    queue = JobQueue()
    job = queue.submit(REQUEST, 0)
    queue.take("w", 1, 0)
    progress = JobResult(status="IN_PROGRESS", output={"percent": 40})
    assert queue.report("w", job.id, progress, 1) is None
    assert job.view(1)["output"] == {"percent": 40}
    queue.report("w", job.id, JobResult(output={"percent": 100}), 2)
    queue.report("w", job.id, progress, 3)
    assert job.view(3)["output"] == {"percent": 100}


def test_execution_timeout_ends_the_job_and_its_webhook_calls_it_failed() -> None:
    queue = JobQueue()
    job = queue.submit(REQUEST, 0)
    queue.take("w", 1, 10)
    queue.seen("w", 69)
    assert queue.tick(69.9) == []
    assert queue.tick(70) == [job]
    assert job.view(70)["status"] == "TIMED_OUT"
    assert queue.stops("w") == [job.id]
    assert queue.stops("w") == []
    assert job.webhook_body(70) == {
        "id": job.id,
        "status": "FAILED",
        "error": "executionTimeout exceeded",
        "delayTime": 10_000,
        "executionTime": 60_000,
        "input": {"mediaId": "m"},
        "webhook": "http://service/hook/token",
    }


def test_ttl_counts_from_submission_and_deletes_even_a_running_job() -> None:
    queue = JobQueue()
    waiting, runs = queue.submit(REQUEST, 0), queue.submit(REQUEST, 0)
    queue.take("w", 1, 590)
    assert queue.tick(599) == []
    assert queue.tick(600) == []
    assert queue.find(waiting.id) is None
    assert queue.find(runs.id) is None
    assert queue.stops("w") == [waiting.id]
    assert queue.take("w", 1, 600) == []


def test_result_is_kept_thirty_minutes() -> None:
    long = RunRequest.model_validate({"input": {}, "policy": {"ttl": 86_400_000}})
    queue = JobQueue()
    job = queue.submit(long, 0)
    queue.take("w", 1, 0)
    queue.report("w", job.id, JobResult(output=1), 100)
    queue.tick(100 + 30 * 60 - 1)
    assert queue.find(job.id) is job
    queue.tick(100 + 30 * 60)
    assert queue.find(job.id) is None


def test_job_of_a_silent_worker_is_queued_again_twice_and_then_failed() -> None:
    queue = JobQueue()
    job = queue.submit(REQUEST, 100)
    for start_s in (100, 111):
        assert queue.take("w", 1, start_s) == [job]
        assert queue.tick(start_s + 9) == []
        assert job.status is JobStatus.IN_PROGRESS
        assert queue.tick(start_s + 10) == []
        assert job.view(0)["status"] == "IN_QUEUE"
    queue.take("w", 1, 122)
    assert queue.tick(132) == [job]
    assert (job.status, job.error) == (JobStatus.FAILED, "job failed after its worker was lost")
    assert queue.health(132)["jobs"] == {
        "completed": 0,
        "failed": 1,
        "inProgress": 0,
        "inQueue": 0,
        "retried": 2,
    }


def test_report_of_a_worker_that_no_longer_has_the_job_changes_nothing() -> None:
    queue = JobQueue()
    job = queue.submit(REQUEST, 100)
    queue.take("old", 1, 100)
    queue.tick(111)
    queue.take("new", 1, 111)
    assert queue.report("old", job.id, JobResult(output="late"), 112) is None
    assert job.status is JobStatus.IN_PROGRESS


def test_cancelled_job_stays_cancelled_whatever_its_worker_reports() -> None:
    queue = JobQueue()
    job = queue.submit(REQUEST, 0)
    queue.take("w", 1, 0)
    queue.cancel(job, 1)
    assert queue.stops("w") == [job.id]
    assert queue.report("w", job.id, JobResult(output=1), 2) is None
    assert job.view(2)["status"] == "CANCELLED"
    queue.cancel(job, 3)
    assert queue.stops("w") == []


def test_only_a_failed_or_timed_out_job_can_be_retried() -> None:
    queue = JobQueue()
    job = queue.submit(REQUEST, 0)
    assert not queue.retry(job)
    queue.take("w", 1, 0)
    queue.report("w", job.id, JobResult(error="x"), 1)
    assert queue.retry(job)
    assert queue.take("w", 1, 2) == [job]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": "text"},
        {"input": {}, "webhook": "ftp://host"},
        {"input": {}, "policy": {"executionTimeout": 4_999}},
        {"input": {}, "policy": {"ttl": -1}},
    ],
)
def test_malformed_run_bodies_are_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RunRequest.model_validate(body)
