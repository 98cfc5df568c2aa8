"""F40: `codex-media migrate`, killed in the middle of a migration's transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest

from infra.postgres.migrations import MIGRATIONS, migrate
from infra.settings import load
from tests.api.service import Service, running
from tests.infra.embedded.processes import eventually
from tests.infra.test_migrations import schema
from tests.processes import Program, codex_media

ALL = sorted(path.stem for path in MIGRATIONS.glob("*.sql"))
IN_THE_WAY = {"media_items": ALL, "ledger": ALL[1:]}
"""A table that a migration makes, and what is not applied where it cannot be made."""
HELD_UP, WAITS_ITS_TURN = "transactionid", "advisory"
PATIENCE_S = 60.0


@asynccontextmanager
async def in_the_way(dsn: str, table: str) -> AsyncIterator[None]:
    """An uncommitted table of this name, which holds up the migration that makes it."""
    holder = await asyncpg.connect(dsn)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute(f"CREATE TABLE {table} (id integer)")
    yield
    await transaction.rollback()
    await holder.close()


class Watcher:
    """Sees who waits for whom in the database."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    async def _waiting(self, event: str) -> int:
        count: int = await self._connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event = $1",
            event,
        )
        return count

    async def sees(self, count: int, event: str) -> None:
        """Wait until so many sessions wait for `event`."""

        async def so_many() -> bool:
            return await self._waiting(event) == count

        assert await eventually(so_many, PATIENCE_S), event


@pytest.fixture
async def watcher(bare_dsn: str) -> AsyncIterator[Watcher]:
    connection = await asyncpg.connect(bare_dsn)
    yield Watcher(connection)
    await connection.close()


async def kill(program: Program) -> None:
    """`kill -9`."""
    program.process.kill()
    assert (await program.end()).code == -9


async def readiness(service: Service) -> tuple[int, str]:
    """What the probe says of the database."""
    answer = await service.http.get("/readyz")
    return answer.status_code, answer.json()["checks"]["database"]


@pytest.mark.parametrize("table", IN_THE_WAY)
async def test_f40_migration_killed_half_way_is_completed_by_the_next_run(
    environ: dict[str, str], bare_dsn: str, dsn: str, watcher: Watcher, table: str
) -> None:
    missing = IN_THE_WAY[table]
    environ |= {"DATABASE_URL": bare_dsn}
    async with running(load(environ)) as service:
        async with in_the_way(bare_dsn, table), codex_media(environ, "migrate") as program:
            await watcher.sees(1, HELD_UP)
            assert (await readiness(service))[0] == 503
            await kill(program)
        # The second migration gives the service its rights, so it cannot see what is applied.
        behind = "run `codex-media migrate`: not applied yet: the rights of codex_media_app"
        assert await readiness(service) == (503, behind)
        async with codex_media(environ, "migrate") as again:
            ended = await again.end()
        assert (ended.code, " ".join(ended.out.split())) == (0, f"applied: {', '.join(missing)}")
        assert await readiness(service) == (200, "ok")
    assert await schema(bare_dsn) == await schema(dsn)
    assert await migrate(bare_dsn) == []


async def test_f40_replicas_that_start_while_one_is_killed_complete_its_work(
    environ: dict[str, str], bare_dsn: str, dsn: str, watcher: Watcher
) -> None:
    environ |= {"DATABASE_URL": bare_dsn}
    async with AsyncExitStack() as stack:
        async with in_the_way(bare_dsn, "ledger"), codex_media(environ, "migrate") as first:
            await watcher.sees(1, HELD_UP)
            others = [
                await stack.enter_async_context(codex_media(environ, "migrate")) for _ in range(2)
            ]
            await watcher.sees(2, WAITS_ITS_TURN)
            await kill(first)
        ended = await asyncio.gather(*(other.end() for other in others))
    told = sorted(" ".join(each.out.split()) for each in ended)
    assert told == [f"applied: {', '.join(ALL[1:])}", "nothing to apply"]
    assert await schema(bare_dsn) == await schema(dsn)
