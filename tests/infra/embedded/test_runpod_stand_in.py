"""The RunPod stand-in over HTTP, with workers on the real SDK."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import pytest_asyncio

from infra.embedded.runpod_local import RunpodEndpoint, start_runpod_stand_in, start_worker
from infra.embedded.supervisor import Child, Supervisor
from tests.infra.embedded.processes import SDK_WORKER, eventually, running, tree
from tests.infra.embedded.receiver import Receiver

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK = {"RUNPOD_STAND_IN_WEBHOOK_RETRY_S": "0.2", "RUNPOD_STAND_IN_WORKER_SILENCE_S": "4"}


class Service:
    """What the tests do to the endpoint."""

    def __init__(self, endpoint: RunpodEndpoint, supervisor: Supervisor, worker: Child) -> None:
        self.supervisor = supervisor
        self.endpoint = endpoint
        self.worker = worker
        self.client = httpx.AsyncClient(
            base_url=f"{endpoint.base_url}/v2/{endpoint.endpoint_id}",
            headers={"authorization": f"Bearer {endpoint.api_key}"},
            timeout=10,
            trust_env=False,
        )

    async def run(self, do: str, webhook: str | None = None, **fields: str) -> str:
        answer = await self.client.post(
            "/run", json={"input": {"do": do, **fields}, "webhook": webhook}
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "IN_QUEUE"
        return str(answer.json()["id"])

    async def status(self, job_id: str) -> dict[str, Any]:
        answer = await self.client.get(f"/status/{job_id}")
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found

    async def reaches(self, job_id: str, status: str, within_s: float = 15) -> dict[str, Any]:
        async def reached() -> bool:
            return (await self.status(job_id))["status"] == status

        assert await eventually(reached, within_s), await self.status(job_id)
        return await self.status(job_id)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with Supervisor(tmp_path_factory.mktemp("runpod")) as supervisor:
        endpoint = await start_runpod_stand_in(supervisor, "rpa_key", QUICK)
        worker = await start_worker(supervisor, endpoint, "worker-1", {}, SDK_WORKER)
        service = Service(endpoint, supervisor, worker)
        yield service
        await service.client.aclose()


@pytest_asyncio.fixture(loop_scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with receiver.serving():
        yield receiver


async def test_sdk_worker_runs_a_job_and_the_webhook_has_the_captured_shape(
    service: Service, receiver: Receiver
) -> None:
    job_id = await service.run("echo", receiver.url, text="hé")
    found = await service.reaches(job_id, "COMPLETED")
    assert found["output"]["echo"] == "hé"
    assert found["output"]["worker"] == found["workerId"]
    assert found["workerId"].startswith("worker-1-")
    assert await eventually(lambda: len(receiver.bodies) == 1, 5)
    body = receiver.bodies[0]
    assert set(body) == {
        *("delayTime", "executionTime", "id", "input", "output", "status", "webhook")
    }
    assert (body["id"], body["status"]) == (job_id, "COMPLETED")
    assert body["input"] == {"do": "echo", "text": "hé"}
    assert body["webhook"] == receiver.url


@pytest.mark.parametrize("do", ["error", "raise"])
async def test_failing_handler_ends_failed_with_its_error(
    service: Service, receiver: Receiver, do: str
) -> None:
    job_id = await service.run(do, receiver.url, text="no video stream")
    assert "no video stream" in (await service.reaches(job_id, "FAILED"))["error"]
    assert await eventually(lambda: len(receiver.bodies) == 1, 5)
    assert "no video stream" in receiver.bodies[0]["error"]


async def test_progress_is_seen_while_the_job_runs(service: Service) -> None:
    job_id = await service.run("progress")

    async def has_progress() -> bool:
        return (await service.status(job_id)).get("output") == {"percent": 40}

    assert await eventually(has_progress, 10)
    assert (await service.status(job_id))["status"] == "IN_PROGRESS"
    assert (await service.reaches(job_id, "COMPLETED"))["output"] == {"percent": 100}


async def test_webhook_is_tried_three_times_and_then_dropped(
    service: Service, receiver: Receiver
) -> None:
    receiver.answers = [500, 302, 204]
    job_id = await service.run("echo", receiver.url, text="x")
    await service.reaches(job_id, "COMPLETED")
    assert await eventually(lambda: len(receiver.bodies) == 3, 5)
    await asyncio.sleep(0.5)
    assert len(receiver.bodies) == 3
    assert {body["id"] for body in receiver.bodies} == {job_id}


async def test_cancel_reaches_the_running_handler_and_the_worker_works_on(
    service: Service, tmp_path: Path
) -> None:
    job_id = await service.run("sleep", folder=str(tmp_path))
    assert await eventually((tmp_path / "child").exists, 10)
    answer = await service.client.post(f"/cancel/{job_id}")
    assert answer.json() == {"id": job_id, "status": "CANCELLED"}
    assert await eventually((tmp_path / "stopped").exists, 3)
    await service.reaches(await service.run("echo", text="next"), "COMPLETED")
    assert (await service.status(job_id))["status"] == "CANCELLED"


async def test_job_of_a_killed_worker_is_run_by_another_and_nothing_of_it_is_left(
    service: Service, tmp_path: Path
) -> None:
    job_id = await service.run("sleep", folder=str(tmp_path))
    child = tmp_path / "child"
    assert await eventually(lambda: child.exists() and child.read_text() != "", 10)
    encoder = psutil.Process(int(child.read_text()))
    child.unlink()
    tree(service.worker.pid)[0].kill()  # the worker; its tether lives, and cleans up
    assert (await service.supervisor.first_death()).name == "worker-1"
    assert running([encoder]) == []
    service.worker = await start_worker(
        service.supervisor, service.endpoint, "worker-1", {}, SDK_WORKER
    )
    assert await eventually(child.exists, 15)
    assert (await service.status(job_id))["status"] == "IN_PROGRESS"
    health = (await service.client.get("/health")).json()
    assert (health["jobs"]["retried"], health["workers"]["running"]) == (1, 1)
    await service.client.post(f"/cancel/{job_id}")
    assert await eventually((tmp_path / "stopped").exists, 3)


@pytest.mark.parametrize(
    "authorization", ["", "Bearer wrong", "rpa_key", "Bearer rpa_key2", "Bearer rpa_ké"]
)
async def test_wrong_key_is_refused(service: Service, authorization: str) -> None:
    answer = await service.client.post(
        "/run", json={"input": {}}, headers={"authorization": authorization.encode()}
    )
    assert answer.status_code == 401


async def test_malformed_and_oversized_calls_are_refused(service: Service) -> None:
    for body in (b"{", b'{"input": 1}', b'{"input": {"x": "' + b"x" * 11_000_000 + b'"}}'):
        answer = await service.client.post("/run", content=body)
        assert answer.status_code == 400
        assert answer.json()["error"]


async def test_unknown_job_is_404_on_every_call(service: Service) -> None:
    assert (await service.client.get("/status/none-u1")).status_code == 404
    assert (await service.client.post("/cancel/none-u1")).status_code == 404
    assert (await service.client.post("/retry/none-u1")).status_code == 404


async def test_waiting_job_whose_poll_was_given_up_is_not_lost(service: Service) -> None:
    bare = {"authorization": service.endpoint.api_key}
    with pytest.raises(httpx.ReadTimeout):
        await service.client.get("/job-take/gone?gpu=x", headers=bare, timeout=0.3)
    await service.reaches(await service.run("echo", text="kept"), "COMPLETED")
