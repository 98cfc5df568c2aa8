"""RunPod Serverless as the transcoder (docs.runpod.io, "Endpoint operations")."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from domain.errors import (
    TranscoderError,
    TranscoderForbidden,
    TranscoderRejected,
    TranscoderUnavailable,
    TranscoderUnknown,
)
from domain.ports import JobPhase, JobState, TranscodingJob
from gpu_worker.contract import JobId, JobInput
from infra import spans
from infra.capability import Capability, mint
from infra.fault_points import reach
from infra.figures.process import runpod_called
from infra.settings import Settings

TIMEOUT = httpx.Timeout(10.0, connect=5.0)
CALL_LIMIT_S = 30.0
"""For a whole call: httpx's timeout begins anew with every byte read."""
MIN_TTL_MS = 10_000
MAX_RETRY_AFTER_S = 300.0
"""No longer pause is taken from RunPod: a mistake of theirs must not outlive our attempts."""

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
"""The request cannot have arrived."""
LOST_BEHIND_GATEWAY = frozenset({504, 524})
"""A gateway's own word that it waited in vain: the request may have arrived behind it."""
KEY_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

PHASES = {
    "IN_QUEUE": JobPhase.QUEUED,
    "IN_PROGRESS": JobPhase.RUNNING,
    "RUNNING": JobPhase.RUNNING,
    "COMPLETED": JobPhase.SUCCEEDED,
    "FAILED": JobPhase.FAILED,
    "CANCELLED": JobPhase.CANCELLED,
    "TIMED_OUT": JobPhase.TIMED_OUT,
}


