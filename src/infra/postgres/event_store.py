"""The event store on PostgreSQL: append through one SQL function, read in order."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import rfc8785
from pydantic import TypeAdapter

from domain.errors import ConcurrencyConflict
from domain.events import Context, Event, StoredEvent
from domain.media import MediaItem
from domain.read_model import project
from infra.postgres.pool import Pool
from infra.postgres.queries import sql

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
_VERSION_CONFLICT = "CM001"


class PostgresEventStore:
    """`domain.ports.EventStore` over a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def load(self, media_id: UUID) -> list[StoredEvent]:
        """The stream in order; empty when there is none."""
        return [stored(row) for row in await self._pool.fetch(sql("load_stream"), media_id)]

    async def append(
        self,
        media_id: UUID,
        expected_version: int,
        events: Sequence[Event],
        item: MediaItem,
        context: Context,
    ) -> list[StoredEvent]:
        """Append in one round trip; `ConcurrencyConflict` when the stream moved on."""
        try:
            rows = await self._pool.fetch(
                sql("append"),
                media_id,
                expected_version,
                [uuid4() for _ in events],
                [event.type for event in events],
                [event.schema_version for event in events],
                [canonical(event) for event in events],
                datetime.now(UTC),
                context.actor,
                context.correlation_id,
                context.causation_id,
                context.traceparent,
                json.dumps(project(media_id, item)),
            )
        except asyncpg.PostgresError as error:
            if error.sqlstate == _VERSION_CONFLICT:
                raise ConcurrencyConflict(media_id, expected_version) from error
            raise
        return [stored(row) for row in rows]

    async def now(self) -> datetime:
        """The database's clock."""
        moment: datetime = await self._pool.fetchval(sql("now"))
        return moment


def canonical(event: Event) -> str:
    """The payload's RFC 8785 text, as stored and hashed."""
    payload: Any = event.payload()  # rfc8785 names its JSON type privately
    return rfc8785.dumps(payload).decode()


def stored(row: asyncpg.Record) -> StoredEvent:
    """A row of `events` as the domain sees it."""
    return StoredEvent(
        position=row["position"],
        stream_id=row["stream_id"],
        version=row["version"],
        event_id=row["event_id"],
        event=_EVENT.validate_python({"type": row["type"], **json.loads(row["payload"])}),
        schema_version=row["schema_version"],
        payload_json=row["payload"],
        context=Context(
            actor=row["actor"],
            correlation_id=row["correlation_id"],
            causation_id=row["causation_id"],
            traceparent=row["traceparent"],
        ),
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        prev_hash=row["prev_hash"],
        hash=row["hash"],
    )
