"""Erasing items: the event, what runs meanwhile, and the objects that are left."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from domain.errors import AccessDenied, IdempotencyKeyReused, RetryRefused
from domain.events import ErasureReason
from domain.lifecycle import Status
from domain.ports import JobPhase
from domain.use_cases import Erasure, Retention
from domain.use_cases.erasure import Keeping
from tests import factories as f
from tests.domain.world import World, wanted
from tests.fakes import MemoryErasures, MemoryItemObjects

LINGER = timedelta(hours=3)
REQUEST = ErasureReason.CREATOR_REQUEST
FOR_GOOD = Keeping(None, None)


class Place:
    """A world in which items are erased."""

    def __init__(self) -> None:
        self.world, self.objects = World(), MemoryItemObjects()
        self.book = MemoryErasures(self.world.database)
        self.erasure = Erasure(
            self.world.store, self.world.transcoder, self.book, self.objects, LINGER
        )

    async def erase(self, media_id: UUID, creator: str | None = f.CREATOR) -> None:
        await self.erasure.erase(media_id, creator, REQUEST, self.world.creator)

    async def ready(self) -> UUID:
        media_id = await self.world.transcoding()
        await self.world.leaves(media_id, f.video_outputs())
        await self.world.outcomes.completed(media_id, 1, "job-11-u1", f.context("worker:a"))
        assert (await self.world.item(media_id)).status is Status.READY
        return media_id

    def put(self, media_id: UUID, *names: str) -> None:
        self.objects.keys |= {f"{f.CREATOR}/hls/{media_id}/{name}" for name in names}

    async def sweeps(self) -> int:
        """Until the eraser has nothing left to do, however long that takes; how many it took."""
        for count in range(100):
            while await self.erasure.step():
                pass
            if all(entry.finished for entry in self.world.database.erasures.values()):
                return count
            self.world.database.advance(timedelta(minutes=15))
        raise AssertionError("it never ends")

    def retention(self, keeping: Keeping) -> Retention:
        return Retention(self.erasure, self.book, keeping)


@pytest.fixture
def place() -> Place:
    return Place()


async def test_an_erased_item_shows_nothing_of_its_file_and_its_history_says_why(
    place: Place,
) -> None:
    media_id = await place.ready()
    await place.erase(media_id)
    row = place.world.database.rows[media_id]
    assert row["status"] == "erased"
    assert {name for name, value in row.items() if value is None} >= {"file_name", "r2_key", "etag"}
    assert "holiday" not in str(place.world.database.streams[media_id])
    place.world.assert_rows_equal_histories()


async def test_erasing_twice_is_erasing_once(place: Place) -> None:
    media_id = await place.ready()
    await place.erase(media_id)
    await place.erase(media_id)
    assert place.world.types(media_id).count("erased") == 1


async def test_the_key_of_an_erased_item_says_so_and_makes_no_other(place: Place) -> None:
    uploads, creator = place.world.uploads, place.world.creator
    first = await uploads.register(wanted(idempotency_key="k1"), creator)
    await place.erase(first.media_id)
    with pytest.raises(IdempotencyKeyReused, match="an item that was erased"):
        await uploads.register(wanted(idempotency_key="k1"), creator)
    assert len(place.world.database.streams) == 1


async def test_missing_and_foreign_items_are_refused_alike(place: Place) -> None:
    media_id = await place.ready()
    for wrong in (media_id, uuid4()):
        with pytest.raises(AccessDenied):
            await place.erase(wrong, "somebody-else")
    with pytest.raises(AccessDenied):
        await place.erase(uuid4(), None)
    assert "erased" not in place.world.types(media_id)
    await place.erase(media_id, None)  # an admin's
    assert place.world.types(media_id)[-1] == "erased"


async def test_a_job_that_runs_is_cancelled_and_what_it_says_later_changes_nothing(
    place: Place,
) -> None:
    media_id = await place.world.transcoding()
    await place.erase(media_id)
    assert place.world.nothing_is_left_to_do()
    await place.erasure.step()
    assert place.world.transcoder.jobs["job-11-u1"].phase is JobPhase.CANCELLED
    before = place.world.types(media_id)
    await place.world.leaves(media_id, f.video_outputs())
    await place.world.outcomes.completed(media_id, 1, "job-11-u1", f.context("worker:a"))
    await place.world.outcomes.failed(media_id, f.record_failure(1), f.context("worker:a"))
    await place.world.outcomes.expire(media_id)
    with pytest.raises(RetryRefused):
        await place.world.dispatch.retry(media_id, f.CREATOR, place.world.creator)
    assert place.world.types(media_id) == before


async def test_an_attempt_that_waits_for_a_job_gets_none(place: Place) -> None:
    media_id = await place.world.transcoding()
    lease_before = len(place.world.transcoder.submitted)
    await place.erase(media_id)
    await place.world.outbox.add(media_id, 1)  # by somebody who did not know yet
    await place.world.dispatched()
    assert len(place.world.transcoder.submitted) == lease_before
    assert place.world.nothing_is_left_to_do()


async def test_what_a_worker_stores_after_the_erasure_is_removed_too(place: Place) -> None:
    media_id = await place.world.transcoding()
    place.put(media_id, "master.m3u8", "1080p_000.ts")
    await place.erase(media_id)
    await place.erasure.step()
    assert place.objects.keys == set()
    for minute in (5, 30, 60):
        place.put(media_id, f"late-{minute}.ts")
        place.world.database.advance(timedelta(minutes=minute))
    await place.sweeps()
    assert place.objects.keys == set()
    assert place.world.database.erasures[media_id].finished


async def test_nobody_looks_for_ever_and_not_long_for_what_ended_long_ago(place: Place) -> None:
    old, running = await place.ready(), await place.world.transcoding()
    place.world.database.advance(2 * LINGER)
    place.put(old, "master.m3u8")
    await place.erase(old)
    assert await place.sweeps() == 1
    await place.erase(running)
    assert 10 <= await place.sweeps() <= 13


async def test_more_objects_than_one_turn_removes_are_removed_in_several(place: Place) -> None:
    media_id = await place.ready()
    place.world.database.advance(2 * LINGER)
    place.objects.most = 3
    place.put(media_id, *map(str, range(10)))
    await place.erase(media_id)
    assert await place.sweeps() == 4
    assert place.objects.keys == set()


async def test_a_bucket_that_does_not_answer_is_asked_again(place: Place) -> None:
    media_id, other = await place.ready(), await place.ready()
    place.put(media_id, "master.m3u8")
    place.objects.down = True
    await place.erase(media_id)
    await place.erase(other)
    assert await place.erasure.step()
    assert await place.erasure.step()
    assert not await place.erasure.step()
    place.objects.down = False
    await place.sweeps()
    assert place.objects.keys == set()


async def test_retention_erases_what_was_kept_long_enough_and_nothing_else(place: Place) -> None:
    failed, ready = await place.world.failed(), await place.ready()
    place.world.database.advance(timedelta(days=8))
    young = await place.world.failed()
    kept = place.retention(Keeping(None, timedelta(days=7)))
    assert not await kept.step()
    assert place.world.types(failed)[-1] == "erased"
    assert "erased" not in place.world.types(ready) + place.world.types(young)
    await place.retention(Keeping(timedelta(days=8), None)).step()
    assert place.world.types(ready)[-1] == "erased"
    assert "erased" not in place.world.types(young)
    event = place.world.database.streams[ready][-1]
    assert (event.context.actor, event.payload_json.count('"retention"')) == ("system:retention", 1)


async def test_items_are_kept_for_good_unless_somebody_says_otherwise(place: Place) -> None:
    media_id = await place.ready()
    place.world.database.advance(timedelta(days=10_000))
    assert not await place.retention(FOR_GOOD).step()
    assert "erased" not in place.world.types(media_id)
