"""The worker's signed callbacks: the primary report of a job (RunPod drops results it cannot post).

`completed` and `failed` are tried again with back-off for about two minutes; `progress` once.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Literal
from uuid import uuid5

import httpx

from gpu_worker.contract import (
    MOST_ASSISTANTS,
    Progress,
    Report,
    ReportOutput,
    Stage,
    Timing,
    WorkerError,
)
from gpu_worker.contract_trace import HEADER, current
from gpu_worker.manifest import Identity
from gpu_worker.signature import sign

logger = logging.getLogger(__name__)

STAGES: dict[Stage, tuple[float, float]] = {
    "download": (0, 10),
    "probe": (10, 10),
    "encode": (10, 90),
    "upload": (90, 99),
    "finish": (99, 100),
}
"""The percents between which each stage lies."""
FINAL_TRIES = 8
STARTED_TRIES = 2
TIMEOUT = httpx.Timeout(10)
PROGRESS_TIMEOUT = httpx.Timeout(3)
WORTH_RETRYING = frozenset({408, 425, 429})


class StageClock:
    """How long a job is in each stage. They follow each other; the first one begins at once."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._stage: Stage = "download"
        self._since = now()
        self._seconds: dict[Stage, float] = {}

    def enter(self, stage: Stage) -> None:
        """A stage begins, and ends the one before."""
        if stage != self._stage:
            self._seconds, self._since = self.seconds(), self._now()
            self._stage = stage

    def seconds(self) -> dict[Stage, float]:
        """What each stage took, the present one so far."""
        took_s = self._now() - self._since
        known_s = self._seconds.get(self._stage, 0.0)
        return {**self._seconds, self._stage: round(known_s + took_s, 3)}


class ProgressBoard:
    """The latest progress of a job; whoever wants to know looks."""

    def __init__(self) -> None:
        self.latest = Progress(percent=0, stage="download")
        self.clock = StageClock()

    def update(self, stage: Stage, share: float) -> None:
        """`share` of `stage` is done, 0 to 1. Never goes back."""
        first, last = STAGES[stage]
        percent = round(first + (last - first) * min(1.0, max(0.0, share)), 1)
        self.clock.enter(stage)
        if percent >= self.latest.percent:
            self.latest = self.latest.model_copy(update={"percent": percent, "stage": stage})

    def want(self, assistants: int) -> None:
        """So many jobs could help; 0: no more are needed."""
        wanted = min(assistants, MOST_ASSISTANTS) or None
        self.latest = self.latest.model_copy(update={"assistants_wanted": wanted})


class Reporter:
    """Tells the service what becomes of one job."""

    def __init__(
        self, client: httpx.AsyncClient, identity: Identity, secret: str, first_delay_s: float
    ) -> None:
        self._client = client
        self._identity = identity
        self._secret = secret
        self._first_delay_s = first_delay_s
        self._sent = 0
        self.board: ProgressBoard | None = None
        """Where the job's progress is, once it works."""

    def output(self) -> ReportOutput:
        """The ids every report carries."""
        job = self._identity.job
        return ReportOutput(
            media_id=job.media_id,
            attempt=job.attempt,
            attempt_id=job.attempt_id,
            type=job.type,
            worker=self._identity.worker,
        )

    async def started(self, output: ReportOutput) -> bool:
        """Whether the service heard that the job runs. The job goes on either way."""
        return await self._deliver(self._report("started", output), STARTED_TRIES)

    async def completed(self, output: ReportOutput) -> bool:
        """Whether the service heard that the job is done."""
        return await self._deliver(self._report("completed", self._timed(output)), FINAL_TRIES)

    def _timed(self, output: ReportOutput) -> ReportOutput:
        if self.board is None:  # It ended before it began.
            return output
        trace = current()
        timing = Timing(
            stage_seconds=dict(self.board.clock.seconds()),
            caused_by=self._identity.job.traceparent,
            traceparent=trace.traceparent if trace else None,
        )
        return output.model_copy(update={"timing": timing})

    async def failed(self, error: WorkerError) -> bool:
        """Whether the service heard that the job failed."""
        report = self._report("failed", self._timed(self.output()))
        report = report.model_copy(update={"error": error})
        return await self._deliver(report, FINAL_TRIES)

    @contextlib.asynccontextmanager
    async def reporting(self, board: ProgressBoard, interval_s: float) -> AsyncIterator[None]:
        """While inside, what is new on `board` is sent every `interval_s`. Stopped on leaving."""
        pump = asyncio.create_task(self._pump(board, interval_s))
        try:
            yield
        finally:
            pump.cancel()
            await asyncio.wait([pump])

    async def _pump(self, board: ProgressBoard, interval_s: float) -> None:
        told = board.latest
        while True:  # ended by cancellation, with the job
            await asyncio.sleep(interval_s)
            if board.latest != told:
                told = board.latest
                report = self._report("progress", self.output())
                await self._try(report.model_copy(update={"progress": told}), PROGRESS_TIMEOUT)

    def _report(
        self, status: Literal["started", "progress", "completed", "failed"], output: ReportOutput
    ) -> Report:
        return Report(job_id=self._identity.job_id, status=status, output=output)

    async def _deliver(self, report: Report, tries: int) -> bool:
        delay_s = self._first_delay_s
        for left in reversed(range(tries)):
            status = await self._try(report, TIMEOUT)
            if status is not None and 200 <= status < 300:
                return True
            if status is not None and 400 <= status < 500 and status not in WORTH_RETRYING:
                break
            if left:
                await asyncio.sleep(delay_s)
                delay_s *= 2
        logger.error("the %s callback of job %s was not accepted", report.status, report.job_id)
        return False

    async def _try(self, report: Report, patience: httpx.Timeout) -> int | None:
        """The status of one post; None when nobody answered. Signed anew: signatures age."""
        body = report.to_json().encode()
        headers = sign(self._secret, self._message_id(report), int(time.time()), body)
        url = self._identity.job.webhook_url
        try:
            response = await self._client.post(
                url,
                content=body,
                headers={"content-type": "application/json", **headers, **_traced()},
                timeout=patience,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            logger.warning("the %s callback failed: %s", report.status, type(error).__name__)
            return None
        return response.status_code

    def _message_id(self, report: Report) -> str:
        """The same for every try of a report, so that the receiver knows a repeated one."""
        what: str = report.status
        if report.status == "progress":
            self._sent += 1
            what = f"progress/{self._sent}"
        unique = uuid5(self._identity.job.attempt_id, f"{self._identity.job_id}/{what}")
        return f"msg_{unique.hex}"


def _traced() -> dict[str, str]:
    trace = current()
    return {HEADER: trace.traceparent} if trace else {}
