"""The continuous check: a few rows at a time, round and round."""

import logging
from uuid import UUID

import pytest

from infra.postgres.pool import Pool
from infra.postgres.replay import LAST, check_projection_once
from tests.infra.replay.histories import tamper


async def test_the_continuous_check_goes_round_and_notes_each_turn(
    pool: Pool, dsn: str, items: list[UUID], caplog: pytest.LogCaptureFixture
) -> None:
    wrong = max(items)
    await tamper(dsn, wrong, "status = 'uploading', width = 3")
    with caplog.at_level(logging.ERROR):
        turns = [await check_projection_once(pool, streams=5, recent_events=0) for _ in range(4)]

    assert turns == [0, 0, 1, 0]
    assert [record.message for record in caplog.records] == [
        f"the row of media={wrong} is not what its events make: width, status"
    ]
    noted = await pool.fetch("SELECT upto, checked, mismatched FROM projection_checks ORDER BY id")
    assert [row["mismatched"] for row in noted] == turns
    assert [row["checked"] for row in noted] == [5, 5, 2, 5]
    assert noted[2]["upto"] == LAST
    assert noted[3]["upto"] == noted[0]["upto"]


async def test_the_continuous_check_looks_at_what_moved_last(
    pool: Pool, dsn: str, items: list[UUID]
) -> None:
    assert await check_projection_once(pool, streams=1, recent_events=50) == 0
    wrong = items[-1]
    await tamper(dsn, wrong, "height = 1")
    assert await check_projection_once(pool, streams=1, recent_events=50) == 1


async def test_turns_long_past_are_forgotten(pool: Pool, items: list[UUID]) -> None:
    await pool.execute(
        "INSERT INTO projection_checks (upto, checked, mismatched)"
        " SELECT $1, 1, 0 FROM generate_series(1, 1100)",
        LAST,
    )
    await check_projection_once(pool)
    assert await pool.fetchval("SELECT count(*) FROM projection_checks") == 1000
