"""The embedded PostgreSQL: made once, kept over `kill -9`, reachable by us alone."""

import contextlib
import os
import stat
from pathlib import Path

import asyncpg
import psutil
import pytest

from infra.embedded.errors import ChildDied
from infra.embedded.postgres import Postgres, start_postgres
from infra.embedded.supervisor import RunAs, Supervisor
from infra.embedded.unprivileged import SYSTEM_FOLDER, run_as_nobody
from tests.infra.embedded.processes import Started, eventually, running
from tests.processes import remove_database


async def ask(server: Postgres, query: str) -> object:
    connection = await asyncpg.connect(server.dsn, timeout=5)
    try:
        return await connection.fetchval(query, timeout=5)
    finally:
        await connection.close()


async def keep_a_row(server: Postgres) -> None:
    await ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")


async def test_second_start_finds_the_data_and_is_durable_unless_told_otherwise(
    tmp_path: Path,
) -> None:
    async with Supervisor(tmp_path) as supervisor:
        server = await start_postgres(supervisor, durable=False)
        assert await ask(server, "SHOW fsync") == "off"
        await keep_a_row(server)
    async with Supervisor(tmp_path) as supervisor:
        server = await start_postgres(supervisor)
        assert await ask(server, "SELECT answer FROM kept") == 42
        assert await ask(server, "SHOW fsync") == "on"
        assert await ask(server, "SHOW synchronous_commit") == "on"
        assert await ask(server, "SELECT current_database()") == "codex_media"


async def test_server_that_was_killed_is_reported_and_recovers_on_the_next_start(
    tmp_path: Path,
) -> None:
    mine = Started()
    async with Supervisor(tmp_path) as supervisor:
        server = await start_postgres(supervisor)
        await keep_a_row(server)
        processes = mine.now()
        for process in reversed(processes):  # the server before its tether, which would stop it
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        assert (await supervisor.first_death()).name == "postgres"
        assert await eventually(lambda: running(processes) == [], 5)
    # As after a restart of the machine, the left process id belongs to something else: to us.
    pid_file = tmp_path / "postgres" / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
    async with Supervisor(tmp_path) as supervisor:
        server = await start_postgres(supervisor)
        assert await ask(server, "SELECT answer FROM kept") == 42


async def test_first_start_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    unfinished = tmp_path / "postgres" / "data.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    async with Supervisor(tmp_path) as supervisor:
        assert await ask(await start_postgres(supervisor, durable=False), "SELECT 1") == 1


async def test_socket_is_ours_alone_and_its_path_short_however_deep_the_folder(
    tmp_path: Path,
) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    for _ in range(2):
        async with Supervisor(deep) as supervisor:
            server = await start_postgres(supervisor, durable=False)
            assert await ask(server, "SELECT 1") == 1
            assert await ask(server, "SHOW listen_addresses") == ""
            assert len(str(server.socket_folder)) < 80
            assert stat.S_IMODE(server.socket_folder.stat().st_mode) == 0o700
        assert not server.socket_folder.exists()


async def test_damaged_data_is_reported_with_the_servers_own_words(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    async with Supervisor(tmp_path) as supervisor:
        with pytest.raises(ChildDied, match="postgres ended with exit code 2"):
            await start_postgres(supervisor)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop to nobody")
async def test_root_without_user_namespaces_runs_it_as_nobody_behind_a_closed_folder(
    tmp_path: Path,
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / "data"
    try:
        for _ in range(2):
            async with Supervisor(folder) as supervisor:
                server = await start_postgres(supervisor, durable=False, run_as=run_as_nobody())
                pid_file = folder / "postgres" / "data" / "postmaster.pid"
                server_pid = int(pid_file.read_text().splitlines()[0])
                assert psutil.Process(server_pid).username() == "nobody"
                await ask(server, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
        assert (folder / "postgres").resolve().is_relative_to(SYSTEM_FOLDER)
    finally:
        remove_database(folder)


async def test_ordinary_user_runs_it_as_is(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        async with Supervisor(tmp_path) as supervisor:
            with pytest.raises(ChildDied, match="cannot be run as root"):
                await start_postgres(supervisor, run_as=RunAs())
    else:
        async with Supervisor(tmp_path) as supervisor:
            server = await start_postgres(supervisor, durable=False)
            assert server.run_as == RunAs()
