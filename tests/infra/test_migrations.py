"""Migrations: applied once however many processes start, and whole or not at all."""

import asyncio
import logging
import subprocess
import sys
import zipfile
from pathlib import Path

import asyncpg
import pytest
from pogo_core.util import migrate as pogo

from infra.postgres.migrations import MIGRATIONS, migrate, require_current
from infra.postgres.pool import SchemaBehind, open_pool

PROCESSES = 6
ALL = sorted(path.stem for path in MIGRATIONS.glob("*.sql"))
SOURCE = Path(__file__).parents[2] / "src"
PROGRAM = """
import asyncio, sys
from infra.postgres.migrations import migrate
print("ready", flush=True)
input()
print(*asyncio.run(migrate(sys.argv[1])))
"""
CUT = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


async def start_process(dsn: str) -> asyncio.subprocess.Process:
    """A process that is about to migrate, and waits for a line to do it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, dsn),
        env={"PYTHONPATH": str(SOURCE), "PATH": ""},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
    return process


async def finish(process: asyncio.subprocess.Process) -> list[str]:
    """Let it migrate; the names it says it applied."""
    output, problems = await asyncio.wait_for(process.communicate(b"\n"), 30)
    assert process.returncode == 0, problems.decode()
    return output.decode().split()


async def schema(dsn: str) -> list[tuple[str, str]]:
    """What the migrations made: (kind, name) of all tables, indexes and functions of ours.

    Functions with their settings.
    """
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            """
            SELECT relkind::text, relname::text FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relname !~ 'pogo'
            UNION ALL
            SELECT 'function', oid::regprocedure::text || coalesce(proconfig::text, '') FROM pg_proc
                WHERE pronamespace = 'public'::regnamespace
            ORDER BY 1, 2
            """
        )
    finally:
        await connection.close()
    return [(row[0], row[1]) for row in rows]


def test_installed_wheel_finds_its_migrations(tmp_path: Path) -> None:
    build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    subprocess.run(build, cwd=SOURCE.parent, check=True, capture_output=True, timeout=30)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    program = "from infra.postgres.migrations import MIGRATIONS as m; print(m, *m.glob('*.sql'))"
    found = subprocess.run(
        (sys.executable, "-c", program),
        env={"PYTHONPATH": str(tmp_path / "installed"), "PATH": ""},
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    folder, *files = found.stdout.split()
    assert folder == str(tmp_path / "installed" / "migrations")
    assert sorted(Path(file).stem for file in files) == ALL


async def test_f40_processes_that_start_together_apply_each_migration_once(
    bare_dsn: str, dsn: str
) -> None:
    processes = await asyncio.gather(*(start_process(bare_dsn) for _ in range(PROCESSES)))
    applied = await asyncio.gather(*(finish(process) for process in processes))
    assert sorted(applied, key=len) == [[]] * (PROCESSES - 1) + [ALL]
    assert await schema(bare_dsn) == await schema(dsn)


async def test_migrating_again_applies_nothing(bare_dsn: str) -> None:
    assert await migrate(bare_dsn) == ALL
    assert await migrate(bare_dsn) == []


async def test_f40_migration_cut_half_way_leaves_nothing_for_the_next(
    bare_dsn: str,
) -> None:
    holder, watcher = await asyncpg.connect(bare_dsn), await asyncpg.connect(bare_dsn)
    # An uncommitted table of a name that the migration needs holds it up in its middle.
    in_the_way = holder.transaction()
    await in_the_way.start()
    await holder.execute("CREATE TABLE media_items (id integer)")
    migrating = asyncio.create_task(migrate(bare_dsn))
    await terminate_blocked(watcher)
    with pytest.raises(CUT):
        await migrating
    await in_the_way.rollback()
    await holder.close()
    await watcher.close()
    assert await schema(bare_dsn) == []
    assert await migrate(bare_dsn) == ALL


async def terminate_blocked(watcher: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Cut the session that waits for another's lock, as soon as there is one."""
    for _ in range(200):
        cut = await watcher.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
        )
        if cut:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("nothing was held up")


async def test_f40_schema_is_required_before_and_found_after(bare_dsn: str) -> None:
    async with open_pool(bare_dsn, 2) as pool:
        with pytest.raises(SchemaBehind, match="codex-media migrate") as behind:
            await require_current(pool)
        assert behind.value.missing == ALL
        await migrate(bare_dsn)
        await require_current(pool)


async def test_rollback_removes_everything_and_applying_works_again(
    bare_dsn: str, dsn: str
) -> None:
    await migrate(bare_dsn)
    connection = await asyncpg.connect(bare_dsn)
    try:
        log = logging.getLogger(__name__)
        await pogo.rollback(connection, MIGRATIONS, schema_name="public", logger=log)
    finally:
        await connection.close()
    assert await schema(bare_dsn) == []
    assert await migrate(bare_dsn) == ALL
    assert await schema(bare_dsn) == await schema(dsn)
