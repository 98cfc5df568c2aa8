"""A worker without ffmpeg: takes jobs, claims attempts, writes whole outputs, signs its reports.

The file's name says how its jobs go:

    plain    started, progress, outputs, completed (told twice), result
    silent   outputs and result: no callback arrives
    flawed   the first attempt fails; the second is plain
    lost     the first job of an attempt is cancelled by somebody; the next is plain
    refused  the first job of an attempt cannot write to the bucket; the next is plain
    helped   says that another job could help, and waits a while for it; then plain
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4, uuid5

import httpx
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from gpu_worker.contract import (
    Claim,
    JobInput,
    Progress,
    Report,
    SupersededOutput,
    WorkerErrorCode,
    claim_key,
)
from gpu_worker.signature import sign
from infra.settings import Settings
from tests.api.gpu import Job, completion, failure, manifest_of, outputs
from tests.kill.retrying import DELIVERY_LIMIT_S, until_answered

NAME = "light"
HELP_LIMIT_S = 4.0


class LightWorker:
    """Works on everything that is queued, all at once."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient, s3: BaseClient) -> None:
        self._settings = settings
        self._http = http
        self._s3 = s3
        self._base = f"{settings.runpod_base_url}/v2/{settings.runpod_endpoint_id}"
        self._key = settings.runpod_api_key.get_secret_value()
        self._jobs_of: Counter[tuple[str, int]] = Counter()
        self.acknowledged: set[str] = set()
        """Ids of the messages that were answered 200."""
        self._helping = asyncio.Event()

    async def run(self) -> None:
        """Take jobs until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                for taken in await self._take():
                    group.create_task(self._work(taken), name=f"job {taken['id']}")

    async def _take(self) -> list[dict[str, Any]]:
        url = f"{self._base}/job-take-batch/{NAME}?batch_size=10"
        answer = await until_answered(
            lambda: self._http.get(url, headers={"authorization": self._key}), DELIVERY_LIMIT_S
        )
        jobs: list[dict[str, Any]] = answer.json() if answer.status_code == 200 else []
        return jobs

    async def _work(self, taken: dict[str, Any]) -> None:
        wanted = JobInput.model_validate(taken["input"])
        job = Job(
            wanted.media_id,
            wanted.attempt,
            wanted.attempt_id,
            taken["id"],
            wanted.type,
            wanted.creator_id,
        )
        if wanted.assist:
            self._helping.set()
            await self._result(job, {"output": {"assisted": True}})
            return
        self._jobs_of[str(job.media_id), job.attempt] += 1
        first = self._jobs_of[str(job.media_id), job.attempt] == 1
        name = wanted.input_key.rpartition("/")[2].partition(".")[0]
        if name == "lost" and first:
            await self._post(f"cancel/{job.job_id}", {}, f"Bearer {self._key}")
        elif holder := await self._other_holder(job):
            superseded = SupersededOutput(
                media_id=job.media_id, attempt_id=job.attempt_id, holder_job_id=holder
            )
            await self._result(job, {"output": json.loads(superseded.to_json())})
        else:
            await self._play(name, job, first=first)

    async def _play(self, name: str, job: Job, *, first: bool) -> None:
        match name:
            case "silent":
                await self._write(job)
                await self._result(job, {"output": {"attemptId": str(job.attempt_id)}})
            case "flawed" if job.attempt == 1:
                await self._give_up(job, WorkerErrorCode.ENCODE_FAILED)
            case "helped":
                await self._be_helped(job)
                await self._finish(job)
            case "refused" if first:
                await self._give_up(job, WorkerErrorCode.STORAGE_UNAVAILABLE)
            case _:
                await self._finish(job)

    async def _be_helped(self, job: Job) -> None:
        progress = Progress(percent=1, stage="encode", assistants_wanted=1)
        await self._tell(
            Report(job_id=job.job_id, status="progress", output=job.output, progress=progress)
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(self._helping.wait(), HELP_LIMIT_S)
            await asyncio.sleep(0.3)  # The answer to the call is noted.

    async def _finish(self, job: Job) -> None:
        begun = job.output.model_copy(update={"encoder": "libx264"})
        await self._tell(Report(job_id=job.job_id, status="started", output=begun))
        progress = Progress(percent=50, stage="encode")
        await self._tell(
            Report(job_id=job.job_id, status="progress", output=job.output, progress=progress)
        )
        await self._write(job)
        for _ in range(2):
            await self._tell(completion(job))
        await self._result(job, {"output": {"attemptId": str(job.attempt_id)}})

    async def _give_up(self, job: Job, code: WorkerErrorCode) -> None:
        await self._put_claim(job, released=True)
        report = failure(job, code)
        assert report.error is not None
        await self._tell(report)
        await self._result(job, {"error": f"{report.error.code.value}: {report.error.message}"})

    async def _other_holder(self, job: Job) -> str | None:
        """The job that has the attempt's claim; None when this one has it now."""
        key = claim_key(job.creator_id, job.media_id, job.attempt)
        bucket = self._settings.r2_bucket
        try:
            await self._put_claim(job, IfNoneMatch="*")
        except ClientError:
            found = await asyncio.to_thread(self._s3.get_object, Bucket=bucket, Key=key)
            claim = Claim.model_validate_json(found["Body"].read())
            if not claim.released:
                return claim.job_id
            await self._put_claim(job)
        return None

    async def _put_claim(self, job: Job, *, released: bool = False, **condition: str) -> None:
        claim = Claim(
            media_id=job.media_id,
            attempt=job.attempt,
            attempt_id=job.attempt_id,
            job_id=job.job_id,
            worker=NAME,
            holder=uuid4(),
            released=released,
        )
        key = claim_key(job.creator_id, job.media_id, job.attempt)
        body, bucket = claim.to_json().encode(), self._settings.r2_bucket
        await asyncio.to_thread(self._s3.put_object, Bucket=bucket, Key=key, Body=body, **condition)

    async def _write(self, job: Job) -> None:
        tree = outputs(job)
        for key, (body, content_type) in tree.items():
            await self._put(key, body, content_type)
        manifest = manifest_of(job, tree).to_json().encode()
        await self._put(job.layout.manifest, manifest, "application/json")

    async def _put(self, key: str, body: bytes, content_type: str) -> None:
        bucket = self._settings.r2_bucket
        await asyncio.to_thread(
            self._s3.put_object, Bucket=bucket, Key=key, Body=body, ContentType=content_type
        )

    async def _tell(self, report: Report) -> None:
        """Deliver a callback, as the real worker does: again until it is answered."""
        body = report.to_json().encode()
        about = f"{report.job_id}/{report.status}"
        message_id = f"msg_{uuid5(report.output.attempt_id, about).hex}"

        async def post() -> httpx.Response:
            headers = sign(self._settings.webhook_keys[0], message_id, int(time.time()), body)
            url = f"{self._settings.public_app_url}/api/transcoding/webhook"
            return await self._http.post(url, content=body, headers=headers)

        answer = await until_answered(post, DELIVERY_LIMIT_S)
        assert answer.status_code == 200, answer.text
        if report.status != "progress":  # which is not kept
            self.acknowledged.add(message_id)

    async def _result(self, job: Job, result: dict[str, object]) -> None:
        await self._post(f"job-done/{NAME}/{job.job_id}", result, self._key)

    async def _post(self, path: str, body: object, key: str) -> None:
        url, headers = f"{self._base}/{path}", {"authorization": key}
        answer = await until_answered(
            lambda: self._http.post(url, json=body, headers=headers), DELIVERY_LIMIT_S
        )
        assert answer.status_code == 200, answer.text


@asynccontextmanager
async def working(worker: LightWorker) -> AsyncIterator[None]:
    """While inside, `worker` is at work; what goes wrong with it is raised at the end."""
    task = asyncio.create_task(worker.run(), name="light worker")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
