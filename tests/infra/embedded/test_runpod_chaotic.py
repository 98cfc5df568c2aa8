"""Each fault of the stand-in over HTTP, as the service and real SDK workers meet it."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from infra.embedded.runpod_chaos import ChaosPlan, Fault
from tests.infra.embedded.chaotic_endpoint import ATTEMPT, endpoint_with, plan_with
from tests.infra.embedded.processes import eventually
from tests.infra.embedded.receiver import Receiver


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """Where a job that marks leaves a file for every run."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def marked(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_run_is_refused_without_a_job_and_then_accepted(tmp_path: Path) -> None:
    plan = plan_with(Fault.RUN_REFUSED, lambda plan: len(plan.job(0, 0).refusals) == 2)
    async with endpoint_with(tmp_path, plan) as endpoint:
        refused = [(await endpoint.run()).status_code for _ in range(2)]
        assert tuple(refused) == plan.job(0, 0).refusals
        assert await endpoint.take() is None
        job_id = await endpoint.queued()
        assert (await endpoint.take() or {})["id"] == job_id
        assert await endpoint.done(Fault.RUN_REFUSED) == 2


async def test_run_queues_a_job_though_its_answer_breaks_off(tmp_path: Path) -> None:
    plan = plan_with(Fault.RUN_DROPPED, lambda plan: plan.job(0, 0).answer)
    async with endpoint_with(tmp_path, plan) as endpoint:
        with pytest.raises(httpx.RemoteProtocolError):
            await endpoint.run()
        taken = await endpoint.take()
        assert taken is not None
        assert taken["input"] == ATTEMPT
        second = await endpoint.queued()
        assert second != taken["id"]


async def test_run_answers_late_and_the_job_runs_meanwhile(tmp_path: Path) -> None:
    plan = plan_with(
        Fault.RUN_LATE, lambda plan: plan.job(0, 0).answer and plan.job(0, 0).delay_s > 2
    )
    async with endpoint_with(tmp_path, plan) as endpoint:
        running = asyncio.create_task(endpoint.run())
        taken = None
        while taken is None:
            taken = await endpoint.take()
        assert (await endpoint.finish(taken["id"])).status_code == 200
        assert not running.done()
        assert (await running).json()["id"] == taken["id"]


async def test_accepted_job_vanishes_and_the_second_does_not(tmp_path: Path) -> None:
    plan = plan_with(Fault.JOB_VANISHED, lambda plan: plan.job(0, 0).loss)
    async with endpoint_with(tmp_path, plan) as endpoint:
        job_id = await endpoint.queued()
        assert (await endpoint.status(job_id)).status_code == 404
        assert await endpoint.take() is None
        second = await endpoint.queued()
        assert (await endpoint.take() or {})["id"] == second


async def test_forgotten_job_runs_and_its_result_is_thrown_away(
    tmp_path: Path, marks: Path, receiver: Receiver
) -> None:
    plan = plan_with(Fault.JOB_FORGOTTEN, lambda plan: plan.job(0, 0).loss)
    async with endpoint_with(tmp_path, plan) as endpoint:
        job_id = await endpoint.queued(receiver.url, do="mark", folder=str(marks))
        assert (await endpoint.status(job_id)).json()["status"] == "IN_QUEUE"
        await endpoint.work(1)
        assert await eventually(lambda: len(marked(marks)) == 1, 20)
        assert (await endpoint.status(job_id)).status_code == 404
        second = await endpoint.queued(receiver.url, do="echo", text="x")
        assert await eventually(lambda: bool(receiver.bodies), 15)
        assert [body["id"] for body in receiver.bodies] == [second]


async def test_two_workers_run_the_same_job(
    tmp_path: Path, marks: Path, receiver: Receiver
) -> None:
    plan = plan_with(Fault.JOB_DOUBLED, lambda plan: plan.job(0, 0).doubled)
    async with endpoint_with(tmp_path, plan) as endpoint:
        await endpoint.work(2)
        job_id = await endpoint.queued(receiver.url, do="mark", folder=str(marks))
        assert await eventually(lambda: len(marked(marks)) == 2, 20)
        assert await eventually(lambda: bool(receiver.bodies), 10)
        assert (await endpoint.status(job_id)).json()["status"] == "COMPLETED"
        assert len(marked(marks)) == 2
        assert len(receiver.bodies) == 1


async def test_sdk_posts_its_result_again_until_it_is_taken(
    tmp_path: Path, receiver: Receiver
) -> None:
    plan = plan_with(Fault.RESULT_REFUSED, lambda plan: plan.job(0, 0).result_refusals == 2)
    async with endpoint_with(tmp_path, plan) as endpoint:
        await endpoint.work(1)
        await endpoint.queued(receiver.url, do="echo", text="at last")
        assert await eventually(lambda: bool(receiver.bodies), 20)
        assert receiver.bodies[0]["output"]["echo"] == "at last"
        assert await endpoint.done(Fault.RESULT_REFUSED) == 2


