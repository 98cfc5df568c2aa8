"""Reads of the projection, progress beside it, and the inbox of webhooks."""

from uuid import UUID, uuid4

import asyncpg
import pytest

from domain.lifecycle import Status
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import Pool
from infra.postgres.progress import ProgressBoard
from infra.postgres.reads import Cursor, MediaReads
from tests import factories as f
from tests.infra import lives
from tests.infra.lives import append, live


@pytest.fixture
def store(pool: Pool) -> PostgresEventStore:
    return PostgresEventStore(pool)


@pytest.fixture
def reads(pool: Pool) -> MediaReads:
    return MediaReads(pool)


@pytest.fixture
def board(pool: Pool) -> ProgressBoard:
    return ProgressBoard(pool)


async def percent(reads: MediaReads, media_id: UUID = f.MEDIA_ID) -> float | None:
    """The progress that a status read shows."""
    item = await reads.item(media_id, f.CREATOR)
    assert item is not None
    return item.progress.percent if item.progress else None


async def test_item_is_its_creators_alone(store: PostgresEventStore, reads: MediaReads) -> None:
    await live(store, lives.FAILED)
    item = await reads.item(f.MEDIA_ID, f.CREATOR)
    assert item is not None
    assert (item.status, item.version) == (Status.FAILED, 5)
    assert item.transcoding_error == {
        "code": "encode_failed",
        "message": "The encoder stopped.",
        "retryable": True,
    }
    assert item.created_at < item.updated_at
    assert await reads.item(f.MEDIA_ID, "creator-2") is None
    assert await reads.item(uuid4(), f.CREATOR) is None


async def test_only_a_ready_item_has_a_playlist_to_play(
    store: PostgresEventStore, reads: MediaReads
) -> None:
    assert await reads.master_key(f.MEDIA_ID) is None
    for events in lives.READY:
        assert await reads.master_key(f.MEDIA_ID) is None
        await append(store, events)
    assert await reads.master_key(f.MEDIA_ID) == f.video_outputs().hls_master_playlist_key


async def test_pages_go_through_everything_once_newest_first(
    owner: Pool, store: PostgresEventStore, reads: MediaReads
) -> None:
    ids = sorted(uuid4() for _ in range(7))
    for media_id in ids:
        await live(store, lives.REGISTERED, media_id)
    # Some were made in the same microsecond: the id decides between them.
    await owner.execute(
        "UPDATE media_items SET created_at = '2026-01-01+0' WHERE id = ANY($1)", ids[:4]
    )
    await append(store, [f.upload_expired()], ids[0])
    seen: list[UUID] = []
    after: Cursor | None = None
    while page := await reads.page(f.CREATOR, None, after, 2):
        seen += [item.id for item in page]
        after = Cursor(page[-1].created_at, page[-1].id)
    assert seen == [*reversed(ids[4:]), *reversed(ids[:4])]
    assert [item.id for item in await reads.page(f.CREATOR, Status.FAILED, None, 9)] == [ids[0]]
    assert await reads.page("creator-2", None, None, 9) == []


async def test_progress_goes_forward_only(
    store: PostgresEventStore, reads: MediaReads, board: ProgressBoard
) -> None:
    await live(store, lives.SUBMITTED)
    assert await percent(reads) is None
    for reported in (40.0, 25.0):
        await board.save(f.MEDIA_ID, 1, reported, "encode", "720p")
        assert await percent(reads) == 40
    await board.save(f.MEDIA_ID, 1, 100.0, "finish", None)
    assert await percent(reads) == 100


async def test_progress_of_another_attempt_is_neither_kept_nor_shown(
    store: PostgresEventStore, reads: MediaReads, board: ProgressBoard
) -> None:
    await live(store, lives.SUBMITTED)
    await board.save(f.MEDIA_ID, 1, 80.0, "encode", None)
    await board.save(f.MEDIA_ID, 2, 90.0, "encode", None)
    assert await percent(reads) == 80
    await append(store, [f.transcoding_failed()])
    assert await percent(reads) is None
    await append(store, [f.retry_requested(), f.transcoding_requested(2)])
    await board.save(f.MEDIA_ID, 1, 99.0, "encode", None)
    assert await percent(reads) is None
    await board.save(f.MEDIA_ID, 2, 3.0, "download", None)
    assert await percent(reads) == 3


async def test_statement_that_takes_too_long_is_ended_by_the_server(pool: Pool) -> None:
    assert await pool.fetchval("SHOW statement_timeout") == "10s"
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = '50ms'")
        with pytest.raises(asyncpg.QueryCanceledError):
            await connection.fetchval("SELECT pg_sleep(5)")
