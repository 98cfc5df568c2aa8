"""A stand-in with a plan of faults, in a process of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from infra.embedded.runpod_chaos import ChaosPlan, Fault
from infra.embedded.runpod_local import RunpodEndpoint, start_runpod_stand_in, start_worker
from infra.embedded.supervisor import Supervisor
from tests.infra.embedded.processes import SDK_WORKER

KEY = "rpa_key"
DELAY_S = 3.0
ATTEMPT = {"attemptId": "first"}
QUICK = {"RUNPOD_STAND_IN_HOLD_S": "0.2", "RUNPOD_STAND_IN_WEBHOOK_RETRY_S": "0.2"}


def plan_with(kind: Fault, fits: Callable[[ChaosPlan], object]) -> ChaosPlan:
    """A plan of nothing but `kind`, by the first seed that does what is wanted."""
    plans = (ChaosPlan(seed, DELAY_S, frozenset({kind})) for seed in range(10_000))
    return next(plan for plan in plans if fits(plan))


class Endpoint:
    """A stand-in with a plan, and what the service and a worker ask of it."""

    def __init__(self, supervisor: Supervisor, endpoint: RunpodEndpoint) -> None:
        self.supervisor, self.endpoint = supervisor, endpoint
        self.base = f"{endpoint.base_url}/v2/{endpoint.endpoint_id}"
        self.http = httpx.AsyncClient(timeout=10, trust_env=False)
        self.bearer = {"authorization": f"Bearer {KEY}"}

    async def run(self, webhook: str | None = None, **wanted: str) -> httpx.Response:
        body = {"input": ATTEMPT | wanted, "webhook": webhook}
        return await self.http.post(f"{self.base}/run", json=body, headers=self.bearer)

    async def queued(self, webhook: str | None = None, **wanted: str) -> str:
        answer = await self.run(webhook, **wanted)
        assert answer.status_code == 200
        return str(answer.json()["id"])

    async def status(self, job_id: str) -> httpx.Response:
        return await self.http.get(f"{self.base}/status/{job_id}", headers=self.bearer)

    async def done(self, fault: Fault) -> int:
        answer = await self.http.get(f"{self.base}/chaos", headers=self.bearer)
        return int(answer.json()["faults"][fault])

    async def take(self, worker: str = "w1") -> dict[str, Any] | None:
        url = f"{self.base}/job-take/{worker}?gpu=x"
        answer = await self.http.get(url, headers={"authorization": KEY})
        return None if answer.status_code == 204 else dict(answer.json())

    async def finish(self, job_id: str, worker: str = "w1") -> httpx.Response:
        url = f"{self.base}/job-done/{worker}/{job_id}?gpu=x"
        return await self.http.post(url, json={"output": {}}, headers={"authorization": KEY})

    async def work(self, count: int) -> None:
        for number in range(1, count + 1):
            await start_worker(self.supervisor, self.endpoint, f"w-{number}", {}, SDK_WORKER)


@asynccontextmanager
async def endpoint_with(folder: Path, plan: ChaosPlan) -> AsyncIterator[Endpoint]:
    async with Supervisor(folder) as supervisor:
        found = await start_runpod_stand_in(supervisor, KEY, QUICK, plan)
        endpoint = Endpoint(supervisor, found)
        yield endpoint
        await endpoint.http.aclose()