async def test_sdk_drops_its_result_after_the_third_refusal(tmp_path: Path) -> None:
    plan = plan_with(Fault.RESULT_REFUSED, lambda plan: plan.job(0, 0).result_dropped)
    async with endpoint_with(tmp_path, plan) as endpoint:
        await endpoint.work(1)
        job_id = await endpoint.queued(do="echo", text="x")

        async def dropped() -> bool:
            return await endpoint.done(Fault.RESULT_REFUSED) == 3

        assert await eventually(dropped, 20)
        assert (await endpoint.status(job_id)).json()["status"] == "IN_PROGRESS"


async def test_status_is_refused_so_often_and_then_answered(tmp_path: Path) -> None:
    plan = plan_with(Fault.STATUS_REFUSED, lambda plan: len(plan.job(0, 0).status_faults) == 2)
    async with endpoint_with(tmp_path, plan) as endpoint:
        job_id = await endpoint.queued()
        answers = [(await endpoint.status(job_id)).status_code for _ in range(3)]
        assert tuple(answers) == (*plan.job(0, 0).status_faults, 200)


async def test_status_does_not_know_a_job_once(tmp_path: Path) -> None:
    plan = plan_with(Fault.STATUS_UNKNOWN, lambda plan: plan.job(0, 0).status_faults)
    async with endpoint_with(tmp_path, plan) as endpoint:
        job_id = await endpoint.queued()
        answers = [(await endpoint.status(job_id)).status_code for _ in range(2)]
        assert answers == [404, 200]


async def test_status_answers_late_once(tmp_path: Path) -> None:
    plan = plan_with(
        Fault.STATUS_LATE, lambda plan: plan.job(0, 0).status_faults and plan.job(0, 0).delay_s < 1
    )
    async with endpoint_with(tmp_path, plan) as endpoint:
        job_id = await endpoint.queued()
        begun = time.monotonic()
        assert (await endpoint.status(job_id)).status_code == 200
        assert time.monotonic() - begun >= plan.job(0, 0).delay_s
        assert await endpoint.done(Fault.STATUS_LATE) == 1


async def test_webhook_is_lost(tmp_path: Path, receiver: Receiver) -> None:
    plan = plan_with(
        Fault.WEBHOOK_LOST, lambda plan: not plan.job(0, 0).webhooks and plan.job(1, 0).webhooks
    )
    async with endpoint_with(tmp_path, plan) as endpoint:
        lost = await endpoint.queued(receiver.url)
        kept = await endpoint.queued(receiver.url, attemptId="second")
        for job_id in (lost, kept):
            await endpoint.take()
            await endpoint.finish(job_id)
        assert await eventually(lambda: bool(receiver.bodies), 5)
        assert [body["id"] for body in receiver.bodies] == [kept]
        assert await endpoint.done(Fault.WEBHOOK_LOST) == 1


async def test_webhook_comes_several_times(tmp_path: Path, receiver: Receiver) -> None:
    plan = plan_with(Fault.WEBHOOK_REPEATED, lambda plan: len(plan.job(0, 0).webhooks) == 3)
    async with endpoint_with(tmp_path, plan) as endpoint:
        job_id = await endpoint.queued(receiver.url)
        await endpoint.take()
        await endpoint.finish(job_id)
        assert await eventually(lambda: len(receiver.bodies) == 3, 5)
        assert receiver.bodies[0] == receiver.bodies[1] == receiver.bodies[2]


async def test_late_webhook_comes_after_that_of_a_later_job(
    tmp_path: Path, receiver: Receiver
) -> None:
    plan = plan_with(
        Fault.WEBHOOK_LATE,
        lambda plan: plan.job(0, 0).webhooks[0] > 2 and plan.job(1, 0).webhooks == (0.0,),
    )
    async with endpoint_with(tmp_path, plan) as endpoint:
        late = await endpoint.queued(receiver.url)
        prompt = await endpoint.queued(receiver.url, attemptId="second")
        for job_id in (late, prompt):
            await endpoint.take()
            await endpoint.finish(job_id)
        assert await eventually(lambda: len(receiver.bodies) == 2, 5)
        assert [body["id"] for body in receiver.bodies] == [prompt, late]


async def test_webhook_of_the_end_comes_before_run_has_answered(
    tmp_path: Path, receiver: Receiver
) -> None:
    plan = plan_with(Fault.WEBHOOK_EARLY, lambda plan: plan.job(0, 0).early_webhook)
    async with endpoint_with(tmp_path, plan) as endpoint:
        job_id = await endpoint.queued(receiver.url)
        assert [(body["id"], body["status"]) for body in receiver.bodies] == [(job_id, "COMPLETED")]
        assert (await endpoint.status(job_id)).json()["status"] == "IN_QUEUE"


async def test_what_was_done_is_told_to_the_holder_of_the_key_alone(tmp_path: Path) -> None:
    async with endpoint_with(tmp_path, ChaosPlan(5)) as endpoint:
        answer = await endpoint.http.get(f"{endpoint.base}/chaos", headers=endpoint.bearer)
        assert (answer.json()["seed"], answer.json()["mostJobs"]) == (5, 0)
        assert set(answer.json()["faults"]) == set(Fault)
        assert (await endpoint.http.get(f"{endpoint.base}/chaos")).status_code == 401
