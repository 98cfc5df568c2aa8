"""Folding: what a history makes of an item, whatever today's rules are."""

import pytest

from domain.events import Event, TranscodingFailed, TranscodingRequested
from domain.failure import ErrorCode
from domain.lifecycle import Status
from domain.media import Failure, MediaItem, evolve, fold
from tests import factories as f


def folded(*history: Event) -> MediaItem:
    item = fold(history)
    assert item is not None
    return item


def test_an_empty_history_makes_nothing() -> None:
    assert fold([]) is None


def test_a_history_begins_with_the_registration() -> None:
    with pytest.raises(ValueError, match=r"begins with Registered, not media\.upload_completed"):
        fold([f.upload_completed()])


def test_a_registration_makes_an_uploading_item() -> None:
    assert folded(f.registered()) == MediaItem(
        status=Status.UPLOADING,
        version=1,
        creator_id=f.CREATOR,
        media_type=f.registered().media_type,
        input_key=f.registered().input_key,
        file_name="holiday.mp4",
        content_type="video/mp4",
        declared_size=f.SIZE,
        deadline=f.UPLOAD_DEADLINE,
    )


def test_a_completed_upload_keeps_what_was_found() -> None:
    item = folded(*f.uploaded())
    assert (item.status, item.size, item.etag) == (Status.UPLOADED, f.SIZE, f.ETAG)


def test_an_attempt_has_a_deadline_and_no_job_until_one_is_accepted() -> None:
    item = folded(*f.uploaded(), f.transcoding_requested())
    assert (item.status, item.attempt) == (Status.TRANSCODING, 1)
    assert item.deadline == f.TRANSCODING_DEADLINE
    assert (item.job_ids, item.runpod_job_id, item.started) == ((), None, False)
    assert item.runs(1)
    assert not item.runs(2)


def test_the_newest_job_is_the_one_that_runs() -> None:
    item = folded(*f.transcoding(), f.transcoding_submitted(1, f.job_id(1, 2)))
    assert item.job_ids == (f.job_id(1, 1), f.job_id(1, 2))
    assert item.runpod_job_id == f.job_id(1, 2)


def test_a_ready_item_has_outputs_and_no_deadline() -> None:
    item = folded(*f.ready())
    assert (item.status, item.deadline) == (Status.READY, None)
    assert item.outputs == f.transcoding_completed()
    assert item.failure is None
    assert not item.runs(1)


def test_a_failed_item_says_why_and_has_no_deadline() -> None:
    item = folded(*f.failed())
    assert (item.status, item.deadline) == (Status.FAILED, None)
    assert item.failure == Failure(ErrorCode.ENCODE_FAILED, "The encoder stopped.", retryable=True)


def test_an_expired_upload_is_a_failure_that_no_retry_mends() -> None:
    item = folded(*f.expired())
    assert (item.status, item.deadline) == (Status.FAILED, None)
    assert item.failure == Failure(
        ErrorCode.UPLOAD_EXPIRED, "The file was not uploaded in time.", retryable=False
    )


def test_a_retry_clears_the_failure_and_begins_with_no_jobs() -> None:
    first = (*f.transcoding(), f.transcoding_started(), f.transcoding_failed())
    item = folded(*first, f.retry_requested())
    assert (item.status, item.failure) == (Status.UPLOADED, None)
    again = evolve(item, f.transcoding_requested(2))
    assert (again.attempt, again.job_ids, again.started) == (2, (), False)
    assert again.attempt_id == f.transcoding_requested(2).attempt_id


@pytest.mark.parametrize(
    "history", [f.uploading(), f.uploaded(), f.transcoding(2), f.ready(), f.failed(2), f.expired()]
)
def test_the_version_counts_the_events(history: tuple[Event, ...]) -> None:
    assert [folded(*history[:n]).version for n in range(1, len(history) + 1)] == list(
        range(1, len(history) + 1)
    )


def test_evolving_leaves_the_older_state_as_it_was() -> None:
    before = folded(*f.uploading())
    evolve(before, f.upload_completed())
    assert before == folded(*f.uploading())


def test_a_history_that_todays_rules_refuse_still_folds() -> None:
    third = TranscodingRequested(**{**f.transcoding_requested(2).model_dump(), "attempt": 3})
    item = folded(
        *f.failed(2),
        f.retry_requested(),
        third,
        *(f.transcoding_submitted(3, f.job_id(3, number)) for number in (1, 2, 3)),
        f.transcoding_completed(3),
        f.transcoding_failed(3),
    )
    assert (item.status, item.attempt, len(item.job_ids)) == (Status.FAILED, 3, 3)


def test_a_failure_keeps_the_advice_of_its_own_time() -> None:
    then = TranscodingFailed(
        **{**f.transcoding_failed().model_dump(), "error_code": "encode_failed", "retryable": False}
    )
    failure = folded(*f.transcoding(), then).failure
    assert failure is not None
    assert failure.retryable is False
