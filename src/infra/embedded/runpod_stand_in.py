"""RunPod on one machine: its control API and what its worker SDK talks to, over HTTP.

    export RUNPOD_API_KEY=… RUNPOD_ENDPOINT_ID=… RUNPOD_STAND_IN_PORT=…
    python -m infra.embedded.runpod_stand_in

The control API is `/v2/{endpoint}/run|status|cancel|retry|health` (Bearer key). The SDK, 1.10, has
no documented protocol; paths and bodies are its source's. Jobs are in memory: a restart loses them.
"""

import asyncio
import contextlib
import hmac
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import uvicorn
from pydantic import JsonValue, ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.embedded.runpod_queue import Job, JobQueue, JobResult, QueueLimits, RunRequest
from infra.embedded.runpod_webhooks import NativeWebhooks

log = logging.getLogger("runpod-stand-in")

MAX_BODY_BYTES = 10 * 1024 * 1024
"""The documented limit of `/run`; its status code is not documented, 400 is."""
TICK_S = 0.25
DISCONNECT_POLL_S = 0.5
NO_JOB = 204

Item = TypeVar("Item")
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class StandInSettings:
    """What the process is told; times in seconds."""

    api_key: str
    endpoint_id: str
    port: int
    hold_s: float = 5.0
    """How long a worker's poll is kept open when there is nothing to say."""
    webhook_retry_s: float = 10.0
    limits: QueueLimits = field(default_factory=QueueLimits)
    host: str = "127.0.0.1"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "StandInSettings":
        """Settings from variables; KeyError or ValueError when one is missing or no number."""
        defaults = QueueLimits()
        seconds = {
            name: float(environ.get(f"RUNPOD_STAND_IN_{name.upper()}", default))
            for name, default in {
                "hold_s": cls.hold_s,
                "webhook_retry_s": cls.webhook_retry_s,
                "retention_s": defaults.retention_s,
                "worker_silence_s": defaults.worker_silence_s,
            }.items()
        }
        return cls(
            api_key=environ["RUNPOD_API_KEY"],
            endpoint_id=environ["RUNPOD_ENDPOINT_ID"],
            port=int(environ["RUNPOD_STAND_IN_PORT"]),
            limits=QueueLimits(seconds.pop("retention_s"), seconds.pop("worker_silence_s")),
            host=environ.get("RUNPOD_STAND_IN_HOST", cls.host),
            **seconds,
        )


