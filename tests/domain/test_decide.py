"""Every command in every state: what it causes, or what it is refused for."""

from datetime import timedelta

import pytest

from domain import commands as c
from domain.errors import InvalidTransition, RetryRefused, TranscodingRunning
from domain.events import Event, UploadExpired
from domain.failure import ErrorCode
from domain.lifecycle import Status
from domain.media import decide, fold
from tests import factories as f
from tests.spec import given

Outcome = tuple[Event, ...] | type[Exception]

HISTORIES: dict[str, tuple[Event, ...]] = {
    "uploading": f.uploading(),
    "uploaded": f.uploaded(),
    "transcoding": f.transcoding(),
    "ready": f.ready(),
    "failed": f.failed(),
    "erased": (*f.ready(), f.erased()),
}

COMMANDS: dict[str, c.Command] = {
    "register": f.register_media(),
    "complete upload": f.complete_upload(),
    "expire upload": f.expire_upload(),
    "abandon upload": c.AbandonUpload(f.NOW),
    "record submission": f.record_submission(job="job-new-u1"),
    "record start": f.record_start(),
    "record completion": f.record_completion(),
    "record failure": f.record_failure(),
    "retry": f.retry_transcoding(),
    "erase": f.erase_media(),
}

NOTHING: Outcome = ()
OUTCOMES: dict[tuple[str, str], Outcome] = {
    ("complete upload", "uploading"): (f.upload_completed(), f.transcoding_requested()),
    ("expire upload", "uploading"): (f.upload_expired(),),
    ("abandon upload", "uploading"): (UploadExpired(deadline=f.NOW),),
    ("abandon upload", "uploaded"): InvalidTransition,
    ("abandon upload", "transcoding"): InvalidTransition,
    ("abandon upload", "ready"): InvalidTransition,
    ("abandon upload", "failed"): InvalidTransition,
    ("retry", "uploading"): RetryRefused,
    ("retry", "uploaded"): RetryRefused,
    ("record submission", "transcoding"): (f.transcoding_submitted(job="job-new-u1"),),
    ("record start", "transcoding"): (f.transcoding_started(),),
    ("record completion", "transcoding"): (f.transcoding_completed(),),
    ("record failure", "transcoding"): (f.transcoding_failed(),),
    ("retry", "transcoding"): TranscodingRunning,
    ("retry", "ready"): RetryRefused,
    **dict.fromkeys(
        (("erase", status) for status in HISTORIES if status != "erased"), (f.erased(),)
    ),
    ("complete upload", "erased"): InvalidTransition,
    ("abandon upload", "erased"): InvalidTransition,
    ("retry", "erased"): RetryRefused,
    ("retry", "failed"): (f.retry_requested(), f.transcoding_requested(2)),
}


def test_the_histories_cover_the_six_states_and_the_commands_their_union() -> None:
    for status, history in HISTORIES.items():
        item = fold(history)
        assert item is not None
        assert item.status.value == status
    assert set(HISTORIES) == {status.value for status in Status}
    assert {type(command) for command in COMMANDS.values()} == set(c.Command.__args__)


@pytest.mark.parametrize("status", HISTORIES)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_in_a_state(name: str, status: str) -> None:
    decision = given(*HISTORIES[status]).when(COMMANDS[name])
    outcome = OUTCOMES.get((name, status), NOTHING)
    if isinstance(outcome, tuple):
        decision.then(*outcome)
    else:
        decision.then_refused(outcome)


def test_registering_brings_the_item_into_being() -> None:
    given().when(f.register_media()).then(f.registered())


def test_registering_puts_the_file_under_its_creator_and_item() -> None:
    [event] = decide(f.register_media("../../etc/pass wd"), None)
    assert isinstance(event, type(f.registered()))
    assert event.input_key == f"{f.CREATOR}/originals/{f.MEDIA_ID}/pass-wd"
    assert event.file_name == "../../etc/pass wd"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "register"])
def test_no_other_command_can_be_decided_without_an_item(name: str) -> None:
    given().when(COMMANDS[name]).then_refused(ValueError)


@pytest.mark.parametrize("status", ["uploaded", "transcoding", "ready", "failed", "erased"])
def test_completing_with_another_object_is_refused_once_the_upload_is_over(status: str) -> None:
    refusal = given(*HISTORIES[status]).when(f.complete_upload('"other"'))
    assert refusal.then_refused(InvalidTransition).status == status


def test_completing_an_expired_upload_is_refused() -> None:
    given(*f.expired()).when(f.complete_upload()).then_refused(InvalidTransition)


