"""Replay: the projection rebuilt and compared while appends go on, and mended."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from uuid import UUID, uuid4

import pytest

from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import Pool
from infra.postgres.replay import (
    FIRST,
    LAST,
    Difference,
    Replay,
    ReplayForbidden,
    ReplayRunning,
    Span,
    open_replay,
)
from tests import factories as f
from tests.infra import lives
from tests.infra.replay.histories import ITEMS, add_event, own_job_ids, owner, tamper

WRITERS = 8
WRONG = {
    "text": "'wrong'",
    "integer": "77",
    "bigint": "77",
    "double precision": "7.5",
    "jsonb": '\'{"code": "wrong"}\'',
    "timestamp with time zone": "'2001-01-01'",
}
ALLOWED = {"status": "'uploaded'", "media_type": "'audio'"}


class Findings:
    """What a pass over the spans told."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.differences: list[Difference] = []

    def __call__(self, span: Span, differences: Sequence[Difference]) -> None:
        self.spans.append(span)
        self.differences += differences


@pytest.fixture
async def replay(dsn: str) -> AsyncIterator[Replay]:
    """A replay in spans of five streams."""
    async with open_replay(dsn) as opened:
        opened.span_streams = 5
        yield opened


async def checked(replay: Replay) -> list[Difference]:
    found = Findings()
    await replay.check(found)
    return found.differences


async def test_spans_hold_every_id_once(replay: Replay, items: list[UUID]) -> None:
    found = Findings()
    await replay.check(found)

    assert found.differences == []
    assert [span.streams for span in found.spans] == [5, 5, 2]
    assert (found.spans[0].first, found.spans[-1].last) == (FIRST, LAST)
    for earlier, later in zip(found.spans, found.spans[1:], strict=False):
        assert later.first.int == earlier.last.int + 1


async def test_an_empty_database_has_nothing_to_mend(replay: Replay) -> None:
    found = Findings()
    await replay.rebuild(lambda _: None)
    for step in (replay.check, replay.compare, replay.switch):
        await step(found)
    assert found.differences == []


@pytest.mark.usefixtures("items")
async def test_the_rebuilt_table_is_the_live_one(replay: Replay, pool: Pool) -> None:
    found = Findings()
    met: list[int] = []
    await replay.rebuild(met.append)
    await replay.compare(found)

    assert (sum(met), found.differences) == (ITEMS, [])
    for one, other in (("", "_rebuilt"), ("_rebuilt", "")):
        query = f"TABLE media_items{one} EXCEPT TABLE media_items{other}"
        assert await replay.connection.fetch(query) == []


async def test_a_wrong_value_in_any_column_is_found_shown_and_mended(
    replay: Replay, dsn: str, items: list[UUID]
) -> None:
    columns = await replay.connection.fetch(
        "SELECT attname, atttypid::regtype::text AS type FROM pg_attribute"
        " WHERE attrelid = 'media_items'::regclass AND attnum > 0 AND attname <> 'id'"
    )
    before = await replay.connection.fetch("SELECT * FROM media_items ORDER BY id")
    for place, (name, kind) in enumerate(columns):
        await tamper(dsn, items[place % ITEMS], f"{name} = {ALLOWED.get(name, WRONG[kind])}")

    found = await checked(replay)
    shown = {(each.media_id, name) for each in found for name, _, _ in each.columns()}
    tampered = {(items[place % ITEMS], name) for place, (name, _) in enumerate(columns)}
    assert shown == tampered

    told = Findings()
    await replay.rebuild(lambda _: None)
    await replay.compare(told)
    assert told.differences == found
    await replay.switch(Findings())
    assert await checked(replay) == []
    assert await replay.connection.fetch("SELECT * FROM media_items ORDER BY id") == before


