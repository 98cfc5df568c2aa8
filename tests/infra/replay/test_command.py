"""`codex-media replay`, as a person runs it."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from api.cli.replay import Outcome
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import Pool
from infra.postgres.replay import FIRST, LAST, Difference, Span, open_replay
from tests import factories as f
from tests.api.console import Console, Told
from tests.infra import lives
from tests.infra.replay.histories import owner
from tests.infra.variables import ENVIRON

Run = Callable[..., Awaitable[Told]]


@pytest.fixture
def run(dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`codex-media replay ARGV` on this test's database."""
    for name, value in {**ENVIRON, "DATABASE_URL": dsn, "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)
    console = Console(monkeypatch, capsys)

    async def told(*argv: str) -> Told:
        return await asyncio.to_thread(console.run, "replay", *argv)

    return told


@pytest.fixture
async def wrong_row(pool: Pool, dsn: str) -> None:
    """One item, of whose row two columns are wrong."""
    await lives.live(PostgresEventStore(pool), lives.FAILED)
    async with owner(dsn) as connection:
        await connection.execute("UPDATE media_items SET width = 3, encoder = '[bold]'")


async def test_a_projection_that_fits_is_told_so(run: Run, pool: Pool) -> None:
    await lives.live(PostgresEventStore(pool), lives.READY)
    for argv in ((), ("--check",), ("--switch",)):
        told = await run(*argv)
        assert (told.code, told.err.strip()) == (0, "")
        assert "streams compared: 1; rows that differ: 0" in told.out


@pytest.mark.usefixtures("wrong_row")
async def test_differences_are_shown_column_by_column_and_mended_by_switch(run: Run) -> None:
    for argv in (("--check",), ()):
        told = await run(*argv)
        assert told.code == 1
        assert f"media     {f.MEDIA_ID}" in told.out
        assert "  width: kept 3, events make None" in told.out
        assert "  encoder: kept '[bold]', events make None" in told.out
        assert "rows that differ: 1 (`--switch` mends them)" in told.out

    told = await run("--switch")
    assert (told.code, "rows that differ: 1; mended: 1" in told.out) == (0, True)
    assert (await run("--check")).code == 0


@pytest.mark.usefixtures("wrong_row")
async def test_programs_get_one_object(run: Run) -> None:
    told = await run("--json")
    assert json.loads(told.out) == {
        "streams": 1,
        "differences": 1,
        "mended": None,
        "rows": [
            {
                "mediaId": str(f.MEDIA_ID),
                "columns": {
                    "width": {"kept": 3, "folded": None},
                    "encoder": {"kept": "[bold]", "folded": None},
                },
            }
        ],
    }


async def test_check_makes_no_table(run: Run, pool: Pool) -> None:
    await run("--check")
    assert await pool.fetchval("SELECT to_regclass('media_items_rebuilt')") is None


async def test_a_second_replay_is_told_in_a_sentence(run: Run, dsn: str) -> None:
    async with open_replay(dsn):
        told = await run()
    assert (told.code, told.out) == (1, "")
    assert (
        told.err == "error: Another replay runs on this database. Wait for it, then start again.\n"
    )


async def test_check_and_switch_together_are_refused(run: Run) -> None:
    assert (await run("--check", "--switch")).code == 2


def test_an_outcome_holds_no_more_rows_than_it_shows() -> None:
    outcome = Outcome(shown_at_most=3)
    for _ in range(4):
        outcome.found(Span(FIRST, LAST, 2), [Difference(FIRST, None, {"a": 1})] * 2)
    assert (outcome.streams, outcome.differences, len(outcome.shown)) == (8, 8, 3)
