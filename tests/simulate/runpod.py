"""RunPod: its queue, machines, HTTP API and webhooks, as its documentation has them."""

import asyncio
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx

from gpu_worker.handler import Worker
from tests.simulate.faults import Line
from tests.simulate.processes import Host, Life, now_s
from tests.simulate.worker import machine_worker

if TYPE_CHECKING:
    from tests.simulate.world import World

RESULT_KEPT_S = 30 * 60.0
WEBHOOK_TRIES = 3
WEBHOOK_PAUSE_S = 10.0
ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"})


@dataclass(eq=False, slots=True)
class Job:
    """A job as RunPod has it."""

    job_id: str
    input: dict[str, Any]
    webhook: str
    execution_timeout_s: float
    gone_at_s: float
    ended_in_storm: bool = False
    status: str = "IN_QUEUE"
    output: Any = None
    error: str | None = None
    runs: list[Life] = field(default_factory=list)

    @property
    def about(self) -> tuple[str, int]:
        return self.input["mediaId"], self.input["attempt"]

    def document(self) -> dict[str, Any]:
        """What `/status` answers."""
        told = {"id": self.job_id, "status": self.status, "delayTime": 1}
        if self.output is not None:
            told["output"] = self.output
        if self.error is not None:
            told["error"] = self.error
        return told


@dataclass(slots=True)
class Runpod:
    """The endpoint. Weather and tests set what it does wrong."""

    world: "World"
    machines: int = 2
    refusals: list[int] = field(default_factory=list)
    """Statuses that it answers calls of /run with, one each, before it takes one."""
    key_refused: bool = False
    cold_start_s: float = 5.0
    jobs: dict[str, Job] = field(default_factory=dict)
    queue: list[Job] = field(default_factory=list)
    busy: int = 0
    calls: list[tuple[str, int, bool]] = field(default_factory=list)
    """Every call of /run that arrived: media, attempt, and whether it queued a job."""
    life: Life = field(default_factory=lambda: Life(Host("runpod")))

    def run(self, body: dict[str, Any]) -> Job:
        """Queue a job."""
        job_id = f"{self.world.chance.getrandbits(48):012x}-u1"
        policy = body["policy"]
        job = Job(
            job_id,
            json.loads(json.dumps(body["input"])),
            body["webhook"],
            policy["executionTimeout"] / 1000,
            now_s() + policy["ttl"] / 1000,
        )
        self.jobs[job_id] = job
        self.world.watch.job_queued(job)
        self.queue.append(job)
        self._assign()
        asyncio.get_running_loop().call_at(job.gone_at_s, self.find, job_id)
        return job

    def find(self, job_id: str) -> Job | None:
        """The job, unless its time or its result's is over."""
        job = self.jobs.get(job_id)
        if job is not None and now_s() >= job.gone_at_s:
            self.lose(job)
            return None
        return job

    def lose(self, job: Job) -> None:
        """Forget a job, whatever it is doing: the queue lost it, or its ttl is over."""
        self.world.note("runpod", f"{job.job_id} is gone ({job.status})")
        self.jobs.pop(job.job_id, None)
        # Maybe nobody has heard its end, or everybody crashed upon it until its time was over.
        if job.status not in ENDED or now_s() < job.gone_at_s or self._unheard(job):
            self.world.excuse(*job.about, "lost")
        if job.status not in ENDED:
            job.status = "LOST"
        for life in job.runs:
            life.end()
        if job in self.queue:
            self.queue.remove(job)

    def _unheard(self, job: Job) -> bool:
        """Whether its end came in bad weather, and its attempt knows nothing of it yet."""
        media_id, attempt = job.about
        item = self.world.item(UUID(media_id))
        return job.ended_in_storm and item is not None and item.runs(attempt)

    def cancel(self, job: Job) -> None:
        """Stop a job. Its handler sees the cancellation, and has a moment to tidy up."""
        if job.status in ENDED:
            return
        self.world.note("runpod", f"{job.job_id} is cancelled")
        job.status = "CANCELLED"
        if job in self.queue:
            self.queue.remove(job)
        for life in job.runs:
            for task in list(life.tasks):
                task.cancel()

    def _assign(self) -> None:
        while self.queue and self.busy < self.machines:
            self.begin(self.queue.pop(0))

    def begin(self, job: Job) -> None:
        """Give a job to a machine."""
        self.busy += 1
        self.life.start(self._on_machine(job))

    async def _on_machine(self, job: Job) -> None:
        world = self.world
        await asyncio.sleep(world.chance.uniform(0.2, 1) * self.cold_start_s)
        life = Life(world.host(f"gpu-{len(world.hosts)}"), job.about)
        try:
            if job.status in {"IN_QUEUE", "IN_PROGRESS"}:
                job.status = "IN_PROGRESS"
                job.runs.append(life)
                world.note("runpod", f"{job.job_id} begins on {life.host.name}")
                await self._handle(job, life, machine_worker(world, life))
        finally:
            self.busy -= 1
            life.over = True
            self._assign()

    async def _handle(self, job: Job, life: Life, worker: Worker) -> None:
        handler = life.start(worker.handle({"id": job.job_id, "input": job.input}))
        self.world.weather.over_a_run(job, life)
        await asyncio.wait((handler,), timeout=job.execution_timeout_s)
        if not handler.done():
            life.end()
            self._end(job, "FAILED", error="executionTimeout exceeded")
            self.world.excuse(*job.about, "overtime")
        elif handler.cancelled() or life.over:
            self._machine_died(job)
        else:
            result = handler.result()
            if self.world.chance.happens(self.world.weather.result_lost):
                self.world.count("runpod: result dropped")
                self.world.excuse(*job.about, "overtime")
                self.life.start(self._overtime(job))
                return
            status = "FAILED" if "error" in result else "COMPLETED"
            self._end(job, status, result if status == "COMPLETED" else None, result.get("error"))

    async def _overtime(self, job: Job) -> None:
        await asyncio.sleep(job.execution_timeout_s)
        self._end(job, "FAILED", error="executionTimeout exceeded")

    def _machine_died(self, job: Job) -> None:
        if job.status in {"CANCELLED", "LOST"}:
            return
        self.world.excuse(*job.about, "lost")
        match self.world.weather.after_a_death():
            case "requeued":
                self.world.count("runpod: job queued again")
                job.status = "IN_QUEUE"
                self.queue.append(job)
            case "stuck":
                self.world.count("runpod: job stuck")
                self.world.excuse(*job.about, "overtime")
                self.life.start(self._overtime(job))
            case "forgotten":
                self.world.count("runpod: job lost")
                self.lose(job)
            case _:
                self._end(job, "FAILED", error="worker exited with exit code 137")

    def _end(self, job: Job, status: str, output: Any = None, error: str | None = None) -> None:
        if job.status in ENDED or job.status == "LOST":
            return
        self.world.note("runpod", f"{job.job_id} is {status} {error or output}")
        job.status, job.output, job.error = status, output, error
        job.ended_in_storm = not self.world.weather.healed
        job.gone_at_s = min(job.gone_at_s, now_s() + RESULT_KEPT_S)
        self.life.start(self._post(job))

    async def _post(self, job: Job) -> None:
        """The native webhook. It comes from whatever machine RunPod posts from."""
        token = job.webhook.rpartition("/")[2]
        told = {**job.document(), "input": job.input, "webhook": job.webhook}
        body = json.dumps(told).encode()
        self.world.captured.append((token, body))
        for _ in range(WEBHOOK_TRIES):
            answer = await self.world.network.post("native", token, body, 10.0)
            if answer is not None and answer.status == 200:
                return
            await asyncio.sleep(WEBHOOK_PAUSE_S)
        self.world.count("F13: native webhook never came")


