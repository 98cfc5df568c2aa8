"""One round of each race. What it must come to is asserted here, whoever wins."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from uuid import UUID, uuid4

import httpx

from domain.lifecycle import Status
from domain.media import MediaItem
from domain.ports import OutputsInvalid
from infra import capability
from infra.capability import Capability
from infra.loops import (
    dispatch_once,
    inbox_once,
    reconcile_once,
    seal_once,
    sweep_once,
)
from tests.api.gpu import WEBHOOK, Job, completion, failure
from tests.races.arena import Arena

CALLERS = 6
PRESSES = 6
LATE_S = 0.2


class Round(NamedTuple):
    """How a round ended, and what each caller was answered."""

    outcome: str
    answers: list[str]


RunRound = Callable[[Arena], Awaitable[Round]]


def told(answers: list[httpx.Response]) -> list[str]:
    """Each answer in short: its status, and its code or verdict if it has one."""
    return [_short(answer) for answer in answers]


def _short(answer: httpx.Response) -> str:
    body = answer.json()
    return f"{answer.status_code} {body.get('code') or body.get('verdict') or ''}".rstrip()


def only(answers: list[httpx.Response], *allowed: str) -> list[str]:
    """The answers in short, each of which must be one of `allowed`."""
    short = told(answers)
    assert set(short) <= set(allowed), short
    return short


def same_item(answers: list[httpx.Response], media_id: UUID, attempts: int) -> None:
    """Everybody who was let through was answered with the item as it is now."""
    through = [answer.json() for answer in answers if answer.status_code == 202]
    assert through, "nobody won"
    assert {(item["id"], item["attempts"]) for item in through} == {(str(media_id), attempts)}


async def double_retry(arena: Arena) -> Round:
    """F18: retry pressed several times at once."""
    media_id = (await arena.failed()).media_id
    body = {"mediaId": str(media_id)}
    answers = await arena.at_once(
        *(lambda n=n: arena.post(n, "/api/transcoding/retry", body) for n in range(CALLERS))
    )
    same_item(answers, media_id, attempts=2)
    events = await arena.events(media_id)
    assert (events["retry_requested"], events["transcoding_requested"]) == (1, 2)
    assert events["transcoding_submitted"] == 2, "one job an attempt"
    return Round("one retry", only(answers, "202", "409 transcoding_running"))


async def double_complete(arena: Arena) -> Round:
    """F23: «complete» sent several times at once."""
    media_id = await arena.uploading()
    path = f"/api/media/{media_id}/complete"
    answers = await arena.at_once(*(lambda n=n: arena.post(n, path) for n in range(CALLERS)))
    same_item(answers, media_id, attempts=1)
    events = await arena.events(media_id)
    assert (events["upload_completed"], events["transcoding_requested"]) == (1, 1)
    assert events["transcoding_submitted"] == 1
    return Round("one completion", only(answers, "202"))


async def duplicate_worker_webhook(arena: Arena) -> Round:
    """F06: the worker's report delivered several times at once, under one message id or many."""
    job = await arena.transcoding()
    once = f"msg_{uuid4()}"
    same_id = arena.chance.random() < 0.5
    answers = await arena.at_once(
        *(
            lambda n=n: arena.gpu(n).report(failure(job), once if same_id else f"{once}-{n}")
            for n in range(CALLERS)
        )
    )
    assert (await arena.events(job.media_id))["transcoding_failed"] == 1
    kept = await _kept(arena, job.media_id)
    assert kept == (1 if same_id else CALLERS)
    allowed = ("200 accepted", "200 failed") if same_id else ("200 failed", "200 stale")
    return Round("one failure", only(answers, *allowed))


async def duplicate_native_webhook(arena: Arena) -> Round:
    """F06: RunPod's webhook delivered several times at once, then acted on by all replicas."""
    job = await arena.transcoding()
    arena.vendor.end(job.job_id, "FAILED", error="encode_failed: It stopped.")
    answers = await arena.at_once(*(lambda n=n: hint(arena, n, job) for n in range(CALLERS)))
    assert await _kept(arena, job.media_id) == 1
    await arena.loops(inbox_once, reconcile_once)
    assert (await arena.events(job.media_id))["transcoding_failed"] == 1
    return Round("one failure", only(answers, "200 accepted"))


async def hint(arena: Arena, number: int, job: Job) -> httpx.Response:
    """RunPod's webhook about a job, through the URL that it was given."""
    replica = arena.replica(number)
    about = Capability("webhook", job.media_id, job.attempt, int(time.time()) + 3600)
    token = capability.mint(replica.settings.capability_keys[0], about)
    body = {"id": job.job_id, "status": "FAILED"}
    return await replica.http.post(f"{WEBHOOK}/{token}", json=body)


async def _kept(arena: Arena, media_id: UUID) -> int:
    count = "SELECT count(*) FROM webhook_inbox WHERE media_id = $1"
    kept: int = await arena.services.pool.fetchval(count, media_id)
    return kept


