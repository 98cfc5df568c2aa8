"""Attempts and what they cost, summed up from the ledger: each once."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from infra.bootstrap import Services
from infra.figures.database import measure
from infra.loops import tally_once
from infra.postgres.pool import Pool
from infra.postgres.tally import Tally
from tests import factories as f
from tests.infra import lives
from tests.infra.lives import Life, append

STARTED_AND_FAILED = (*lives.SUBMITTED, (f.transcoding_started(),), (f.transcoding_failed(),))
CODE = f.transcoding_failed().error_code.value


async def live(services: Services, life: Life, media_id: UUID | None = None) -> None:
    """A life of an item whose jobs are its own."""
    chosen = media_id or uuid4()
    for events in life:
        own = [
            each.model_copy(update={"runpod_job_id": f"{each.runpod_job_id}-{chosen.hex}"})
            if "runpod_job_id" in type(each).model_fields
            else each
            for each in events
        ]
        await append(services.store, own, chosen)


async def sums(services: Services) -> dict[tuple[str, str], float]:
    """The sums, by figure and labels."""
    names = {"attempts_total", "gpu_seconds_total", "gpu_cost_total", "tally_waiting"}
    return {
        (name, label): value for name, label, value in await measure(services.pool) if name in names
    }


async def test_attempts_and_gpu_time_are_summed_by_tier_each_once(services: Services) -> None:
    pro = uuid4()
    await services.tally.note_tier(pro, "pro")
    await services.tally.note_tier(pro, "later")
    await live(services, lives.READY)
    await live(services, lives.RETRIED)
    await live(services, lives.READY, pro)
    assert (await sums(services))["tally_waiting", ""] == 0, "nothing is sealed yet"
    await services.sealer.seal_once()
    assert (await sums(services))["tally_waiting", ""] > 0
    for _ in range(2):
        assert not await tally_once(services)
    assert await sums(services) == {
        ("attempts_total", "ready/"): 3,
        ("attempts_total", f"failed/{CODE}"): 1,
        ("gpu_seconds_total", "standard/ready"): 8.5,
        ("gpu_seconds_total", "standard/failed"): 0,
        ("gpu_seconds_total", "pro/ready"): 4.25,
        ("gpu_cost_total", "standard"): 0,
        ("gpu_cost_total", "pro"): 0,
        ("tally_waiting", ""): 0,
    }


@pytest.mark.parametrize(("ran_s", "counted_s"), [(90, 90), (7200, 600)])
async def test_a_failed_attempt_counts_from_its_start_to_its_end_with_a_bound(
    services: Services, owner: Pool, ran_s: int, counted_s: int
) -> None:
    await live(services, STARTED_AND_FAILED)
    async with owner.acquire() as connection:  # Time passes between the two.
        await connection.execute("ALTER TABLE events DISABLE TRIGGER USER")
        await connection.execute(
            "UPDATE events SET recorded_at = (SELECT recorded_at FROM events WHERE type ="
            " 'media.transcoding_failed') - $1::interval WHERE type = 'media.transcoding_started'",
            timedelta(seconds=ran_s),
        )
    await services.sealer.seal_once()
    await Tally(services.pool, 0.5, 600).step()
    found = await sums(services)
    assert found["gpu_seconds_total", "standard/failed"] == counted_s
    assert found["gpu_cost_total", "standard"] == counted_s / 2


async def test_a_later_price_changes_nothing_that_was(services: Services) -> None:
    for price in (2.0, 4.0):
        await live(services, lives.READY)
        await services.sealer.seal_once()
        await Tally(services.pool, price, 600).step()
    assert (await sums(services))["gpu_cost_total", "standard"] == 4.25 * 6


async def test_many_that_sum_up_at_once_count_each_end_once(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.postgres.tally.BATCH", 3)
    for _ in range(6):
        await live(services, lives.READY)
    await services.sealer.seal_once()

    async def until_done() -> None:
        while (await sums(services))["tally_waiting", ""]:
            await services.tally.step()

    await asyncio.gather(*(until_done() for _ in range(5)))
    assert (await sums(services))["attempts_total", "ready/"] == 6
