"""Random histories, the unlawful ones among them: folding asks no rule."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg

from domain.events import Event, MediaType
from domain.failure import ErrorCode
from infra.postgres.event_store import canonical
from tests import factories as f
from tests.infra.lives import Life

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

BEGAN = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
MAX_EVENTS = 14
ERASED_SHARE = 0.2
ITEMS = 12


@asynccontextmanager
async def owner(dsn: str) -> AsyncIterator["Connection"]:
    """A connection with the rights of the role that runs the migrations."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


def random_history(chance: random.Random) -> list[Event]:
    """An item's life in any order, as long as it begins at the beginning."""
    kind = chance.choice(list(MediaType))
    history: list[Event] = [
        f.registered(kind, chance.choice(["holiday.mp4", 'Übung "1".mp3', "a\\b 🎬.mov"])),
        *(_random_event(chance) for _ in range(chance.randrange(MAX_EVENTS))),
    ]
    return [*history, f.erased()] if chance.random() < ERASED_SHARE else history


def _random_event(chance: random.Random) -> Event:
    attempt = chance.randint(1, 3)
    outputs = chance.choice([f.video_outputs(), f.video_outputs("no GPU"), f.audio_outputs()])
    duration = chance.choice([0.1, 1e-7, 3.0, chance.random() * 1e5])
    deadline = f.TRANSCODING_DEADLINE + timedelta(microseconds=chance.randrange(10**9))
    failed = f.transcoding_failed(attempt, chance.choice(list(ErrorCode)))
    events: list[Event] = [
        f.upload_completed(chance.choice([f.ETAG, '"other"'])),
        f.upload_expired(),
        f.transcoding_requested(attempt).model_copy(update={"deadline": deadline}),
        f.transcoding_submitted(attempt, f.job_id(attempt, chance.randint(1, 3))),
        f.transcoding_started(attempt),
        f.transcoding_completed(attempt, outputs._replace(duration_seconds=duration)),
        failed.model_copy(update={"message": chance.choice(["It's\nover.", '"{}"', ""])}),
        f.retry_requested(),
    ]
    return chance.choice(events)


async def write(connection: "Connection", media_id: UUID, history: Sequence[Event]) -> None:
    """Put a history into the table of events, past the function that would refuse some."""
    await connection.execute("INSERT INTO streams VALUES ($1, $2, '', '')", media_id, len(history))
    for version, event in enumerate(history, start=1):
        await add_event(connection, media_id, version, event)


async def add_event(connection: "Connection", media_id: UUID, version: int, event: Event) -> None:
    """Put one event into the table."""
    event, record = f.sealed(event)
    if record is not None:
        await connection.execute(
            "INSERT INTO personal VALUES ($1, $2, $3, $4)", media_id, version, *record
        )
    values = {
        "stream_id": media_id,
        "version": version,
        "event_id": uuid4(),
        "type": event.type,
        "schema_version": event.schema_version,
        "payload": canonical(event),
        "actor": "system:test",
        "correlation_id": media_id,
        "occurred_at": BEGAN,
        "recorded_at": recorded_at(version),
        "prev_hash": b"",
        "hash": b"",
    }
    await connection.copy_records_to_table(
        "events", records=[tuple(values.values())], columns=list(values)
    )


def recorded_at(version: int) -> datetime:
    """When `write` says that an event was recorded. The clock goes back once."""
    return BEGAN + timedelta(milliseconds=version if version != 3 else -1)


def own_job_ids(life: Life, media_id: UUID) -> Life:
    """The life with job ids that no other item has."""
    return tuple(tuple(_of_own_job(event, media_id) for event in events) for events in life)


def _of_own_job(event: Event, media_id: UUID) -> Event:
    job_id = getattr(event, "runpod_job_id", None)
    if job_id is None:
        return event
    return event.model_copy(update={"runpod_job_id": f"{job_id}-{media_id}"})


async def tamper(dsn: str, media_id: UUID, change: str) -> None:
    """Change an item's row behind the back of its events."""
    async with owner(dsn) as connection:
        done = await connection.execute(f"UPDATE media_items SET {change} WHERE id = $1", media_id)  # noqa: S608 - ours
        assert done == "UPDATE 1"
