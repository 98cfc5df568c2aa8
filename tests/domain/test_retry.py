"""One manual retry, of a failed item whose file arrived; the reason wherever it is refused."""

import pytest

from domain.errors import InvalidTransition, RetryRefused, TranscodingRunning
from domain.events import Event
from domain.failure import ErrorCode
from domain.lifecycle import Status
from domain.media import attempt_id
from tests import factories as f
from tests.spec import given


def test_a_failed_first_attempt_can_be_retried() -> None:
    given(*f.failed()).when(f.retry_transcoding()).then(
        f.retry_requested(), f.transcoding_requested(2)
    )


@pytest.mark.parametrize("code", [ErrorCode.INPUT_UNREADABLE, ErrorCode.TIMED_OUT])
def test_the_creator_may_retry_against_the_advice(code: ErrorCode) -> None:
    history = (*f.transcoding(), f.transcoding_failed(code=code))
    given(*history).when(f.retry_transcoding()).then(
        f.retry_requested(), f.transcoding_requested(2)
    )


def test_the_second_failure_is_final() -> None:
    refusal = given(*f.failed(2)).when(f.retry_transcoding(2)).then_refused(RetryRefused)
    assert refusal.status is Status.FAILED
    assert str(refusal) == "All 2 attempts are used up. Register the file anew."


@pytest.mark.parametrize("attempt", [1, 2])
def test_f19_a_retry_while_a_job_runs_is_a_conflict_of_its_own_kind(attempt: int) -> None:
    refusal = given(*f.transcoding(attempt)).when(f.retry_transcoding(attempt))
    assert refusal.then_refused(TranscodingRunning).code == "transcoding_running"


@pytest.mark.parametrize("history", [f.uploading(), f.uploaded(), f.ready()])
def test_an_item_that_did_not_fail_is_not_retried(history: tuple[Event, ...]) -> None:
    refusal = given(*history).when(f.retry_transcoding()).then_refused(RetryRefused)
    assert str(refusal) == f"Only a failed item can be retried; this one is {refusal.status}."
    assert isinstance(refusal, InvalidTransition)


def test_an_upload_that_never_arrived_cannot_be_retried() -> None:
    refusal = given(*f.expired()).when(f.retry_transcoding()).then_refused(RetryRefused)
    assert str(refusal) == "The upload never arrived. Register the file anew."


def test_f18_a_retry_of_what_was_retried_meanwhile_is_answered_as_the_faster_one() -> None:
    given(*f.transcoding(2)).when(f.retry_transcoding(1)).then_nothing()
    given(*f.failed(2)).when(f.retry_transcoding(1)).then_nothing()


def test_an_attempts_id_is_its_own_and_never_changes() -> None:
    assert attempt_id(f.MEDIA_ID, 1) != attempt_id(f.MEDIA_ID, 2)
    assert str(attempt_id(f.MEDIA_ID, 1)) == "835d4a31-98f2-5663-81cb-4c22fc36e191"
