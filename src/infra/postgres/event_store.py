"""The event store on PostgreSQL: append through one SQL function, read in order."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import rfc8785

from domain.errors import ConcurrencyConflict, StoreInterrupted
from domain.events import Context, Event, StoredEvent
from domain.handler import event_id
from domain.media import MediaItem
from domain.read_model import project
from domain.upcasting import read_event
from infra.postgres.group_commit import AppendRefused, GroupCommit, Request
from infra.postgres.pool import UNAVAILABLE, Pool
from infra.postgres.queries import sql

VERSION_CONFLICT = "CM001"


class PostgresEventStore:
    """`domain.ports.EventStore` over a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._commit = GroupCommit(pool)

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
        *,
        command_id: UUID,
    ) -> list[StoredEvent]:
        """Append in one round trip. Errors are the port's."""
        request = Request(
            stream_id=str(media_id),
            expected_version=expected_version,
            event_ids=[str(event_id(command_id, index)) for index in range(len(events))],
            types=[event.type for event in events],
            schema_versions=[event.schema_version for event in events],
            payloads=[canonical(event) for event in events],
            occurred_at=datetime.now(UTC).isoformat(),
            actor=context.actor,
            correlation_id=str(context.correlation_id),
            causation_id=str(context.causation_id) if context.causation_id else None,
            traceparent=context.traceparent,
            evidence=context.evidence,
            projected=dict(project(media_id, item)),
        )
        try:
            rows = await self._commit.append(request)
        except AppendRefused as error:
            if error.sqlstate == VERSION_CONFLICT:
                raise ConcurrencyConflict(media_id, expected_version) from error
            raise
        except UNAVAILABLE as error:
            raise StoreInterrupted(f"the database went away: {type(error).__name__}") from error
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
        event=read_event(row["type"], row["schema_version"], json.loads(row["payload"])),
        schema_version=row["schema_version"],
        payload_json=row["payload"],
        context=Context(
            actor=row["actor"],
            correlation_id=row["correlation_id"],
            causation_id=row["causation_id"],
            traceparent=row["traceparent"],
            evidence=row["evidence"].hex() if row["evidence"] else None,
        ),
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        prev_hash=row["prev_hash"],
        hash=row["hash"],
    )
