"""What can go wrong, one by one: exactly that fault, and what comes of it."""

import asyncio

import pytest

from domain.failure import ErrorCode
from domain.lifecycle import Status
from tests.simulate.creators import Item, Plan
from tests.simulate.faults import Fault, Scripted
from tests.simulate.service import UPLOAD_WINDOW, Answer
from tests.simulate.stories import (
    calls_made,
    failure,
    is_running,
    native,
    only,
    report,
    tell,
    types,
    until,
    verdicts,
)
from tests.simulate.world import World


def test_a_calm_world_makes_an_item_ready_in_one_go() -> None:
    world = tell()
    assert types(world) == [
        "registered",
        "upload_completed",
        "transcoding_requested",
        "transcoding_submitted",
        "transcoding_started",
        "transcoding_completed",
    ]


def test_f02_a_job_whose_answer_was_lost_is_found_and_not_queued_again() -> None:
    async def lose_the_answer(world: World, _item: Item) -> None:
        world.script.append(Scripted("runpod", "POST run", Fault.LOST_AFTER))

    world = tell(prepare=lose_the_answer)
    assert only(world).status is Status.READY
    assert sum(world.watch.queued.values()) == 1


def test_f02_a_call_that_never_arrived_is_made_once_more() -> None:
    async def lose_the_call(world: World, _item: Item) -> None:
        world.script.append(Scripted("runpod", "POST run", Fault.LOST_BEFORE))

    world = tell(prepare=lose_the_call)
    assert only(world).status is Status.READY
    assert sum(world.watch.queued.values()) == 1
    assert calls_made(world) == 2


def test_f02_of_two_jobs_one_works_and_the_other_leaves() -> None:
    async def be_slow(world: World, _item: Item) -> None:
        world.script.append(Scripted("runpod", "POST run", Fault.LOST_AFTER))
        world.runpod.cold_start_s = 500.0
        world.weather.conversions = (600.0, 600.0)

    world = tell(prepare=be_slow)
    assert only(world).status is Status.READY
    assert sum(world.watch.queued.values()) == 2
    assert world.counts["F02: a run left its attempt to another"] == 1
    assert len(next(iter(world.watch.holders.values()))) == 1


def test_f05_a_report_that_is_faster_than_our_commit_is_kept_and_applied() -> None:
    async def report_early(world: World, item: Item) -> None:
        await until(lambda: item.media_id)
        answer = await report(world, item, 1, "started", "early-u1")
        assert answer == Answer(200, "accepted")

    world = tell(report_early, starts_s=1.0, plan=Plan.SILENT)
    assert "quarantined" in verdicts(
        world
    )  # its attempt came an hour later: too late for the message
    assert only(world).status is Status.READY


def test_f05_a_report_waits_for_the_attempt_to_appear() -> None:
    async def report_early(world: World, item: Item) -> None:
        world.script.append(Scripted("creator-bucket", "put", Fault.SLOW))
        await until(lambda: item.media_id)
        assert await native(world, item, 1, {"id": "early-u1"}) == Answer(200, "accepted")
        await until(lambda: only(world).attempt == 1)

    world = tell(report_early)
    assert "quarantined" not in verdicts(world)
    assert only(world).status is Status.READY


def test_f09_another_items_job_under_a_good_token_is_not_taken_over() -> None:
    async def name_another(world: World, item: Item) -> None:
        other = Item(world, "creator-1", 1)
        world.items.append(other)
        world.outside.start(other.live())
        await until(lambda: len(world.watch.owners) == 2 and is_running(world))
        foreign = next(
            job for job, (owner, _) in world.watch.owners.items() if owner != str(item.media_id)
        )
        said = {"id": foreign, "status": "FAILED", "error": "input_unreadable: no"}
        assert await native(world, item, 1, said) == Answer(200, "accepted")

    world = tell(name_another)
    assert {row["status"] for row in world.database.rows.values()} == {"ready"}
    for media_id in world.database.streams:
        ours = world.item(media_id)
        assert ours is not None
        assert {world.watch.owners[job][0] for job in ours.job_ids} == {str(media_id)}