class ApiClient:
    """A process's connection to RunPod's API, in httpx's form."""

    def __init__(self, world: "World", line: Line, life: Life) -> None:
        self._world, self._line, self._life = world, line, life

    async def request(self, method: str, url: str, json: Any = None) -> Any:
        def act() -> tuple[int, Any]:
            return self._answer(url.split("/", 3)[3], json)

        status, document = await self._line.call(
            self._life,
            f"{method} {url.split('/')[3]}",
            act,
            lambda: httpx.ReadTimeout("no answer"),
            lambda: httpx.ConnectError("nobody there"),
        )
        content = b"" if document is None else _dumps(document)
        headers = {"retry-after": "7"} if status == 429 else {}
        return SimpleNamespace(status_code=status, headers=headers, content=content)

    def _answer(self, path: str, body: Any) -> tuple[int, Any]:
        runpod = self._world.runpod
        if runpod.key_refused:
            if path == "run":
                self._world.excuse(body["input"]["mediaId"], body["input"]["attempt"], "refused")
            return 401, None
        if path == "health":
            return 200, {}
        if path == "run":
            return self._run(body)
        job = runpod.find(path.partition("/")[2])
        if job is None:
            return 404, None
        if path.startswith("cancel/"):
            runpod.cancel(job)
        return 200, job.document()

    def _run(self, body: dict[str, Any]) -> tuple[int, Any]:
        runpod, about = self._world.runpod, (body["input"]["mediaId"], body["input"]["attempt"])
        self._world.secret(body["webhook"].rpartition("/")[2])
        if runpod.refusals:
            status = runpod.refusals.pop(0)
            self._world.count(f"runpod: answers {status}")
            self._world.note("runpod", f"/run of {about} is answered {status}")
            if status == 504 and self._world.chance.happens(0.5):
                runpod.run(body)
                return status, None
            if status == 400:
                self._world.excuse(*about, "refused")
            runpod.calls.append((*about, status == 504))
            return status, None
        return 200, {"id": runpod.run(body).job_id, "status": "IN_QUEUE"}


def _dumps(document: Any) -> bytes:
    return json.dumps(document).encode()