async def test_a_missing_row_and_one_without_events_are_found_and_mended(
    replay: Replay, dsn: str, items: list[UUID]
) -> None:
    missing, stray = items[1], uuid4()  # items[1] expired: nothing refers to its row
    async with owner(dsn) as connection:
        await connection.execute(
            "INSERT INTO media_items SELECT (jsonb_populate_record(m, jsonb_build_object('id',"
            " $2::text))).* FROM media_items m WHERE id = $1",
            missing,
            str(stray),
        )
        await connection.execute("INSERT INTO outbox VALUES ($1, 1)", stray)
        await connection.execute("DELETE FROM media_items WHERE id = $1", missing)

    found = {each.media_id: each for each in await checked(replay)}
    assert set(found) == {missing, stray}
    assert found[missing].kept is None
    assert found[stray].folded is None
    assert ("status", None, "failed") in found[missing].columns()

    await replay.rebuild(lambda _: None)
    await replay.switch(Findings())
    assert await checked(replay) == []
    left = "SELECT FROM outbox WHERE media_id = $1"
    assert await replay.connection.fetch(left, stray) == []


async def test_writers_meanwhile_make_no_difference_and_a_wrong_row_is_found_among_them(
    replay: Replay, pool: Pool, dsn: str, items: list[UUID]
) -> None:
    store = PostgresEventStore(pool)
    stop = asyncio.Event()
    written = [0]

    async def write() -> None:
        while not stop.is_set():
            media_id = uuid4()
            for events in own_job_ids(lives.RETRIED, media_id):
                await lives.append(store, events, media_id)
                written[0] += len(events)

    await tamper(dsn, items[0], "width = 3")
    writers = [asyncio.create_task(write()) for _ in range(WRITERS)]
    try:
        plain, rebuilt, switched = Findings(), Findings(), Findings()
        for _ in range(3):
            await replay.check(plain)
            await replay.rebuild(lambda _: None)
            await asyncio.sleep(0.2)
            await replay.compare(rebuilt)
        before = written[0]
        await replay.switch(switched)
        await asyncio.sleep(0.2)
    finally:
        stop.set()
        await asyncio.gather(*writers)

    assert written[0] > before > 100
    assert [each.media_id for each in plain.differences] == [items[0]] * 3
    assert [each.media_id for each in rebuilt.differences] == [items[0]] * 3
    assert [each.columns() for each in switched.differences] == [[("width", 3, 1280)]]
    assert await checked(replay) == []


async def test_a_switch_waits_for_an_append_and_folds_after_it(
    replay: Replay, pool: Pool, dsn: str
) -> None:
    await lives.live(PostgresEventStore(pool), lives.REGISTERED)
    await tamper(dsn, f.MEDIA_ID, "width = 3")
    await replay.rebuild(lambda _: None)
    async with owner(dsn) as connection, connection.transaction():
        await connection.execute("SELECT FROM streams FOR UPDATE")
        switching = asyncio.create_task(replay.switch(Findings()))
        await asyncio.sleep(0.1)
        assert not switching.done()
        await add_event(connection, f.MEDIA_ID, 2, f.upload_expired())
        await connection.execute("DELETE FROM media_items")
        await connection.execute("INSERT INTO media_items SELECT * FROM media_items_folded")
    await switching

    assert await checked(replay) == []
    assert await pool.fetchval("SELECT status FROM media_items") == "failed"


async def test_a_switch_that_breaks_off_changes_nothing(
    replay: Replay, dsn: str, items: list[UUID]
) -> None:
    for media_id in items[:3]:
        await tamper(dsn, media_id, "encoder_note = 'wrong'")
    await replay.rebuild(lambda _: None)

    def break_off(span: Span, differences: Sequence[Difference]) -> None:
        if span.last == LAST:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await replay.switch(break_off)
    assert len(await checked(replay)) == 3


async def test_a_second_replay_waits_its_turn(replay: Replay, dsn: str) -> None:
    with pytest.raises(ReplayRunning, match="Another replay"):
        async with open_replay(dsn):
            pass
    assert await checked(replay) == []


async def test_a_role_without_the_right_is_told_which_one_is_needed(dsn: str) -> None:
    async def rebuild_as_the_application() -> None:
        async with open_replay(dsn) as opened:
            await opened.connection.execute("SET ROLE codex_media_app")
            await opened.rebuild(lambda _: None)

    with pytest.raises(ReplayForbidden, match="role that runs the migrations"):
        await rebuild_as_the_application()


def test_a_difference_names_its_columns() -> None:
    kept, folded = json.loads('{"a": 1, "b": null}'), json.loads('{"a": 2, "b": null}')
    assert Difference(FIRST, kept, folded).columns() == [("a", 1, 2)]