async def resubmission(arena: Arena) -> Round:
    """F20: a lost job is sent again while its worker reports a failure and the user retries."""
    job = await arena.transcoding()
    arena.vendor.lose(job.job_id)
    await arena.services.watchlist.hurry(job.media_id, 1)
    body = {"mediaId": str(job.media_id)}

    async def work(number: int) -> list[httpx.Response]:
        services = arena.replica(number).services
        await reconcile_once(services)
        await dispatch_once(services)
        return []

    async def press(number: int) -> list[httpx.Response]:
        """A creator who presses until it is taken, or gives up."""
        pressed: list[httpx.Response] = []
        while len(pressed) < PRESSES and (not pressed or pressed[-1].status_code == 409):
            pressed.append(await arena.post(number, "/api/transcoding/retry", body))
        return pressed

    async def report() -> list[httpx.Response]:
        await asyncio.sleep(arena.chance.uniform(0, LATE_S))
        return [await arena.gpu(0).report(failure(job))]

    told_to = await arena.at_once(
        *(lambda n=n: work(n) for n in range(3)), report, *(lambda n=n: press(n) for n in range(2))
    )
    answers = [answer for each in told_to for answer in each]
    await arena.loops(dispatch_once, reconcile_once, inbox_once, callers=2)
    allowed = ("200 failed", "200 transcoding", "200 stale", "202", "409 transcoding_running")
    return Round(_path(await arena.item(job.media_id)), only(answers, *allowed))


def _path(item: MediaItem) -> str:
    if item.attempt == 2:
        return "failed, then retried"
    return "failed" if item.status is Status.FAILED else "sent again"


async def failed_against_completed(arena: Arena) -> Round:
    """F07: a failure and a success of one job at once; the first to be recorded stands."""
    job = await arena.transcoding()
    await asyncio.to_thread(arena.gpu(0).write, job)

    async def fail(number: int) -> httpx.Response:
        # A success is looked for in the bucket first, so that it needs a head start.
        await asyncio.sleep(arena.chance.uniform(0, LATE_S))
        return await arena.gpu(number).report(failure(job))

    answers = await arena.at_once(
        *(lambda n=n: arena.gpu(n).report(completion(job)) for n in range(2)),
        *(lambda n=n: fail(n) for n in range(2)),
    )
    item, events = await arena.item(job.media_id), await arena.events(job.media_id)
    assert events["transcoding_completed"] + events["transcoding_failed"] == 1
    if item.status is Status.READY:
        found = await arena.services.outcomes.gate.inspect(
            job.media_id, job.creator_id, item.media_type, job.attempt_id
        )
        assert found is not None
        assert not isinstance(found, OutputsInvalid)
    late = await arena.gpu(1).report(failure(job) if item.outputs else completion(job))
    assert (await arena.item(job.media_id)) == item, "a final state was left"
    return Round(item.status, only([*answers, late], "200 ready", "200 failed", "200 stale"))


async def many_loops(arena: Arena) -> Round:
    """F37: dispatchers, reconcilers, inbox loops, sweepers and sealers of all replicas at once."""
    waiting = [await arena.requested() for _ in range(3)]
    await arena.loops(dispatch_once)
    jobs = [await arena.job(media_id) for media_id in waiting]
    assert [arena.vendor.runs[str(job.attempt_id)] for job in jobs] == [1, 1, 1]

    fails, lost, _runs = jobs
    arena.vendor.end(fails.job_id, "FAILED", error="encode_failed: It stopped.")
    arena.vendor.lose(lost.job_id)
    answers = [await hint(arena, number, job) for number, job in enumerate(jobs)]
    await arena.loops(inbox_once, reconcile_once, dispatch_once, callers=3)
    assert (await arena.events(fails.media_id))["transcoding_failed"] == 1
    assert (await arena.events(lost.media_id))["transcoding_submitted"] == 2
    assert arena.vendor.runs[str(lost.attempt_id)] == 2

    overdue = [await arena.requested(-1), await arena.uploading(-1, body=None)]
    await arena.loops(sweep_once)
    ends = [await arena.events(media_id) for media_id in overdue]
    assert (ends[0]["transcoding_failed"], ends[1]["upload_expired"]) == (1, 1)

    await arena.loops(seal_once)
    await _check_ledger(arena)
    return Round("each thing once", only(answers, "200 accepted"))


async def _check_ledger(arena: Arena) -> None:
    sealed = await arena.services.pool.fetchrow(
        "SELECT count(*), count(DISTINCT position), coalesce(max(seq), 0), "
        "(SELECT count(*) FROM events) FROM ledger"
    )
    assert sealed is not None
    assert len(set(sealed)) == 1, f"events, places, positions and the last place: {sealed}"


RACES: dict[str, RunRound] = {
    "double retry (F18)": double_retry,
    "double complete (F23)": double_complete,
    "duplicate worker webhook (F06)": duplicate_worker_webhook,
    "duplicate native webhook (F06)": duplicate_native_webhook,
    "resubmission, retry, webhook (F20)": resubmission,
    "failed against completed (F07)": failed_against_completed,
    "loops of all replicas (F37)": many_loops,
}
