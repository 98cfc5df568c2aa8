"""RunPod's job queue as its documentation and its users describe it: no I/O, the time handed in.

Sources: RunPod's "Serverless endpoints: job operations, states, execution policies" pages, and
webhook bodies that users captured. Where neither says anything, the method's docstring says what
was chosen.
"""

import uuid
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

EXECUTION_TIMEOUT_MESSAGE = "executionTimeout exceeded"
LOST_MESSAGE = "job failed after its worker was lost"


class JobStatus(StrEnum):
    """The states of a job, as `/status` spells them."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"


FINAL = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.TIMED_OUT})


class Policy(BaseModel):
    """`policy` of a `/run` call; milliseconds, with the vendor's defaults and bounds."""

    model_config = ConfigDict(frozen=True)

    execution_timeout_ms: int = Field(
        default=600_000, ge=5_000, le=7 * 86_400_000, alias="executionTimeout"
    )
    ttl_ms: int = Field(default=86_400_000, ge=10_000, le=7 * 86_400_000, alias="ttl")
    low_priority: bool = Field(default=False, alias="lowPriority")


class RunRequest(BaseModel):
    """Body of `/run`."""

    model_config = ConfigDict(frozen=True)

    input: dict[str, JsonValue]
    webhook: Annotated[str, StringConstraints(pattern=r"^https?://")] | None = None
    policy: Policy = Policy()


class JobResult(BaseModel):
    """What the SDK posts at the end of a job, or with status IN_PROGRESS on the way.

    An `error` that is not a string becomes COMPLETED without output, as users report.
    """

    model_config = ConfigDict(frozen=True)

    status: str | None = None
    output: JsonValue = None
    error: JsonValue = None


@dataclass
class Job:
    """One job; times are seconds of one monotonic clock."""

    id: str
    request: RunRequest
    submitted_s: float
    status: JobStatus = JobStatus.IN_QUEUE
    worker: str | None = None
    started_s: float | None = None
    ended_s: float | None = None
    output: JsonValue = None
    error: str | None = None
    losses: int = 0

    def view(self, now_s: float) -> dict[str, JsonValue]:
        """The answer of `/status`."""
        fields: dict[str, JsonValue] = {"id": self.id, "status": self.status.value}
        if self.started_s is not None:
            fields["delayTime"] = _ms(self.started_s - self.submitted_s)
            if self.status in FINAL:
                fields["executionTime"] = _ms((self.ended_s or now_s) - self.started_s)
        optional = {"workerId": self.worker, "output": self.output, "error": self.error}
        return fields | {name: value for name, value in optional.items() if value is not None}

    def webhook_body(self, now_s: float) -> dict[str, JsonValue]:
        """The native webhook's body, as captured: input and the URL itself come back in it, and a
        timed-out job is called FAILED."""
        body = {"delayTime": 0, "executionTime": 0} | self.view(now_s)
        body.pop("workerId", None)
        if self.status is JobStatus.TIMED_OUT:
            body["status"] = JobStatus.FAILED.value
        return body | {"input": self.request.input, "webhook": self.request.webhook}


@dataclass(frozen=True)
class QueueLimits:
    """Times after which the queue acts on its own."""

    retention_s: float = 30 * 60
    """How long results of `/run` are kept."""
    worker_silence_s: float = 10
    """A worker that neither pings nor polls for so long is taken for dead."""
    losses_per_job: int = 2
    """A job whose worker was lost goes back to the queue so often, then it is FAILED."""