class _Accepted(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: JobId


class _Output(BaseModel):
    """What our worker returned: which attempt it was, and whether it left it to another job."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel)
    attempt_id: UUID | None = None
    superseded: bool = False


class _Status(BaseModel):
    # Only what is used is read: RunPod does not document these bodies as closed.
    model_config = ConfigDict(extra="ignore")
    status: str
    error: Any = None
    output: Any = None

    def result(self) -> _Output:
        """The output, as far as it is our worker's."""
        try:
            return _Output.model_validate(self.output)
        except ValidationError:
            return _Output()


class RunpodTranscoder:
    """`domain.ports.Transcoder` over RunPod's HTTP API."""

    def __init__(
        self, client: httpx.AsyncClient, settings: Settings, limit_s: float = CALL_LIMIT_S
    ) -> None:
        self._client = client
        self._settings = settings
        self._limit_s = limit_s

    async def submit(self, job: TranscodingJob, now: datetime) -> str:
        """Queue `job`; RunPod's job id.

        `ttl` is what is left of the attempt's deadline, so that a job never outlives its attempt.
        `TranscoderUnknown` where the job may have been queued and no id came; any other
        `TranscoderError` is a sure no. There is no idempotency key: a second call is a second job.
        """
        request = self._request(job, now)
        answer = await self._call("POST", "/run", json=request, lost=TranscoderUnknown)
        try:
            return _Accepted.model_validate_json(answer.content).id
        except ValidationError as error:
            raise TranscoderUnknown("RunPod's answer to /run has no job id") from error

    def _request(self, job: TranscodingJob, now: datetime) -> dict[str, object]:
        public = self._settings.public_app_url
        left_ms = max(MIN_TTL_MS, int((job.deadline - now).total_seconds() * 1000))
        capability = Capability(
            "webhook", job.media_id, job.attempt, int(job.deadline.timestamp()) + 3600
        )
        token = mint(self._settings.capability_keys[0], capability)
        job_input = JobInput(
            media_id=job.media_id,
            attempt=job.attempt,
            attempt_id=job.attempt_id,
            type=job.media_type.value,
            creator_id=job.creator_id,
            input_key=job.input_key,
            input_etag=job.input_etag,
            webhook_url=f"{public}/api/transcoding/webhook",
            traceparent=job.traceparent,
            assist=True if job.assist else None,
        )
        # What becomes of an assistant is of no interest to anybody.
        webhook = {} if job.assist else {"webhook": f"{public}/api/transcoding/webhook/{token}"}
        return {
            "input": job_input.model_dump(mode="json", by_alias=True, exclude_none=True),
            **webhook,
            "policy": {
                "executionTimeout": min(self._settings.execution_timeout_s * 1000, left_ms),
                "ttl": left_ms,
                "lowPriority": False,
            },
        }

    async def status(self, job_id: str) -> JobState | None:
        """The job's state; None when RunPod does not know it (results are kept 30 minutes)."""
        try:
            answer = await self._call("GET", f"/status/{job_id}")
        except _NotFound:
            return None
        try:
            found = _Status.model_validate_json(answer.content)
            phase = PHASES[found.status]
        except (ValidationError, KeyError) as error:
            raise TranscoderUnavailable("RunPod's answer to /status is not understood") from error
        text = None if found.error is None else str(found.error)
        if phase is JobPhase.FAILED and text and "executionTimeout exceeded" in text:
            phase = JobPhase.TIMED_OUT
        result = found.result()
        return JobState(phase, text, result.attempt_id, result.superseded, answer.content)

    async def cancel(self, job_id: str) -> None:
        """Stop the job if it still runs; an unknown job is stopped already."""
        try:
            await self._call("POST", f"/cancel/{job_id}")
        except _NotFound:
            return

    async def ping(self) -> None:
        """`TranscoderRejected` or `TranscoderUnavailable` unless the endpoint answers us."""
        await self._call("GET", "/health")

    async def _call(
        self,
        method: str,
        path: str,
        json: object = None,
        lost: type[TranscoderUnavailable] = TranscoderUnavailable,
    ) -> httpx.Response:
        """A 2xx answer. `lost` is raised where the request may have arrived and no answer came."""
        call, began, began_ns, result = path.split("/")[1], time.perf_counter(), time.time_ns(), ""
        try:
            answer = await self._answered(method, path, json, lost)
            result = "ok"
        except TranscoderError as error:
            result = RESULTS[type(error)]
            raise
        else:
            return answer
        finally:
            runpod_called(call, result or "interrupted", time.perf_counter() - began)
            spans.call(f"RunPod {call}", began_ns, failed=result not in {"ok", "not_found"})

    async def _answered(
        self, method: str, path: str, json: object, lost: type[TranscoderUnavailable]
    ) -> httpx.Response:
        url = f"/v2/{self._settings.runpod_endpoint_id}{path}"
        try:
            async with asyncio.timeout(self._limit_s):
                answer = await self._client.request(method, url, json=json)
        except NOT_SENT as error:
            name = type(error).__name__
            raise TranscoderUnavailable(f"RunPod could not be reached: {name}") from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise lost(f"RunPod did not answer: {type(error).__name__}") from error
        _check(answer, lost)
        return answer


class _NotFound(TranscoderRejected):
    """404: no such job, or no such endpoint."""


RESULTS: dict[type[TranscoderError], str] = {
    _NotFound: "not_found",
    TranscoderForbidden: "forbidden",
    TranscoderRejected: "rejected",
    TranscoderUnknown: "unknown",
    TranscoderUnavailable: "unavailable",
}
"""How a call that was refused is counted."""


def _check(answer: httpx.Response, lost: type[TranscoderUnavailable]) -> None:
    status = answer.status_code
    if status == HTTPStatus.NOT_FOUND:
        raise _NotFound("RunPod does not know the endpoint or the job (404)")
    if status in LOST_BEHIND_GATEWAY:
        raise lost(f"RunPod answered {status}")
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500:
        raise TranscoderUnavailable(f"RunPod answered {status}", _retry_after_s(answer))
    if status in KEY_REFUSED:
        raise TranscoderForbidden(f"RunPod refused our key ({status})")
    if status >= 300:
        raise TranscoderRejected(f"RunPod refused the request ({status})")


def _retry_after_s(answer: httpx.Response) -> float | None:
    """The pause that RunPod asks for (RFC 9110, 10.2.3: seconds or a date), within bounds."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    # "-0000" says that the zone is unknown: parsed without one, meant as UTC.
    left_s = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(left_s, 0.0), MAX_RETRY_AFTER_S)


@asynccontextmanager
async def open_transcoder(settings: Settings) -> AsyncIterator[RunpodTranscoder]:
    """RunPod as `settings` name it, over one shared client."""
    headers = {"Authorization": f"Bearer {settings.runpod_api_key.get_secret_value()}"}
    async with httpx.AsyncClient(
        base_url=settings.runpod_base_url,
        headers=headers,
        timeout=TIMEOUT,
        event_hooks={"request": [_about_to_ask], "response": [_answered]},
    ) as client:
        yield RunpodTranscoder(client, settings)


async def _about_to_ask(request: httpx.Request) -> None:
    reach("runpod", f"{_operation(request)}.before")


async def _answered(answer: httpx.Response) -> None:
    reach("runpod", f"{_operation(answer.request)}.after")


def _operation(request: httpx.Request) -> str:
    """`run`, `status`, `cancel` or `health`: what follows `/v2/ENDPOINT/`."""
    return request.url.path.split("/")[3]
