"""Wrong clocks, hours without RunPod, new secrets and an old backup: what lasts for long."""

import asyncio

import pytest

from domain.lifecycle import Status
from tests.simulate.creators import Item, Plan
from tests.simulate.faults import Fault, Scripted
from tests.simulate.processes import now_s
from tests.simulate.service import ATTEMPT_WINDOW, UPLOAD_WINDOW
from tests.simulate.stories import is_running, only, tell, until, verdicts
from tests.simulate.world import World


@pytest.mark.parametrize("skew_s", [-600.0, 600.0])
def test_f30_wrong_clocks_cost_callbacks_and_nothing_else(skew_s: float) -> None:
    async def be_wrong(world: World, _item: Item) -> None:
        world.bucket.skew_s = -skew_s
        await until(lambda: world.runpod.busy)
        world.host = lambda name: type(world.hosts[0])(name, skew_s)  # type: ignore[method-assign]

    async def be_slow(world: World, _item: Item) -> None:
        world.runpod.cold_start_s = 20.0

    world = tell(be_wrong, prepare=be_slow)
    assert only(world).status is Status.READY
    assert "webhook-timestamp is more than five minutes" in world.journal.logged()


def test_f30_a_service_host_with_a_wrong_clock_keeps_deadlines_by_the_database() -> None:
    async def be_wrong(world: World, _item: Item) -> None:
        for host in world.hosts:
            host.skew_s = 600.0

    world = tell(prepare=be_wrong, plan=Plan.NEVER)
    (stream,) = world.database.streams.values()
    late = stream[1].recorded_at - stream[0].recorded_at - UPLOAD_WINDOW
    assert 0 <= late.total_seconds() < 60


@pytest.mark.parametrize(("share", "comes_out"), [(0.8, "ready"), (1.2, "submit_unreachable")])
def test_f38_runpod_down_for_hours_fails_nothing_before_the_deadline(
    share: float, comes_out: str
) -> None:
    async def be_away(world: World, _item: Item) -> None:
        world.lines["runpod"].cut = True
        await until(lambda: world.database.streams and only(world).attempt)
        window_s = ATTEMPT_WINDOW.total_seconds()
        await asyncio.sleep(min(share, 0.95) * window_s)
        assert only(world).status is Status.TRANSCODING
        assert world.database.outbox
        await asyncio.sleep(max(0.0, share - 0.95) * window_s)
        world.lines["runpod"].cut = False
        world.weather.outages_s["runpod"] = share * window_s

    item = only(tell(be_away))
    assert (item.failure.code if item.failure else item.status) == comes_out


def test_f39_a_job_that_began_with_the_old_secret_is_heard_after_the_rotation() -> None:
    async def rotate(world: World, _item: Item) -> None:
        await until(lambda: is_running(world))
        world.rotate()

    world = tell(rotate)
    assert only(world).status is Status.READY
    assert len(verdicts(world)) == 3  # started, completed, and RunPod's own
    assert "refused" not in world.journal.logged()


def test_f41_after_a_restore_unknown_jobs_are_quarantined_and_manifests_found() -> None:
    async def restore(world: World, item: Item) -> None:
        world.script.append(Scripted("creator-bucket", "put", Fault.SLOW))
        await until(lambda: item.media_id)
        taken_s, backup = now_s(), world.database.backup()
        await until(lambda: len(world.watch.owners) == 1 and is_running(world))
        world.restore(backup, taken_s)
        assert only(world).status is Status.UPLOADING

    world = tell(restore)
    assert only(world).status is Status.READY
    assert world.counts["F41: a backup restored"] == 1


def test_f41_an_item_younger_than_the_backup_leaves_only_messages_in_quarantine() -> None:
    async def restore(world: World, _item: Item) -> None:
        taken_s, backup = now_s(), world.database.backup()
        await until(lambda: is_running(world))
        world.restore(backup, taken_s)

    world = tell(restore, starts_s=5.0)
    assert not world.database.streams
    assert set(verdicts(world)) == {"quarantined"}