@dataclass
class JobQueue:
    """All jobs of one endpoint and the workers seen."""

    limits: QueueLimits = QueueLimits()
    _jobs: dict[str, Job] = field(default_factory=dict)
    _waiting: deque[str] = field(default_factory=deque)
    _seen_s: dict[str, float] = field(default_factory=dict)
    _stops: dict[str, list[str]] = field(default_factory=dict)
    _lost: int = 0

    def submit(self, request: RunRequest, now_s: float) -> Job:
        """Queues a job. There is no idempotency key: the same request twice makes two jobs."""
        job = Job(f"{uuid.uuid4()}-u1", request, now_s)
        self._jobs[job.id] = job
        self._waiting.append(job.id)
        return job

    def find(self, job_id: str) -> Job | None:
        """The job; None when there is none, or it expired."""
        return self._jobs.get(job_id)

    def forget(self, job_id: str) -> None:
        """Loses a job, as the vendor can: from now on there is none, and its report is too late."""
        self._jobs.pop(job_id, None)

    def seen(self, worker: str, now_s: float) -> None:
        """Notes a sign of life."""
        self._seen_s[worker] = now_s

    def take(self, worker: str, count: int, now_s: float) -> list[Job]:
        """Up to `count` waiting jobs, oldest first, now in progress on `worker`."""
        self.seen(worker, now_s)
        taken: list[Job] = []
        while self._waiting and len(taken) < count:
            job = self._jobs.get(self._waiting.popleft())
            if job is not None and job.status is JobStatus.IN_QUEUE:
                job.status, job.worker, job.started_s = JobStatus.IN_PROGRESS, worker, now_s
                taken.append(job)
        return taken

    def give_back(self, jobs: list[Job]) -> None:
        """Returns jobs to the front of the queue: the answer that carried them was never read."""
        for job in reversed(jobs):
            job.status, job.worker, job.started_s = JobStatus.IN_QUEUE, None, None
            self._waiting.appendleft(job.id)

    def report(self, worker: str, job_id: str, result: JobResult, now_s: float) -> Job | None:
        """Takes a progress or final report; the job when that ended it.

        A report on a job that ended, or that another worker has by now, changes nothing. (What the
        vendor does with one is not documented.)
        """
        job = self._jobs.get(job_id)
        if job is None or job.worker != worker or job.status is not JobStatus.IN_PROGRESS:
            return None
        if result.status == JobStatus.IN_PROGRESS:
            job.output = result.output
            return None
        job.output = result.output
        if isinstance(result.error, str) and result.error:
            return self._end(job, JobStatus.FAILED, now_s, result.error)
        return self._end(job, JobStatus.COMPLETED, now_s)

    def cancel(self, job: Job, now_s: float) -> None:
        """Cancels what has not ended; the worker learns of it on its stop channel."""
        if job.status not in FINAL:
            self._stop(job)
            self._end(job, JobStatus.CANCELLED, now_s)

    def retry(self, job: Job) -> bool:
        """Queues a failed or timed-out job again, under its id; False for any other."""
        if job.status not in (JobStatus.FAILED, JobStatus.TIMED_OUT):
            return False
        job.status, job.output, job.error = JobStatus.IN_QUEUE, None, None
        job.worker = job.started_s = job.ended_s = None
        self._waiting.append(job.id)
        return True

    def stops(self, worker: str) -> list[str]:
        """The jobs that `worker` must stop, each told once."""
        return self._stops.pop(worker, [])

    def tick(self, now_s: float) -> list[Job]:
        """Applies every limit of time; returns the jobs that this ended."""
        ended: list[Job] = []
        for job in list(self._jobs.values()):
            if self._expired(job, now_s):
                self._stop(job)
                del self._jobs[job.id]
            elif job.status is JobStatus.IN_PROGRESS:
                ended += self._watch(job, now_s)
        return ended

    def health(self, now_s: float) -> dict[str, JsonValue]:
        """The answer of `/health`."""
        of = [job.status for job in self._jobs.values()]
        alive = {worker for worker in self._seen_s if not self._silent(worker, now_s)}
        busy = {job.worker for job in self._jobs.values() if job.status is JobStatus.IN_PROGRESS}
        jobs: dict[str, JsonValue] = {
            "completed": of.count(JobStatus.COMPLETED),
            "failed": of.count(JobStatus.FAILED) + of.count(JobStatus.TIMED_OUT),
            "inProgress": of.count(JobStatus.IN_PROGRESS),
            "inQueue": of.count(JobStatus.IN_QUEUE),
            "retried": self._lost,
        }
        return {
            "jobs": jobs,
            "workers": {"idle": len(alive - busy), "running": len(alive & busy)},
        }

    def _watch(self, job: Job, now_s: float) -> list[Job]:
        started_s = job.started_s or now_s
        if (now_s - started_s) * 1000 >= job.request.policy.execution_timeout_ms:
            self._stop(job)
            return [self._end(job, JobStatus.TIMED_OUT, now_s, EXECUTION_TIMEOUT_MESSAGE)]
        if job.worker is None or not self._silent(job.worker, now_s):
            return []
        job.losses += 1
        if job.losses > self.limits.losses_per_job:
            return [self._end(job, JobStatus.FAILED, now_s, LOST_MESSAGE)]
        self._lost += 1
        job.output = None
        self.give_back([job])
        return []

    def _expired(self, job: Job, now_s: float) -> bool:
        """Past its ttl, which counts from submission and spares no running job; or its result was
        kept long enough."""
        if (now_s - job.submitted_s) * 1000 >= job.request.policy.ttl_ms:
            return True
        return job.ended_s is not None and now_s - job.ended_s >= self.limits.retention_s

    def _silent(self, worker: str, now_s: float) -> bool:
        return now_s - self._seen_s.get(worker, 0) >= self.limits.worker_silence_s

    def _stop(self, job: Job) -> None:
        if job.status is JobStatus.IN_PROGRESS and job.worker is not None:
            self._stops.setdefault(job.worker, []).append(job.id)

    def _end(self, job: Job, status: JobStatus, now_s: float, error: str | None = None) -> Job:
        job.status, job.error, job.ended_s = status, error, now_s
        return job


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
