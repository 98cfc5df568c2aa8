"""Workers' callbacks on their way through the stand-in that loses, doubles and delays them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.embedded.runpod_chaos import CallbackPlan, ChaosPlan, Fault
from tests.infra.embedded.chaotic_endpoint import Endpoint, endpoint_with, plan_with
from tests.infra.embedded.processes import eventually
from tests.infra.embedded.receiver import Receiver


async def report(
    endpoint: Endpoint, receiver: Receiver, *messages: tuple[str, str], attempt: str = "first"
) -> list[int]:
    """What a worker is answered that takes a job and sends callbacks: (message id, report)."""
    await endpoint.queued(webhookUrl=receiver.url, attemptId=attempt)
    job = await endpoint.take()
    assert job is not None
    url = job["input"]["webhookUrl"]
    assert url.startswith(endpoint.endpoint.base_url)
    posts = [
        endpoint.http.post(url, json={"status": status}, headers={"webhook-id": message_id})
        for message_id, status in messages
    ]
    return [(await post).status_code for post in posts]


def callback_plan(kind: Fault, fits: Callable[[CallbackPlan], object]) -> ChaosPlan:
    """Does what `fits` wants to the first attempt's `started`, and nothing to the rest."""
    return plan_with(
        kind,
        lambda plan: (
            fits(plan.callback(0, 0, "started"))
            and plan.callback(0, 0, "completed") == CallbackPlan()
        ),
    )


STARTED, COMPLETED = ("msg_1", "started"), ("msg_2", "completed")


def reports(receiver: Receiver) -> list[str]:
    return [body["status"] for body in receiver.bodies]


async def test_callback_passes_with_its_signature_and_brings_the_answer_back(
    tmp_path: Path, receiver: Receiver
) -> None:
    plan = callback_plan(Fault.CALLBACK_LATE, lambda plan: plan == CallbackPlan())
    receiver.answers = [422, 200]
    async with endpoint_with(tmp_path, plan) as endpoint:
        assert await report(endpoint, receiver, STARTED, COMPLETED) == [422, 200]
    assert reports(receiver) == ["started", "completed"]
    assert [headers["webhook-id"] for headers in receiver.headers] == ["msg_1", "msg_2"]


async def test_lost_callback_is_answered_yes_and_never_arrives(
    tmp_path: Path, receiver: Receiver
) -> None:
    plan = callback_plan(Fault.CALLBACK_LOST, lambda plan: not plan.deliveries)
    async with endpoint_with(tmp_path, plan) as endpoint:
        assert await report(endpoint, receiver, STARTED, COMPLETED) == [200, 200]
        assert await endpoint.done(Fault.CALLBACK_LOST) == 1
    assert reports(receiver) == ["completed"]


async def test_callback_arrives_several_times(tmp_path: Path, receiver: Receiver) -> None:
    plan = callback_plan(Fault.CALLBACK_REPEATED, lambda plan: len(plan.deliveries) == 3)
    async with endpoint_with(tmp_path, plan) as endpoint:
        assert await report(endpoint, receiver, STARTED) == [200]
        assert await eventually(lambda: len(receiver.bodies) == 3, 5)
    assert {headers["webhook-id"] for headers in receiver.headers} == {"msg_1"}


async def test_late_callback_arrives_after_the_next(tmp_path: Path, receiver: Receiver) -> None:
    plan = callback_plan(Fault.CALLBACK_LATE, lambda plan: plan.deliveries[0] > 2)
    async with endpoint_with(tmp_path, plan) as endpoint:
        assert await report(endpoint, receiver, STARTED, COMPLETED) == [200, 200]
        assert await eventually(lambda: len(receiver.bodies) == 2, 5)
    assert reports(receiver) == ["completed", "started"]


@pytest.mark.parametrize("through", [True, False])
async def test_callback_is_refused_whether_it_arrived_or_not(
    tmp_path: Path, receiver: Receiver, through: bool
) -> None:
    plan = callback_plan(Fault.CALLBACK_REFUSED, lambda plan: plan.refusals == (through,))
    async with endpoint_with(tmp_path, plan) as endpoint:
        assert await report(endpoint, receiver, STARTED, STARTED, STARTED) == [500, 200, 200]
    assert len(receiver.bodies) == 2 + through


async def test_callback_of_an_unknown_job_is_404(tmp_path: Path) -> None:
    async with endpoint_with(tmp_path, ChaosPlan(1)) as endpoint:
        url = f"{endpoint.endpoint.base_url}/callback/none-u1"
        assert (await endpoint.http.post(url, json={})).status_code == 404
