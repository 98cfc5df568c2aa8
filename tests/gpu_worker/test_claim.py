"""Claims on real stores: of all runs that want an attempt, one at a time has it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from gpu_worker.bucket import connect
from gpu_worker.claim import AttemptClaim
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed, Superseded
from gpu_worker.settings import WorkerSettings
from tests.conftest import SEAWEED_KEYS
from tests.faulty_store import Fault, FaultyStore, Refusal, Request, faulty_store
from tests.gpu_worker.claims import BRISK, CALM, Item
from tests.gpu_worker.service import SECRET

PATIENCE_S = 30


def worker_settings(endpoint: str, bucket: str, key_id: str, secret: str) -> WorkerSettings:
    return WorkerSettings.from_environ(
        {
            "R2_ENDPOINT": endpoint,
            "R2_BUCKET": bucket,
            "R2_ACCESS_KEY_ID": key_id,
            "R2_SECRET_ACCESS_KEY": secret,
            "R2_REGION": "us-east-1",
            "WEBHOOK_SECRET": SECRET,
        }
    )


@pytest.fixture(params=["moto", "seaweedfs"])
def settings(request: pytest.FixtureRequest) -> WorkerSettings:
    """Two stores: conditions are only worth what the store makes of them."""
    if request.param == "moto":
        endpoint, bucket = (request.getfixturevalue(name) for name in ("s3_endpoint", "bucket"))
        return worker_settings(endpoint, bucket, "test", "test")
    seaweed = request.getfixturevalue("seaweed")
    keys = SEAWEED_KEYS
    return worker_settings(
        seaweed.endpoint, seaweed.bucket, keys.access_key_id, keys.secret_access_key
    )


@pytest.fixture
async def item(settings: WorkerSettings) -> AsyncIterator[Item]:
    async with connect(settings) as client:
        yield Item(client, settings.r2_bucket)


async def taken(claim: AttemptClaim) -> str | None:
    """The job that has it instead; None when `claim` has it now."""
    try:
        await claim.take()
    except Superseded as loss:
        return loss.holder_job_id
    return None


async def forever() -> None:
    await asyncio.Event().wait()


async def test_f17_of_runs_that_race_for_an_attempt_one_has_it_and_the_others_know_whose_it_is(
    item: Item,
) -> None:
    runs = [item.run("job-1") for _ in range(2)] + [item.run(f"job-{n}") for n in (2, 3)]

    holders = await asyncio.gather(*(taken(run) for run in runs))

    assert holders.count(None) == 1
    stored = await item.stored()
    assert set(holders) == {None, stored.job_id}
    assert (stored.media_id, stored.attempt, stored.renewals) == (item.media_id, 1, 0)


async def test_f17_a_job_that_runs_twice_is_two_holders(item: Item) -> None:
    assert await taken(item.run("job-1")) is None
    assert await taken(item.run("job-1")) == "job-1"


async def test_f16_a_claim_that_nobody_renews_is_taken_over_by_one_of_those_who_want_it(
    item: Item,
) -> None:
    assert await taken(item.run("job-dead")) is None
    rivals = [item.run(f"job-{n}", times=BRISK) for n in range(3)]

    async with asyncio.timeout(PATIENCE_S):
        while None not in (holders := await asyncio.gather(*(taken(run) for run in rivals))):
            assert set(holders) == {"job-dead"}
            await asyncio.sleep(0.2)

    assert holders.count(None) == 1
    assert (await item.stored()).job_id == f"job-{holders.index(None)}"


async def test_a_claim_that_is_renewed_outlives_its_lease(item: Item) -> None:
    first = item.run("job-1")
    await first.take()

    async def rival() -> str | None:
        await until_renewed(item, round((BRISK.lease_s + 2) / CALM.renewal_s))
        return await taken(item.run("job-2", times=BRISK))

    assert await asyncio.wait_for(first.hold(rival()), PATIENCE_S) == "job-1"


async def test_a_released_claim_is_taken_at_once(item: Item) -> None:
    first = item.run("job-1")
    await first.take()
    assert await first.release() is None
    assert (await item.stored()).released
    assert await taken(item.run("job-2")) is None
    assert not (await item.stored()).released
    assert await first.release() == "job-2", "what is another's is not released"
    assert not (await item.stored()).released


async def test_work_ends_when_another_run_has_the_claim(item: Item) -> None:
    claim = item.run("job-1")
    await claim.take()
    ended = asyncio.Event()

    async def work() -> None:
        usurper = (await item.stored()).model_copy(update={"job_id": "job-2", "holder": uuid4()})
        await item.overwrite(usurper)
        try:
            await forever()
        finally:
            await asyncio.sleep(0.1)
            ended.set()

    with pytest.raises(Superseded, match="job-2"):
        await asyncio.wait_for(claim.hold(work()), PATIENCE_S)
    assert ended.is_set(), "the work is over before its loss is told"
    assert (await item.stored()).job_id == "job-2"


async def test_a_newer_attempt_ends_the_work_of_an_older_one_and_bars_it(item: Item) -> None:
    older, newer = item.run("job-1"), item.run("job-2", attempt=2)
    await older.take()
    await newer.take()

    with pytest.raises(Superseded, match="job-2"):
        await asyncio.wait_for(older.hold(forever()), PATIENCE_S)
    assert await taken(item.run("job-3")) == "job-1", "not released yet"
    assert await older.release() is None
    assert await taken(item.run("job-3")) == "job-2"


async def test_a_newer_attempt_waits_until_the_older_one_cannot_write_any_more(item: Item) -> None:
    older, newer = item.run("job-1"), item.run("job-2", attempt=2)
    await older.take()
    await newer.take()
    waiting = asyncio.create_task(newer.wait_for_older())
    await asyncio.sleep(3 * CALM.retry_s)
    assert not waiting.done()
    await older.release()
    await asyncio.wait_for(waiting, PATIENCE_S)


async def test_a_newer_attempt_does_not_wait_for_a_dead_one(item: Item) -> None:
    await item.run("job-1").take()
    newer = item.run("job-2", attempt=2, times=BRISK)
    await newer.take()
    await asyncio.wait_for(newer.wait_for_older(), PATIENCE_S)
    assert not (await item.stored()).released


async def test_a_claim_that_was_removed_is_taken_anew(item: Item) -> None:
    claim = item.run("job-1")
    await claim.take()

    async def work() -> None:
        await item.remove()
        for _ in range(100):
            if await item.claimed():
                break
            await asyncio.sleep(CALM.renewal_s / 4)
        assert await taken(item.run("job-2")) == "job-1"

    await asyncio.wait_for(claim.hold(work()), PATIENCE_S)
    assert (await item.stored()).job_id == "job-1"


@pytest.mark.parametrize("body", ["", "{", "[]", '{"schemaVersion": 0}', "x" * 70_000, "misplaced"])
async def test_an_object_that_is_no_claim_is_held_by_nobody(item: Item, body: str) -> None:
    if body == "misplaced":
        await item.run("job-0", attempt=2).take()
        body = (await item.stored(2)).to_json()
        await item.overwrite("", attempt=2)
    await item.overwrite(body)
    assert await taken(item.run("job-1")) is None
    assert (await item.stored()).job_id == "job-1"


@pytest.fixture
def faulty(s3_endpoint: str) -> Iterator[FaultyStore]:
    with faulty_store(s3_endpoint) as proxy:
        yield proxy


@pytest.fixture
async def shaky(faulty: FaultyStore, bucket: str) -> AsyncIterator[Item]:
    async with connect(worker_settings(faulty.url, bucket, "test", "test")) as client:
        yield Item(client, bucket)


async def test_f17_of_two_runs_that_take_over_the_same_claim_at_once_one_has_it(
    shaky: Item, faulty: FaultyStore
) -> None:
    gone = shaky.run("job-0")
    await gone.take()
    await gone.release()
    faulty.seen.clear()
    side_by_side = threading.Barrier(2, timeout=PATIENCE_S)

    def rule(request: Request) -> None:
        if request.method == "PUT":  # twice each: to be refused, and to take over what is free
            side_by_side.wait()

    faulty.rule = rule
    holders = await asyncio.gather(taken(shaky.run("job-1")), taken(shaky.run("job-2")))

    assert set(holders) == {None, (await shaky.stored()).job_id}


async def test_a_run_whose_answer_was_lost_knows_its_own_claim(
    shaky: Item, faulty: FaultyStore
) -> None:
    lost: list[Request] = []

    def lose_first_put(request: Request) -> Fault | None:
        if request.method == "PUT" and not lost:
            lost.append(request)
            return Fault.ANSWER_LOST
        return None

    faulty.rule = lose_first_put
    first = shaky.run("job-1")
    assert await taken(first) is None
    assert lost
    assert await taken(shaky.run("job-2")) == "job-1"
    lost.clear()  # and once more, at a renewal
    async with asyncio.timeout(PATIENCE_S):
        await first.hold(until_renewed(shaky, 3))


async def until_renewed(item: Item, times: int) -> None:
    while (await item.stored()).renewals < times:  # noqa: ASYNC110 - it happens elsewhere
        await asyncio.sleep(0.05)


async def test_a_bucket_that_is_silent_for_less_than_the_lease_ends_nothing(
    shaky: Item, faulty: FaultyStore
) -> None:
    claim = shaky.run("job-1")
    await claim.take()
    refused: list[Request] = []

    def refuse_twice(request: Request) -> Refusal | None:
        if request.method != "PUT" or len(refused) == 2:
            return None
        refused.append(request)
        return Refusal(403, "AccessDenied")

    faulty.rule = refuse_twice
    async with asyncio.timeout(PATIENCE_S):
        await claim.hold(until_renewed(shaky, 2))
    assert len(refused) == 2


async def test_a_bucket_that_is_silent_for_the_whole_lease_ends_the_work(
    shaky: Item, faulty: FaultyStore
) -> None:
    claim = shaky.run("job-1", times=BRISK)
    await claim.take()
    claim.check()
    faulty.rule = lambda request: Refusal(403, "no") if request.method == "PUT" else None

    with pytest.raises(JobFailed) as failure:
        await asyncio.wait_for(claim.hold(forever()), PATIENCE_S)
    assert failure.value.code is WorkerErrorCode.STORAGE_UNAVAILABLE
    with pytest.raises(JobFailed):
        claim.check()
    assert await claim.release() is None, "and leaving is not held up"
