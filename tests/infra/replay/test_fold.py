"""The fold in SQL makes of any history what the domain makes of it."""

import json
import random
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.events import Event
from domain.lifecycle import Status
from domain.read_model import MediaRow, project_history
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import Pool
from tests import factories as f
from tests.infra import lives
from tests.infra.replay.histories import owner, random_history, recorded_at, write

HISTORIES = 400
TIMESTAMPS = ("deadline_at", "created_at", "updated_at")


def as_the_domain_makes_it(media_id: UUID, history: list[Event]) -> dict[str, object]:
    row = project_history(media_id, history)
    assert row is not None
    deadline = row["deadline_at"]
    return {
        **row,
        "deadline_at": deadline and datetime.fromisoformat(deadline),
        "created_at": recorded_at(1),
        "updated_at": recorded_at(len(history)),
    }


def as_sql_makes_it(text: str) -> dict[str, object]:
    row: dict[str, Any] = json.loads(text)
    times = {name: row[name] and datetime.fromisoformat(row[name]) for name in TIMESTAMPS}
    return row | times


async def test_random_histories_fold_alike(dsn: str) -> None:
    chance = random.Random(3)  # noqa: S311 - the same histories every time
    histories = {uuid4(): random_history(chance) for _ in range(HISTORIES)}
    async with owner(dsn) as connection:
        for media_id, history in histories.items():
            await write(connection, media_id, history)
        rows = await connection.fetch("SELECT id, to_jsonb(m) AS row FROM media_items_folded m")

    folded = {row["id"]: as_sql_makes_it(row["row"]) for row in rows}
    assert {row["status"] for row in folded.values()} == set(Status)
    assert folded == {
        media_id: as_the_domain_makes_it(media_id, history)
        for media_id, history in histories.items()
    }


@pytest.mark.parametrize("name", lives.LIVES)
async def test_appended_lives_fold_to_the_rows_that_were_kept(pool: Pool, name: str) -> None:
    await lives.live(PostgresEventStore(pool), lives.LIVES[name])

    kept = await pool.fetchval("SELECT to_jsonb(m) FROM media_items m")

    assert kept == await pool.fetchval("SELECT to_jsonb(m) FROM media_items_folded m")
    assert json.loads(kept)["id"] == str(f.MEDIA_ID)


async def test_the_fold_has_the_columns_of_the_table_in_their_order(pool: Pool) -> None:
    columns = {}
    for name in ("media_items", "media_items_folded"):
        rows = await pool.fetch(
            "SELECT attname, atttypid::regtype::text FROM pg_attribute"
            " WHERE attrelid = $1::text::regclass AND attnum > 0 ORDER BY attnum",
            name,
        )
        columns[name] = [tuple(row) for row in rows]

    assert columns["media_items_folded"] == columns["media_items"]
    named = {name for name, _ in columns["media_items"]}
    assert named == set(MediaRow.__annotations__) | {"created_at", "updated_at"}
