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

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

BEGAN = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
MAX_EVENTS = 14
COLUMNS = [
    "stream_id",
    "version",
    "event_id",
    "type",
    "schema_version",
    "payload",
    "actor",
    "correlation_id",
    "occurred_at",
    "recorded_at",
    "prev_hash",
    "hash",
]


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
    return [
        f.registered(kind, chance.choice(["holiday.mp4", 'Übung "1".mp3', "a\\b 🎬.mov"])),
        *(_random_event(chance) for _ in range(chance.randrange(MAX_EVENTS))),
    ]


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
    rows = [
        (
            media_id,
            version,
            uuid4(),
            event.type,
            event.schema_version,
            canonical(event),
            "system:test",
            media_id,
            BEGAN,
            recorded_at(version),
            b"",
            b"",
        )
        for version, event in enumerate(history, start=1)
    ]
    await connection.copy_records_to_table("events", records=rows, columns=COLUMNS)


def recorded_at(version: int) -> datetime:
    """When `write` says that an event was recorded. The clock goes back once."""
    return BEGAN + timedelta(milliseconds=version if version != 3 else -1)
