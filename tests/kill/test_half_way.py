"""Ends in the middle of a transaction: of an append, of a request, of a migration."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import UUID

import asyncpg
import httpx
import pytest
import pytest_asyncio

from infra.postgres.migrations import MIGRATIONS
from tests.conftest import _new_database
from tests.infra.embedded.processes import eventually
from tests.kill.holding import Held, holding, holding_row
from tests.kill.host import Host, Process
from tests.kill.world import Parts, World

pytestmark = pytest.mark.asyncio(loop_scope="session")

BEGUN = ["media.registered", "media.upload_completed", "media.transcoding_requested"]
LOCK = 7


class Half(NamedTuple):
    """A completion that has written its events and not yet their projection."""

    held: Held
    backend: int
    """The server process that is about to go on."""
    media_id: UUID
    completing: "asyncio.Task[None]"


async def types(made: World, media_id: UUID) -> list[str]:
    """What happened to an item up to its first job."""
    rows = await made.pool.fetch(
        "SELECT type FROM events WHERE stream_id = $1 ORDER BY version LIMIT 3", media_id
    )
    return [row["type"] for row in rows]


@asynccontextmanager
async def half_way(made: World) -> AsyncIterator["Half"]:
    """Stops the completion of an upload between its events and their projection."""
    await made.serving()
    media_id = await made.creator.register("plain")
    async with holding_row(made.environ["DATABASE_URL"], media_id) as held:
        completing = asyncio.create_task(made.creator.complete(media_id))
        backend = await held.stopped()
        assert not completing.done()
        yield Half(held, backend, media_id, completing)


async def test_f36_a_crash_between_events_and_projection_leaves_neither(made: World) -> None:
    api = await made.start("api")
    async with half_way(made) as half:
        await api.end()
        await half.held.cut(half.backend)
        await half.held.release()
        assert await types(made, half.media_id) == BEGUN[:1]
        await made.start("api")
        await half.completing
    assert await types(made, half.media_id) == BEGUN
    await check_ledger_once_sealed(made)


async def test_f26_a_commit_that_nobody_heard_of_is_found_when_the_client_comes_again(
    made: World,
) -> None:
    api = await made.start("api")
    async with half_way(made) as half:
        await api.end()
        assert not half.completing.done()
        await half.held.release()
        assert await eventually(lambda: committed(made, half.media_id), 10)
        await made.start("api")
        await half.completing
    assert await types(made, half.media_id) == BEGUN
    await check_ledger_once_sealed(made)


async def committed(made: World, media_id: UUID) -> bool:
    """Whether the completion is in the history."""
    return await types(made, media_id) == BEGUN


async def check_ledger_once_sealed(made: World) -> None:
    """Lives go on to their ends, and the auditor finds nothing."""
    await made.start("work")
    await made.check()


async def test_f31_sigterm_lets_a_request_end_which_is_durable_before_its_answer(
    made: World,
) -> None:
    api = await made.start("api")
    async with half_way(made) as half:
        stopping = asyncio.create_task(api.end(signal.SIGTERM))
        await refused(made)
        assert not half.completing.done()
        assert await types(made, half.media_id) == BEGUN[:1]
        await half.held.release()
        await half.completing
    assert made.creator.tried[f"/api/media/{half.media_id}/complete"] == 1
    assert await stopping in {0, -signal.SIGTERM}
    assert await types(made, half.media_id) == BEGUN
    await made.start("api")
    await check_ledger_once_sealed(made)


async def refused(made: World) -> None:
    """Wait until new connections are refused: the process is about to stop."""
    async with asyncio.timeout(30):
        while True:
            try:
                async with httpx.AsyncClient(trust_env=False) as fresh:
                    await fresh.get(f"{made.settings.public_app_url}/livez")
            except httpx.ConnectError:
                return
            except (httpx.RemoteProtocolError, httpx.ReadError):  # taken up as it closed
                continue


async def test_f31_sigterm_in_the_middle_of_dispatch_and_reports_loses_nothing(
    made: World,
) -> None:
    await made.start("api")
    work = await made.start("work")
    await made.serving()
    living = asyncio.create_task(made.live())
    for _ in range(3):
        await asyncio.sleep(0.5)
        # One that loads still has nothing in hand, and ends by the signal itself.
        assert await work.end(signal.SIGTERM) in {0, -signal.SIGTERM}, work.told()
        work = await made.start("work")
    await living
    await made.check()


HOLD_AT = """
CREATE SEQUENCE ddl_seen;
CREATE FUNCTION hold() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('public.ddl_seen') = {number} THEN PERFORM pg_advisory_xact_lock({lock}); END IF;
END $$;
CREATE EVENT TRIGGER hold ON ddl_command_start EXECUTE FUNCTION hold();
"""
ALL = sorted(path.stem for path in MIGRATIONS.glob("*.sql"))


@pytest_asyncio.fixture(loop_scope="session")
async def bare(parts: Parts) -> AsyncIterator[str]:
    """A database in which nothing was migrated."""
    async with _new_database(parts.server_dsn, "template1") as dsn:
        yield dsn


async def started_migrating(host: Host, made: World, dsn: str) -> Process:
    """`codex-media migrate`, started."""
    return await host.start("migrate", ["migrate"], made.environ | {"DATABASE_URL": dsn})


@pytest.mark.parametrize("number", [2, 35, 60])
async def test_f40_a_migration_killed_half_way_is_done_whole_by_those_that_wait(
    made: World, bare: str, number: int
) -> None:
    host = made.parts.host
    made.environ["DATABASE_URL"] = bare
    connection = await asyncpg.connect(bare)
    await connection.execute(HOLD_AT.format(number=number, lock=LOCK))
    async with holding(bare, f"SELECT pg_advisory_xact_lock({LOCK})") as held:
        first = await started_migrating(host, made, bare)
        await held.stopped()
        others = [await started_migrating(host, made, bare) for _ in range(2)]
        await first.end()
        await made.start("api")
        await made.serving()
        assert await readiness(made) == 503
        await held.release()
        assert [await other.ended for other in others] == [0, 0], others[0].told()
    assert await readiness(made) == 200
    rows = await connection.fetch("SELECT migration_id FROM _pogo_migration ORDER BY 1")
    assert [row["migration_id"] for row in rows] == ALL
    await connection.close()
    told = "".join(other.told() for other in others)
    assert (told.count("applied: "), told.count("nothing to apply")) == (1, 1), told


async def readiness(made: World) -> int:
    answer = await made.http.get(f"{made.settings.public_app_url}/readyz")
    return answer.status_code