class StandIn:
    """The HTTP side of a :class:`JobQueue`."""

    def __init__(self, settings: StandInSettings) -> None:
        self.settings = settings
        self.queue = JobQueue(settings.limits)
        self._changed = asyncio.Condition()
        self.webhooks = NativeWebhooks(settings.webhook_retry_s)

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(routes=self.routes(), lifespan=self.lifespan)

    def routes(self) -> list[Route]:
        """Every call, behind a check of its key."""
        base = f"/v2/{self.settings.endpoint_id}"
        control: list[tuple[str, str, Handler]] = [
            ("POST", "/run", self.run),
            ("GET", "/status/{job_id}", self.status),
            ("POST", "/cancel/{job_id}", self.cancel),
            ("POST", "/retry/{job_id}", self.retry),
            ("GET", "/health", self.health),
        ]
        worker: list[tuple[str, str, Handler]] = [
            ("GET", "/job-take/{worker}", self.job_take),
            ("GET", "/job-take-batch/{worker}", self.job_take),
            ("GET", "/job-stop/{worker}", self.job_stop),
            ("POST", "/job-done/{worker}/{job_id}", self.job_done),
            ("GET", "/ping/{worker}", self.ping),
        ]
        # Control calls carry "Bearer KEY"; the SDK sends the bare key.
        bearer, bare = f"Bearer {self.settings.api_key}", self.settings.api_key
        routes = [behind_key(base, *call, bearer) for call in control]
        return routes + [behind_key(base, *call, bare) for call in worker]

    async def run(self, request: Request) -> Response:
        body = await read_body(request)
        if body is None:
            return problem(400, f"the payload is over {MAX_BODY_BYTES} bytes")
        try:
            wanted = RunRequest.model_validate_json(body)
        except ValidationError as error:
            return problem(400, _first_fault(error))
        return await self.accept(wanted)

    async def accept(self, wanted: RunRequest) -> Response:
        """Queues a job and answers with its id."""
        job = self.queue.submit(wanted, time.monotonic())
        await self.wake()
        return accepted(job)

    async def status(self, request: Request) -> Response:
        job = self._find(request)
        return JSONResponse(job.view(time.monotonic())) if job else no_such_job()

    async def cancel(self, request: Request) -> Response:
        job = self._find(request)
        if job is None:
            return no_such_job()
        self.queue.cancel(job, time.monotonic())
        await self.wake()
        return accepted(job)

    async def retry(self, request: Request) -> Response:
        job = self._find(request)
        if job is None:
            return no_such_job()
        if not self.queue.retry(job):
            return problem(400, "only a failed or timed-out job can be retried")
        await self.wake()
        return accepted(job)

    async def health(self, _request: Request) -> Response:
        return JSONResponse(self.queue.health(time.monotonic()))

    async def job_take(self, request: Request) -> Response:
        worker = request.path_params["worker"]
        batch = request.query_params.get("batch_size")
        count = int(batch) if batch and batch.isdigit() else 1
        jobs = await self._hold(request, lambda: self.take(worker, count))
        if not jobs:
            return Response(status_code=NO_JOB)
        if await request.is_disconnected():
            self.queue.give_back(jobs)
            return Response(status_code=NO_JOB)
        log.info("%s takes %s", worker, ", ".join(job.id for job in jobs))
        views = list(map(self.for_worker, jobs))
        return JSONResponse(views if batch else views[0])

    def take(self, worker: str, count: int) -> list[Job]:
        """What `worker` gets to do now, at most `count` jobs."""
        return self.queue.take(worker, count, time.monotonic())

    def for_worker(self, job: Job) -> dict[str, JsonValue]:
        """A job as its worker gets it."""
        fields: dict[str, JsonValue] = {"id": job.id, "input": job.request.input}
        return fields | ({"webhook": job.request.webhook} if job.request.webhook else {})

    async def job_stop(self, request: Request) -> Response:
        worker = request.path_params["worker"]
        stops = await self._hold(request, lambda: self.queue.stops(worker))
        return JSONResponse({"jobsToStop": stops}) if stops else Response(status_code=NO_JOB)

    async def job_done(self, request: Request) -> Response:
        body = await read_body(request)
        if body is None:
            return problem(400, f"the result is over {MAX_BODY_BYTES} bytes")
        worker, job_id = request.path_params["worker"], request.path_params["job_id"]
        self.queue.seen(worker, time.monotonic())
        try:
            result = JobResult.model_validate_json(body)
        except ValidationError as error:
            return problem(400, _first_fault(error))
        ended = self.queue.report(worker, job_id, result, time.monotonic())
        if ended is not None:
            self.announce(ended)
        return JSONResponse({})

    async def ping(self, request: Request) -> Response:
        self.queue.seen(request.path_params["worker"], time.monotonic())
        return JSONResponse({})

    def announce(self, job: Job) -> None:
        """Tells the service that `job` ended."""
        self.webhooks.announce(job)

    def _find(self, request: Request) -> Job | None:
        return self.queue.find(request.path_params["job_id"])

    async def _hold(self, request: Request, take: Callable[[], list[Item]]) -> list[Item]:
        """What `take` gives, as soon as it gives something and for `hold_s` at most."""
        worker = request.path_params["worker"]
        deadline = time.monotonic() + self.settings.hold_s
        while True:
            self.queue.seen(worker, time.monotonic())
            left_s = deadline - time.monotonic()
            if (found := take()) or left_s <= 0 or await request.is_disconnected():
                return found
            async with self._changed:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), min(left_s, DISCONNECT_POLL_S))

    async def wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with self.webhooks:
            ticking = asyncio.create_task(self._tick(), name="tick")
            yield
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            for job in self.queue.tick(time.monotonic()):
                self.announce(job)
            await self.wake()
            await asyncio.sleep(TICK_S)


def behind_key(base: str, method: str, path: str, handler: Handler, authorization: str) -> Route:
    """`handler` behind a check of the Authorization header."""

    async def endpoint(request: Request) -> Response:
        offered = request.headers.get("authorization", "")
        if not hmac.compare_digest(offered.encode(), authorization.encode()):
            return problem(401, "the API key is missing or wrong")
        try:
            return await handler(request)
        except ClientDisconnect:
            return Response(status_code=NO_JOB)

    return Route(base + path, endpoint, methods=[method])


async def read_body(request: Request) -> bytes | None:
    """The body; None when it is over the limit."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return body


def _first_fault(error: ValidationError) -> str:
    fault = json.loads(error.json(include_url=False, include_input=False))[0]
    return ".".join(map(str, fault["loc"])) + f": {fault['msg']}"


def accepted(job: Job) -> Response:
    """What a call is answered that queued `job`, or changed it."""
    return JSONResponse({"id": job.id, "status": job.status})


def no_such_job() -> Response:
    """What every call about an unknown job is answered."""
    return problem(404, "job not found")


def problem(status: int, error: str) -> Response:
    """An error's answer."""
    return JSONResponse({"error": error}, status)


def serve(stand_in: StandIn) -> None:
    """Serves until it is told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log URLs, and tokens in them
    uvicorn.run(
        stand_in.app(),
        host=stand_in.settings.host,
        port=stand_in.settings.port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    serve(StandIn(StandInSettings.from_environ(os.environ)))
