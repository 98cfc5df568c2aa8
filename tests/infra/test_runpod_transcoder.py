"""RunPod over real HTTP: against the stand-in, and against servers that misbehave."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from domain.errors import (
    TranscoderError,
    TranscoderForbidden,
    TranscoderRejected,
    TranscoderUnavailable,
)
from domain.ports import JobPhase, JobState
from gpu_worker.contract import JobInput
from infra.embedded.ports import free_port
from infra.embedded.runpod_local import RunpodEndpoint
from infra.runpod_transcoder import RunpodTranscoder, open_transcoder
from infra.settings import Settings, load
from tests import factories as f
from tests.infra.job import ACCEPTED, JOB
from tests.infra.raw_http import RawServer, http_answer, raw_server
from tests.infra.variables import ENVIRON

SETTINGS = load(ENVIRON)


@pytest.fixture
def on_stand_in(runpod: RunpodEndpoint) -> Settings:
    return load(
        ENVIRON
        | {
            "RUNPOD_BASE_URL": runpod.base_url,
            "RUNPOD_ENDPOINT_ID": runpod.endpoint_id,
            "RUNPOD_API_KEY": runpod.api_key,
        }
    )


@pytest.fixture
async def transcoder(on_stand_in: Settings) -> AsyncIterator[RunpodTranscoder]:
    async with open_transcoder(on_stand_in) as opened:
        yield opened


@asynccontextmanager
async def answered(answer: bytes | None) -> AsyncIterator[tuple[RunpodTranscoder, RawServer]]:
    """A transcoder whose every call gets `answer`."""
    async with raw_server(answer) as server:
        settings = load(ENVIRON | {"RUNPOD_BASE_URL": server.url})
        async with open_transcoder(settings) as opened:
            yield opened, server


async def calls(transcoder: RunpodTranscoder) -> list[Exception | None]:
    """What every call raised."""
    outcomes = await asyncio.gather(
        transcoder.submit(JOB, f.NOW),
        transcoder.status("job-1"),
        transcoder.cancel("job-1"),
        transcoder.ping(),
        return_exceptions=True,
    )
    return [outcome if isinstance(outcome, Exception) else None for outcome in outcomes]


async def test_submitted_job_is_queued_until_it_is_cancelled(transcoder: RunpodTranscoder) -> None:
    job_id = await transcoder.submit(JOB, f.NOW)
    assert await transcoder.status(job_id) == JobState(JobPhase.QUEUED)
    await transcoder.cancel(job_id)
    assert await transcoder.status(job_id) == JobState(JobPhase.CANCELLED)
    await transcoder.cancel(job_id)


async def test_job_that_a_worker_has_and_fails_is_seen(
    transcoder: RunpodTranscoder, on_stand_in: Settings
) -> None:
    job_id = await transcoder.submit(JOB, f.NOW)
    base = f"{on_stand_in.runpod_base_url}/v2/{on_stand_in.runpod_endpoint_id}"
    key = {"authorization": on_stand_in.runpod_api_key.get_secret_value()}
    async with httpx.AsyncClient(base_url=base, headers=key, trust_env=False) as worker:
        taken = (await worker.get("/job-take-batch/w1", params={"batch_size": "10000"})).json()
        mine = next(job for job in taken if job["id"] == job_id)
        assert JobInput.model_validate(mine["input"]).input_key == JOB.input_key
        assert await transcoder.status(job_id) == JobState(JobPhase.RUNNING)
        await worker.post(f"/job-done/w1/{job_id}", json={"error": "encode_failed: It stopped."})
    assert await transcoder.status(job_id) == JobState(
        JobPhase.FAILED, "encode_failed: It stopped."
    )


async def test_unknown_job_has_no_state_and_needs_no_cancelling(
    transcoder: RunpodTranscoder,
) -> None:
    assert await transcoder.status("no-such-job-u1") is None
    await transcoder.cancel("no-such-job-u1")


async def test_endpoint_that_knows_us_answers_a_ping(transcoder: RunpodTranscoder) -> None:
    await transcoder.ping()


async def test_wrong_key_is_rejected(on_stand_in: Settings, runpod: RunpodEndpoint) -> None:
    wrong = load(
        ENVIRON
        | {"RUNPOD_BASE_URL": runpod.base_url, "RUNPOD_ENDPOINT_ID": on_stand_in.runpod_endpoint_id}
    )
    async with open_transcoder(wrong) as transcoder:
        for raised in await calls(transcoder):
            assert type(raised) is TranscoderForbidden
            assert "401" in str(raised)
            assert "rpa_sesame" not in str(raised)


async def test_wrong_endpoint_is_rejected(on_stand_in: Settings) -> None:
    wrong = on_stand_in.model_copy(update={"runpod_endpoint_id": "elsewhere"})
    async with open_transcoder(wrong) as transcoder:
        with pytest.raises(TranscoderRejected, match="404"):
            await transcoder.submit(JOB, f.NOW)
        with pytest.raises(TranscoderRejected, match="404"):
            await transcoder.ping()


@pytest.mark.parametrize("status", [400, 403, 413, 302])
async def test_final_no_is_rejected(status: int) -> None:
    async with answered(http_answer(status, b"{}", "Location: /elsewhere")) as (transcoder, _):
        for raised in await calls(transcoder):
            assert isinstance(raised, TranscoderRejected)
            assert str(status) in str(raised)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_busy_or_broken_vendor_is_unavailable(status: int) -> None:
    async with answered(http_answer(status, b"<html>sorry</html>")) as (transcoder, _):
        for raised in await calls(transcoder):
            assert isinstance(raised, TranscoderUnavailable)
            assert str(status) in str(raised)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{", id="cut"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
            id="falsely compressed",
        ),
    ],
)
async def test_broken_answer_is_unavailable(answer: bytes) -> None:
    async with answered(answer) as (transcoder, _):
        for raised in await calls(transcoder):
            assert isinstance(raised, TranscoderUnavailable)
            assert "did not answer" in str(raised)


GARBAGE = (b"", b"{", b"null", b"[]", b"<html>", b'{"id":7}', b'{"status":7}', b"\xff", b"[" * 9999)


@pytest.mark.parametrize("body", GARBAGE, ids=lambda body: body[:12].decode("latin-1"))
async def test_body_without_sense_is_unavailable(body: bytes) -> None:
    async with answered(http_answer(200, body)) as (transcoder, _):
        with pytest.raises(TranscoderUnavailable, match="/run has no job id"):
            await transcoder.submit(JOB, f.NOW)
        with pytest.raises(TranscoderUnavailable, match="/status is not understood"):
            await transcoder.status("job-1")
        await transcoder.cancel("job-1")


@pytest.mark.parametrize("job_id", ["", "../health", "a b", "a?b", "\\u0000", "\\n", "x" * 300])
async def test_job_id_that_fits_no_path_is_not_taken_over(job_id: str) -> None:
    body = f'{{"id":"{job_id}","status":"IN_QUEUE"}}'.encode()
    async with answered(http_answer(200, body)) as (transcoder, _):
        with pytest.raises(TranscoderUnavailable, match="/run has no job id"):
            await transcoder.submit(JOB, f.NOW)


async def test_compressed_answer_is_read() -> None:
    body = gzip.compress(b'{"id":"j-1","status":"COMPLETED"}')
    async with answered(http_answer(200, body, "Content-Encoding: gzip")) as (transcoder, _):
        assert await transcoder.status("j-1") == JobState(JobPhase.SUCCEEDED)


async def test_closed_port_is_unavailable() -> None:
    closed = load(ENVIRON | {"RUNPOD_BASE_URL": f"http://127.0.0.1:{free_port()}"})
    async with open_transcoder(closed) as transcoder:
        assert all(isinstance(raised, TranscoderUnavailable) for raised in await calls(transcoder))


async def test_silent_vendor_is_unavailable_after_the_timeout() -> None:
    async with (
        raw_server(None) as server,
        httpx.AsyncClient(base_url=server.url, timeout=0.2, trust_env=False) as client,
        asyncio.timeout(5),
    ):
        transcoder = RunpodTranscoder(client, SETTINGS)
        for raised in await calls(transcoder):
            assert isinstance(raised, TranscoderUnavailable)
            assert "ReadTimeout" in str(raised)


async def test_vendor_that_drips_its_answer_is_given_up() -> None:
    async with (
        raw_server(ACCEPTED, drip_s=0.1) as server,
        httpx.AsyncClient(base_url=server.url, timeout=1, trust_env=False) as client,
        asyncio.timeout(5),
    ):
        transcoder = RunpodTranscoder(client, SETTINGS, limit_s=0.5)
        for raised in await calls(transcoder):
            assert isinstance(raised, TranscoderUnavailable)


STATES: list[tuple[dict[str, Any], JobState]] = [
    ({"status": "IN_QUEUE"}, JobState(JobPhase.QUEUED)),
    ({"status": "IN_PROGRESS"}, JobState(JobPhase.RUNNING)),
    ({"status": "RUNNING"}, JobState(JobPhase.RUNNING)),
    ({"status": "COMPLETED", "output": {}}, JobState(JobPhase.SUCCEEDED)),
    ({"status": "CANCELLED"}, JobState(JobPhase.CANCELLED)),
    ({"status": "TIMED_OUT"}, JobState(JobPhase.TIMED_OUT)),
    ({"status": "FAILED"}, JobState(JobPhase.FAILED)),
    ({"status": "FAILED", "error": "no: x"}, JobState(JobPhase.FAILED, "no: x")),
    ({"status": "FAILED", "error": ["x"]}, JobState(JobPhase.FAILED, "['x']")),
    (
        {"status": "FAILED", "error": "job: executionTimeout exceeded"},
        JobState(JobPhase.TIMED_OUT, "job: executionTimeout exceeded"),
    ),
]


@pytest.mark.parametrize(("body", "state"), STATES, ids=lambda value: str(value)[:60])
async def test_every_state_of_a_job_is_understood(body: dict[str, Any], state: JobState) -> None:
    answer = http_answer(200, json.dumps({"id": "job-1", "delayTime": 3, **body}).encode())
    async with answered(answer) as (transcoder, _):
        assert await transcoder.status("job-1") == state


async def test_state_that_is_not_documented_is_no_state() -> None:
    async with answered(http_answer(200, b'{"status":"PAUSED"}')) as (transcoder, _):
        with pytest.raises(TranscoderError, match="not understood"):
            await transcoder.status("job-1")
