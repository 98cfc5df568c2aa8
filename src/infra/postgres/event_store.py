"""The event store on PostgreSQL: append through one SQL function, read in order."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from domain.errors import ConcurrencyConflict, StoreInterrupted
from domain.events import Context, Event, StoredEvent
from domain.handler import event_id
from domain.media import MediaItem
from domain.personal import SALT_BYTES, PersonalRecord
from domain.read_model import MediaRow, project
from domain.sealing import Sealed, seal
from domain.upcasting import read_event
from gpu_worker.contract_trace import current, go_on
from infra.figures.process import Invariant, violated
from infra.postgres.canonical_json import canonical_json
from infra.postgres.group_commit import (
    LANES,
    AppendRefused,
    Envelope,
    Events,
    GroupCommit,
    Request,
    Written,
)
from infra.postgres.pool import UNAVAILABLE, Pool, PoolExhausted
from infra.postgres.queries import sql

VERSION_CONFLICT = "CM001"
NO_SUCH_TRANSITION = "CM002"


class PostgresEventStore:
    """`domain.ports.EventStore` over a pool."""

    def __init__(self, pool: Pool, lanes: int = LANES) -> None:
        self._pool = pool
        self._commit = GroupCommit(pool, lanes)

    async def load(self, media_id: UUID, owner: str | None = None) -> list[StoredEvent]:
        """The stream in order; empty when there is none, or when it is not the `owner`'s.

        Its trace is gone on with.
        """
        rows = await self._pool.fetch(sql("load_stream"), media_id, owner)
        history = [stored(row) for row in rows]
        go_on(next((each.context.traceparent for each in reversed(history)), None))
        return history

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
        """Append in one round trip, as of the present trace. Errors are the port's."""
        if context.traceparent is None and (trace := current()) is not None:
            context = context.model_copy(update={"traceparent": trace.traceparent})
        shared = envelope(datetime.now(UTC), context, project(media_id, item))
        sealed = [sealed_anew(event) for event in events]
        records = [each.record for each in sealed]
        as_stored = _as_stored([each.event for each in sealed], command_id)
        asked = Request(media_id, expected_version, shared, as_stored, records)
        try:
            answer = await self._commit.append(asked)
            if answer is None:
                return await self._appended_before(media_id, asked.events.ids)
        except AppendRefused as error:
            if error.sqlstate == VERSION_CONFLICT:
                raise ConcurrencyConflict(media_id, expected_version) from error
            if error.sqlstate == NO_SUCH_TRANSITION:
                violated(Invariant.APPEND)
            raise
        except PoolExhausted:  # Nothing was sent.
            raise
        except UNAVAILABLE as error:
            raise StoreInterrupted(f"the database went away: {type(error).__name__}") from error
        return _appended(asked, sealed, context, answer)

    async def _appended_before(self, media_id: UUID, ids: list[UUID]) -> list[StoredEvent]:
        rows = await self._pool.fetch(sql("appended_before"), media_id, ids)
        return [stored(row) for row in rows]

    async def now(self) -> datetime:
        """The database's clock."""
        moment: datetime = await self._pool.fetchval(sql("now"))
        return moment


def sealed_anew(event: Event) -> Sealed:
    """`event` as it is stored, under a salt of its own."""
    return seal(event, os.urandom(SALT_BYTES), canonical_json)


def canonical(event: Event) -> str:
    """The RFC 8785 text of a sealed event's payload, as stored and hashed."""
    return canonical_json(event.payload())


def _as_stored(events: Sequence[Event], command_id: UUID) -> Events:
    return Events(
        [event_id(command_id, index) for index in range(len(events))],
        [event.type for event in events],
        [event.schema_version for event in events],
        [canonical(event) for event in events],
    )


def _appended(
    asked: Request, sealed: Sequence[Sealed], context: Context, written: Sequence[Written]
) -> list[StoredEvent]:
    """What would be read back, from what was sent and what the database added."""
    return [
        StoredEvent(
            position=added.position,
            stream_id=asked.stream_id,
            version=asked.expected_version + index + 1,
            event_id=asked.events.ids[index],
            event=event,
            schema_version=event.schema_version,
            payload_json=asked.events.payloads[index],
            personal=record,
            context=context,
            occurred_at=asked.envelope.occurred_at,
            recorded_at=added.recorded_at,
            prev_hash=added.prev_hash,
            hash=added.hash,
        )
        for index, ((event, record), added) in enumerate(zip(sealed, written, strict=True))
    ]


def envelope(occurred_at: datetime, context: Context, row: MediaRow) -> Envelope:
    """What the events of an append share."""
    return Envelope(
        occurred_at,
        context.actor,
        context.correlation_id,
        context.causation_id,
        context.traceparent,
        bytes.fromhex(context.evidence) if context.evidence else None,
        json.dumps(row),
    )


def stored(row: asyncpg.Record) -> StoredEvent:
    """A row of `events`, with its personal fields, as the domain sees it."""
    kind, version, payload = row["type"], row["schema_version"], json.loads(row["payload"])
    record = None if row["salt"] is None else PersonalRecord(row["salt"], row["fields"])
    personal = record and json.loads(record.fields_json)
    return StoredEvent(
        position=row["position"],
        stream_id=row["stream_id"],
        version=row["version"],
        event_id=row["event_id"],
        event=read_event(kind, version, payload, personal=personal),
        schema_version=row["schema_version"],
        payload_json=row["payload"],
        personal=record,
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
