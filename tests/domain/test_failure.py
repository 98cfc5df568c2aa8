"""Every failure code tells the creator what to do next."""

import pytest

from domain.failure import ADVICE, ErrorCode, advice
from gpu_worker.contract import RETRYABLE_CODES, WorkerErrorCode


def test_every_code_has_advice_and_nothing_else_has() -> None:
    assert set(ADVICE) == set(ErrorCode)


@pytest.mark.parametrize("code", ErrorCode)
def test_advice_is_a_sentence(code: ErrorCode) -> None:
    hint = advice(code).hint
    assert len(hint) > 20
    assert hint[0].isupper()
    assert hint.endswith(".")


@pytest.mark.parametrize("code", ErrorCode)
def test_retry_is_advised_exactly_where_it_may_help(code: ErrorCode) -> None:
    assert ("etry" in advice(code).hint) is advice(code).retryable


@pytest.mark.parametrize("code", WorkerErrorCode)
def test_service_and_worker_agree_on_the_workers_codes(code: WorkerErrorCode) -> None:
    assert advice(ErrorCode(code.value)).retryable is (code in RETRYABLE_CODES)


def test_the_codes_are_those_that_were_promised() -> None:
    assert {code.value for code in ErrorCode} == {
        "input_unreadable",
        "input_unsupported",
        "input_too_large",
        "input_changed",
        "no_media_stream",
        "encode_failed",
        "worker_lost",
        "timed_out",
        "submit_rejected",
        "submit_unreachable",
        "output_invalid",
        "storage_unavailable",
        "upload_expired",
    }