def test_an_upload_does_not_expire_before_its_deadline() -> None:
    early = f.UPLOAD_DEADLINE - timedelta(microseconds=1)
    given(*f.uploading()).when(f.expire_upload(early)).then_nothing()


def test_an_upload_is_given_up_once() -> None:
    given(*f.expired()).when(c.AbandonUpload(f.NOW)).then_nothing()


def test_an_upload_expires_once() -> None:
    given(*f.expired()).when(f.expire_upload()).then_nothing()


def test_a_report_on_an_older_attempt_is_ignored_while_a_newer_one_runs() -> None:
    for late in (
        f.record_submission(1, "job-late-u1"),
        f.record_start(1),
        f.record_completion(1),
        f.record_failure(1),
    ):
        given(*f.transcoding(2)).when(late).then_nothing()


def test_a_report_on_an_attempt_that_has_not_begun_is_ignored() -> None:
    given(*f.transcoding(1)).when(f.record_completion(2)).then_nothing()


def test_f07_late_completion_after_failure_is_ignored() -> None:
    given(*f.failed()).when(f.record_completion()).then_nothing()


def test_f07_late_failure_after_completion_is_ignored() -> None:
    given(*f.ready()).when(f.record_failure()).then_nothing()


def test_a_second_start_is_ignored() -> None:
    given(*f.transcoding(), f.transcoding_started()).when(f.record_start()).then_nothing()


def test_each_attempt_has_its_own_start() -> None:
    first = (*f.transcoding(), f.transcoding_started(), f.transcoding_failed())
    second = (*first, f.retry_requested(), f.transcoding_requested(2))
    given(*second).when(f.record_start(2)).then(f.transcoding_started(2))


def test_a_job_recorded_twice_is_one_job() -> None:
    given(*f.transcoding()).when(f.record_submission()).then_nothing()


def test_a_lost_job_is_replaced_within_its_attempt() -> None:
    second = f.job_id(1, 2)
    given(*f.transcoding()).when(f.record_submission(1, second)).then(
        f.transcoding_submitted(1, second)
    )


def test_an_attempt_has_at_most_two_jobs() -> None:
    two_jobs = (*f.transcoding(), f.transcoding_submitted(1, f.job_id(1, 2)))
    third = given(*two_jobs).when(f.record_submission(1, f.job_id(1, 3)))
    assert "third job" in third.then_refused(InvalidTransition).wanted


def test_the_second_attempt_has_two_jobs_of_its_own() -> None:
    history = (*f.transcoding(), f.transcoding_submitted(1, f.job_id(1, 2)))
    second = (*history, f.transcoding_failed(), f.retry_requested(), f.transcoding_requested(2))
    given(*second).when(f.record_submission(2)).then(f.transcoding_submitted(2))


@pytest.mark.parametrize("code", ErrorCode)
def test_a_failure_is_retryable_when_its_code_says_so(code: ErrorCode) -> None:
    given(*f.transcoding()).when(f.record_failure(code=code)).then(f.transcoding_failed(code=code))


def test_a_failure_need_not_name_a_job() -> None:
    command = c.RecordFailure(1, None, ErrorCode.SUBMIT_REJECTED, "RunPod said no.")
    [event] = decide(command, fold((*f.uploaded(), f.transcoding_requested())))
    stored, kept = f.sealed(event)
    assert kept is not None
    assert stored.payload() == {
        "attempt": 1,
        "runpodJobId": None,
        "errorCode": "submit_rejected",
        "retryable": True,
        "commitment": kept.commitment,
    }
    assert kept.fields_json == '{"message":"RunPod said no.","stderrTail":""}'


def test_a_failure_is_told_of_the_job_that_reported_it() -> None:
    command = f.record_failure(1)._replace(runpod_job_id="job-unheard-u1")
    event = f.transcoding_failed(1).model_copy(update={"runpod_job_id": "job-unheard-u1"})
    given(*f.transcoding(1)).when(command).then(event)


def test_a_failures_words_lose_what_terminals_obey_and_the_database_cannot_hold() -> None:
    command = f.record_failure()._replace(
        message="Kein\x00 Ton\x1b[31m – \u97f3\u58f0\x7f.\ud800",
        stderr_tail="line 1\r\n\tline 2\x07\x9b\x00",
    )
    kept = {"message": "Kein Ton[31m – \u97f3\u58f0.", "stderr_tail": "line 1\n\tline 2"}
    given(*f.transcoding()).when(command).then(f.transcoding_failed().model_copy(update=kept))