def test_f10_a_late_report_about_the_first_attempt_changes_nothing_of_the_second() -> None:
    async def fail_then_report(world: World, item: Item) -> None:
        world.weather.encoder_fails = 1.0
        await until(lambda: item.media_id and only(world).attempt == 2)
        world.weather.encoder_fails = 0.0
        (first, *_) = world.watch.owners
        await until(lambda: len(world.watch.holders) == 2)
        assert await report(world, item, 1, "failed", first) == Answer(200, "stale")
        assert await report(world, item, 1, "completed", first) == Answer(200, "stale")

    world = tell(fail_then_report, retries=True)
    assert only(world).status is Status.READY
    assert only(world).attempt == 2
    assert types(world).count("transcoding_failed") == 1


def test_f11_a_message_about_an_attempt_that_never_was_is_quarantined() -> None:
    async def speak_of_a_ghost(world: World, item: Item) -> None:
        await until(lambda: item.media_id)
        assert await native(world, item, 7, {"id": "ghost-u1"}) == Answer(200, "accepted")
        assert await report(world, item, 7, "completed", "ghost-u1") == Answer(200, "accepted")

    world = tell(speak_of_a_ghost)
    assert verdicts(world).count("quarantined") == 2
    assert only(world).status is Status.READY


def test_f13_without_any_webhook_the_reconciler_finds_out_within_minutes() -> None:
    async def be_deaf(world: World, _item: Item) -> None:
        world.network.no_webhooks = True

    world = tell(prepare=be_deaf)
    assert only(world).status is Status.READY
    (stream,) = world.database.streams.values()
    took = stream[-1].recorded_at - stream[0].recorded_at
    assert took.total_seconds() < 30 * 60
    assert not world.database.inbox


@pytest.mark.parametrize("is_finished", [True, False])
def test_f14_a_job_that_runpod_forgot_is_settled_by_its_manifest_or_sent_again(
    is_finished: bool,
) -> None:
    async def forget(world: World, _item: Item) -> None:
        world.network.no_webhooks = True
        await until(lambda: is_running(world))
        (job,) = world.runpod.jobs.values()
        if is_finished:
            await until(lambda: job.status == "COMPLETED")
        world.runpod.lose(job)

    world = tell(forget)
    assert only(world).status is Status.READY
    assert len(only(world).job_ids) == (1 if is_finished else 2)


def test_f14_a_job_lost_twice_fails_its_attempt_as_lost() -> None:
    async def forget_all(world: World, _item: Item) -> None:
        for number in (1, 2):
            await until(lambda n=number: len(world.watch.owners) == n and world.runpod.busy)
            await asyncio.sleep(6)
            world.runpod.lose(next(iter(world.runpod.jobs.values())))

    world = tell(forget_all)
    assert failure(world) is ErrorCode.WORKER_LOST
    assert sum(world.watch.queued.values()) == 2


def test_f15_success_with_a_damaged_object_is_never_ready() -> None:
    async def damage(world: World, _item: Item) -> None:
        world.weather.decays = 1.0

    world = tell(prepare=damage)
    assert failure(world) is ErrorCode.OUTPUT_INVALID


def test_f15_success_reported_before_anything_was_written_is_not_believed() -> None:
    async def boast(world: World, item: Item) -> None:
        await until(lambda: is_running(world) and only(world).job_ids)
        answer = await report(world, item, 1, "completed", only(world).job_ids[0])
        assert answer == Answer(200, "transcoding")

    assert only(tell(boast)).status is Status.READY


def test_f24_a_url_used_again_replaces_nothing() -> None:
    world = tell(hasty=True)
    (key,) = (key for key in world.bucket.objects if "/originals/" in key)
    assert world.bucket.objects[key].body.startswith(b"file creator-0")
    assert only(world).status is Status.READY


def test_f24_a_file_replaced_after_the_check_is_not_transcoded() -> None:
    async def replace(world: World, item: Item) -> None:
        await until(lambda: world.watch.owners)
        world.excuse(item.media_id, 1, "replaced")
        world.bucket.put(only(world).input_key, b"another", "video/mp4")

    async def be_slow(world: World, _item: Item) -> None:
        world.runpod.cold_start_s = 60.0

    assert failure(tell(replace, prepare=be_slow)) is ErrorCode.INPUT_CHANGED


def test_f25_an_abandoned_upload_expires_at_its_deadline() -> None:
    world = tell(plan=Plan.NEVER)
    assert types(world) == ["registered", "upload_expired"]
    (stream,) = world.database.streams.values()
    late = stream[1].recorded_at - stream[0].recorded_at - UPLOAD_WINDOW
    assert 0 <= late.total_seconds() < 60
