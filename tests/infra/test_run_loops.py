"""All loops together: they work, survive, and stop when told."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg

from infra.bootstrap import Services
from infra.loops import (
    AFTER_ERROR_S,
    run_loops,
)
from infra.postgres.pool import Pool
from tests.infra.conftest import OpenWith
from tests.infra.embedded.processes import eventually
from tests.infra.left_to_do import AWAY, announced, failure_of, item_of, waiting, watched
from tests.infra.lives import live

BODY = b"a film"


@asynccontextmanager
async def running(services: Services) -> AsyncIterator[asyncio.Event]:
    """The loops in the background; they must end soon after they are told to."""
    stop = asyncio.Event()
    loops = asyncio.create_task(run_loops(services, stop))
    yield stop
    stop.set()
    told = time.monotonic()
    await loops
    assert time.monotonic() - told < 1


async def test_loops_do_the_work_and_stop_when_told(services: Services) -> None:
    overdue = uuid4()
    async with running(services):
        await live(services.store, waiting(3600))
        await live(services.store, announced(-1), overdue)

        async def done() -> bool:
            sent = (await item_of(services)).runpod_job_id
            return bool(sent) and await failure_of(services, overdue) is not None

        assert await eventually(done, 5)


async def test_loops_stop_at_once_in_the_pause_after_an_error(open_with: OpenWith) -> None:
    async with open_with(**AWAY) as services:
        await watched(services, "job-1")

        async def asked() -> bool:
            return bool(await services.pool.fetchval("SELECT polls FROM vendor_jobs"))

        async with running(services):
            assert await eventually(asked, 5)
            await asyncio.sleep(0.2)


async def test_every_loop_survives_the_loss_of_its_connection_in_mid_statement(
    services: Services, owner: Pool, server_dsn: str
) -> None:
    due = uuid4()
    async with running(services):
        async with owner.acquire() as holder, holder.transaction():
            await holder.execute("LOCK TABLE outbox, vendor_jobs, media_items")
            await cut_connections_held_up(server_dsn, of_them=3)
        await live(services.store, announced(-1), due)
        await watched(services, "lost-job")

        async def done() -> bool:
            asked = await services.pool.fetchval(
                "SELECT closed_at FROM vendor_jobs WHERE job_id = 'lost-job'"
            )
            sent = (await item_of(services)).runpod_job_id != "lost-job"
            return bool(asked) and sent and await failure_of(services, due) is not None

        assert await eventually(done, AFTER_ERROR_S + 5)


async def cut_connections_held_up(server_dsn: str, of_them: int) -> None:
    """Cut those that wait for another's lock, once there are so many."""
    server = await asyncpg.connect(server_dsn)
    waiting_now = "FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"

    async def held_up() -> bool:
        count: int = await server.fetchval(f"SELECT count(*) {waiting_now}")
        return count >= of_them

    assert await eventually(held_up, 5)
    await server.execute(f"SELECT pg_terminate_backend(pid) {waiting_now}")
    await server.close()
