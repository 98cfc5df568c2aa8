"""The RunPod stand-in that does to its jobs what a seed says (`demo --chaos SEED`).

    export CHAOS_SEED=7 …   # and what the stand-in itself needs
    python -m infra.embedded.runpod_chaotic

Workers' callbacks pass through it as well: the job that a worker gets names this process as its
receiver. `GET /v2/{endpoint}/chaos` (Bearer key) tells the seed, what was done how often, and the
most jobs that any attempt had.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from pydantic import BaseModel, JsonValue, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from infra.embedded.runpod_chaos import CallbackPlan, ChaosPlan, Fault, JobPlan
from infra.embedded.runpod_queue import FINAL, Job, RunRequest
from infra.embedded.runpod_relay import Callback, CallbackRelay
from infra.embedded.runpod_stand_in import (
    MAX_BODY_BYTES,
    StandIn,
    StandInSettings,
    accepted,
    behind_key,
    no_such_job,
    problem,
    read_body,
    serve,
)

log = logging.getLogger("runpod-stand-in")


class BrokenAnswer(Response):
    """An answer that breaks off after its head: the server closes the connection."""

    async def __call__(
        self,
        scope: Scope,  # noqa: ARG002 - as ASGI calls it
        receive: Receive,  # noqa: ARG002
        send: Send,
    ) -> None:
        head = [(b"content-length", b"64"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": head})


@dataclass
class _Attempt:
    """What was asked for under one attempt id."""

    number: int
    jobs: int = 0
    refused: int = 0
    """Calls of `/run` that were refused since a job was accepted last."""


@dataclass
class _Tracked:
    """An accepted job and how far its plan has come."""

    attempt: int
    number: int
    plan: JobPlan
    status_calls: int = 0
    result_posts: int = 0
    doubled: bool = False
    messages: dict[str, list[str]] = field(default_factory=dict)
    """Ids of callbacks by what they report, in order of arrival."""
    tries: Counter[str] = field(default_factory=Counter)

    def next_status_fault(self) -> int | Fault | None:
        self.status_calls += 1
        faults = self.plan.status_faults
        return faults[self.status_calls - 1] if self.status_calls <= len(faults) else None

    def place_of(self, report: str, message_id: str) -> int:
        ids = self.messages.setdefault(report, [])
        if message_id not in ids:
            ids.append(message_id)
        return ids.index(message_id)


class _Report(BaseModel):
    """All that is read of a callback."""

    status: str = ""


class ChaoticStandIn(StandIn):
    """A stand-in with a plan of what goes wrong."""

    def __init__(self, settings: StandInSettings, plan: ChaosPlan) -> None:
        super().__init__(settings)
        self._plan = plan
        self._attempts: dict[str, _Attempt] = {}
        self._tracked: dict[str, _Tracked] = {}
        self._receivers: dict[str, str] = {}
        self._doubles: list[tuple[Job, str]] = []
        self._done: Counter[Fault] = Counter()
        self._relay = CallbackRelay()

    def routes(self) -> list[Route]:
        base, bearer = f"/v2/{self.settings.endpoint_id}", f"Bearer {self.settings.api_key}"
        told = behind_key(base, "GET", "/chaos", self.tell, bearer)
        # Without a key, as the receiver it stands for: callbacks are signed.
        relay = Route("/callback/{job_id}", self.callback, methods=["POST"])
        return [*super().routes(), told, relay]

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        async with self._relay, super().lifespan(app):
            yield

    async def tell(self, _request: Request) -> Response:
        faults = {fault.value: self._done[fault] for fault in Fault}
        most_jobs = max((attempt.jobs for attempt in self._attempts.values()), default=0)
        return JSONResponse({"seed": self._plan.seed, "mostJobs": most_jobs, "faults": faults})

    async def accept(self, wanted: RunRequest) -> Response:
        key = wanted.input.get("attemptId")
        number = len(self._attempts)
        attempt = self._attempts.setdefault(str(key or number), _Attempt(number))
        plan = self._plan.job(attempt.number, attempt.jobs)
        if attempt.refused < len(plan.refusals):
            attempt.refused += 1
            self._note(Fault.RUN_REFUSED, attempt.number)
            return problem(plan.refusals[attempt.refused - 1], "chaos")
        tracked = _Tracked(attempt.number, attempt.jobs, plan)
        attempt.jobs, attempt.refused = attempt.jobs + 1, 0
        return await self._answer(await self._queue(wanted, tracked), tracked)

    async def _queue(self, wanted: RunRequest, tracked: _Tracked) -> Job:
        job = self.queue.submit(wanted, time.monotonic())
        self._tracked[job.id] = tracked
        if tracked.plan.loss is Fault.JOB_VANISHED:
            self._lose(job, Fault.JOB_VANISHED)
        await self.wake()
        return job

    async def _answer(self, job: Job, tracked: _Tracked) -> Response:
        if tracked.plan.early_webhook:
            self._note(Fault.WEBHOOK_EARLY, tracked.attempt)
            await self.webhooks.foretell(job)
        if tracked.plan.answer is None:
            return accepted(job)
        self._note(tracked.plan.answer, tracked.attempt)
        if tracked.plan.answer is Fault.RUN_DROPPED:
            return BrokenAnswer()
        await asyncio.sleep(tracked.plan.delay_s)
        return accepted(job)

    async def status(self, request: Request) -> Response:
        tracked = self._tracked.get(request.path_params["job_id"])
        fault = tracked.next_status_fault() if tracked else None
        if tracked is None or fault is None:
            return await super().status(request)
        kind = Fault.STATUS_REFUSED if isinstance(fault, int) else fault
        self._note(kind, tracked.attempt)
        if isinstance(fault, int):
            return problem(fault, "chaos")
        if fault is Fault.STATUS_UNKNOWN:
            return no_such_job()
        await asyncio.sleep(tracked.plan.delay_s)
        return await super().status(request)

    def take(self, worker: str, count: int) -> list[Job]:
        double = self._double_for(worker)
        jobs = [double] if double else super().take(worker, count)
        for job in jobs:
            self._taken(job, worker)
        return jobs

    def _taken(self, job: Job, worker: str) -> None:
        tracked = self._tracked[job.id]
        if tracked.plan.doubled and not tracked.doubled:
            tracked.doubled = True
            self._doubles.append((job, worker))
        if tracked.plan.loss is Fault.JOB_FORGOTTEN and self.queue.find(job.id):
            self._lose(job, Fault.JOB_FORGOTTEN)

    def _double_for(self, worker: str) -> Job | None:
        """A job for the second time: to another worker, or to the same after it ended."""
        for place, (job, first) in enumerate(self._doubles):
            if worker != first or job.status in FINAL:
                del self._doubles[place]
                self._note(Fault.JOB_DOUBLED, self._tracked[job.id].attempt)
                return job
        return None

    def for_worker(self, job: Job) -> dict[str, JsonValue]:
        receiver = job.request.input.get("webhookUrl")
        if not isinstance(receiver, str):
            return super().for_worker(job)
        self._receivers[job.id] = receiver
        relay = f"http://127.0.0.1:{self.settings.port}/callback/{job.id}"
        return super().for_worker(job) | {"input": job.request.input | {"webhookUrl": relay}}

    async def job_done(self, request: Request) -> Response:
        tracked = self._tracked.get(request.path_params["job_id"])
        if tracked and tracked.result_posts < tracked.plan.result_refusals:
            tracked.result_posts += 1
            self._note(Fault.RESULT_REFUSED, tracked.attempt)
            return problem(500, "chaos")
        return await super().job_done(request)

    def announce(self, job: Job) -> None:
        tracked = self._tracked[job.id]
        if tracked.plan.webhook_fault and self.webhooks.announces(job):
            self._note(tracked.plan.webhook_fault, tracked.attempt)
        self.webhooks.announce(job, tracked.plan.webhooks)

    async def callback(self, request: Request) -> Response:
        job_id = request.path_params["job_id"]
        tracked, receiver = self._tracked.get(job_id), self._receivers.get(job_id)
        if tracked is None or receiver is None:
            return no_such_job()
        body = await read_body(request)
        if body is None:
            return problem(413, f"the callback is over {MAX_BODY_BYTES} bytes")
        return await self._relayed(tracked, Callback.of(request, receiver, body))

    async def _relayed(self, tracked: _Tracked, callback: Callback) -> Response:
        report = _report(callback.body)
        place = tracked.place_of(report, callback.message_id)
        plan = self._plan.callback(tracked.attempt, tracked.number, report, place)
        tried = tracked.tries[callback.message_id]
        tracked.tries[callback.message_id] += 1
        if tried > len(plan.refusals):  # The second worker of a doubled job says the same.
            return Response(status_code=await self._relay.pass_on(callback))
        if tried == len(plan.refusals):
            return await self._deliver(tracked, plan, callback)
        self._note(Fault.CALLBACK_REFUSED, tracked.attempt)
        if plan.refusals[tried]:
            await self._relay.pass_on(callback)
        return problem(500, "chaos")

    async def _deliver(self, tracked: _Tracked, plan: CallbackPlan, callback: Callback) -> Response:
        if plan.delivery_fault:
            self._note(plan.delivery_fault, tracked.attempt)
        self._relay.pass_on_later(callback, [after_s for after_s in plan.deliveries if after_s])
        if 0.0 in plan.deliveries:
            return Response(status_code=await self._relay.pass_on(callback))
        return JSONResponse({})

    def _lose(self, job: Job, fault: Fault) -> None:
        self.queue.forget(job.id)
        self._note(fault, self._tracked[job.id].attempt)

    def _note(self, fault: Fault, attempt: int) -> None:
        self._done[fault] += 1
        log.info("chaos: %s, attempt number %d", fault, attempt)


def _report(body: bytes) -> str:
    try:
        return _Report.model_validate_json(body).status
    except ValidationError:
        return ""


if __name__ == "__main__":
    plan = ChaosPlan.from_environ(os.environ)
    serve(ChaoticStandIn(StandInSettings.from_environ(os.environ), plan))
