"""The database keeps creators apart by itself: a forgotten condition lets nothing through."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio

from domain.events import Event
from infra.ledger.sealer import Sealer
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.live import LiveReads
from infra.postgres.pool import Pool, acting_for, open_pool
from infra.postgres.queries import statements
from infra.postgres.reads import MediaReads
from infra.settings import Settings
from tests import factories as f
from tests.infra import lives
from tests.infra.lives import append, live

OTHER = "creator-2"
OTHERS_ID = UUID(int=2)
CONDITIONS = ("AND m.creator_id = p_creator", "m.creator_id = p_creator\n          AND ")


def of_other(event: Event) -> Event:
    """The same, of the other creator."""
    own = {"creator_id": OTHER, "runpod_job_id": "job-2"}
    known = {name: own[name] for name in own if name in type(event).model_fields}
    return event.model_copy(update=known)


@pytest_asyncio.fixture
async def two(pool: Pool, settings: Settings) -> AsyncIterator[Pool]:
    """A database with an item of each of two creators, all of it sealed."""
    store = PostgresEventStore(pool)
    await live(store, lives.READY)
    for events in lives.SUBMITTED:
        await append(store, [of_other(event) for event in events], OTHERS_ID)
    while await Sealer(pool, settings).seal_once():
        continue
    yield pool


async def without_conditions(owner: Pool) -> int:
    """Break both functions by hand: they ask for everybody's items. How many conditions went."""
    rows = await owner.fetch(
        "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname IN ('own_item', 'own_items')"
    )
    gone = 0
    for (text,) in rows:
        broken = text
        for condition in CONDITIONS:
            broken = broken.replace(condition, "")
        gone += broken != text
        await owner.execute(broken)
    return gone


async def test_a_forgotten_condition_lets_nothing_through(two: Pool, owner: Pool) -> None:
    reads = MediaReads(two)
    assert await without_conditions(owner) == 2
    assert await reads.item(f.MEDIA_ID, f.CREATOR) is not None
    assert await reads.item(f.MEDIA_ID, OTHER) is None
    assert await reads.state(f.MEDIA_ID, OTHER) is None
    assert [item.id for item in await reads.page(OTHER, None, None, 9)] == [OTHERS_ID]
    await owner.execute("DROP POLICY own ON media_items")
    await owner.execute("ALTER TABLE media_items DISABLE ROW LEVEL SECURITY")
    assert await reads.item(f.MEDIA_ID, OTHER) is not None, "it was the policy that kept it"


async def test_a_history_is_its_creators_alone(two: Pool) -> None:
    reads = MediaReads(two)
    assert len(await reads.history(f.MEDIA_ID, f.CREATOR)) == len(lives.READY) + 1
    assert await reads.history(f.MEDIA_ID, OTHER) == []
    assert await reads.history(OTHERS_ID, f.CREATOR) == []


@pytest.mark.parametrize("name", ["changes", "changes_of"])
async def test_a_stream_that_asks_for_all_gets_its_creators(
    two: Pool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_reads = LiveReads(two)
    size = await live_reads.size()
    if name == "changes_of":
        monkeypatch.setattr("infra.postgres.live.NEAR", 0)
    before, broken = statements()[name], dict(statements())
    for condition in ("= ANY ($3::text[])", "= $1"):
        forgotten = f"('x' {condition}) IS NOT NULL"
        broken[name] = broken[name].replace(f"m.creator_id {condition}", forgotten)
    assert broken[name] != before
    monkeypatch.setattr("infra.postgres.queries.statements", lambda: broken)
    found = [each async for page in live_reads.changes_of(OTHER, 0, size) for each in page]
    assert {each.row.id for each in found} == {OTHERS_ID}


@pytest.mark.parametrize(
    "count",
    [
        "SELECT count(*) FROM media_items",
        "SELECT count(*) FROM events",
        "SELECT count(*) FROM personal",
        "SELECT count(*) FROM media_items m JOIN events e ON e.stream_id = m.id",
        "SELECT count(*) FROM ledger JOIN events USING (position)",
    ],
)
async def test_who_acts_for_a_creator_sees_no_other(two: Pool, count: str) -> None:
    async with acting_for(two, OTHER) as connection:
        seen = await connection.fetchval(count)
        own = await connection.fetchval("SELECT creator_id FROM media_items")
    async with acting_for(two, "creator-3") as connection:
        none = await connection.fetchval(count)
    assert (own, none) == (OTHER, 0)
    assert 0 < seen < await two.fetchval(count)


@pytest.mark.parametrize("name", ["*", "", "creator-1,creator-2", "creator%"])
async def test_no_name_opens_everything(two: Pool, name: str) -> None:
    async with acting_for(two, name) as connection:
        assert await connection.fetchval("SELECT count(*) FROM media_items") == 0
        assert await connection.fetchval("SELECT count(*) FROM events") == 0
    assert await MediaReads(two).page(name, None, None, 9) == []


async def test_the_loops_see_all_again_on_the_connection_that_a_creator_had(
    two: Pool, dsn: str
) -> None:
    async with open_pool(dsn, 1) as one:
        for _ in range(2):
            assert await MediaReads(one).item(f.MEDIA_ID, f.CREATOR) is not None
            assert await one.fetchval("SELECT count(*) FROM media_items") == 2
            async with acting_for(one, OTHER):
                pass
            assert await one.fetchval("SELECT count(*) FROM media_items") == 2
