"""The same lives in the `eventsourcing` library, on its PostgreSQL recorder.

An aggregate an item, saved once for each of our appends, with a projected row written in the same
transaction through the hook that the library has for it. It keeps no hash chain and no outbox.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder
from psycopg.types.json import Jsonb

from bench.lives import APPENDS_PER_LIFE, in_clear, life
from domain.read_model import MediaRow, project
from infra.embedded.postgres import USER

WRITE_ROW = """
INSERT INTO media_rows (id, row) VALUES (%s, %s)
ON CONFLICT (id) DO UPDATE SET row = excluded.row"""


class ProjectingRecorder(PostgresApplicationRecorder):
    """Writes the projected row where the library writes the events."""

    def create_table(self) -> None:
        """The library's tables, and ours for the rows."""
        super().create_table()
        with self.datastore.get_connection() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS media_rows (id uuid PRIMARY KEY, row jsonb NOT NULL)"
            )

    def _insert_events(self, curs: Any, _events: Sequence[StoredEvent], **words: Any) -> None:
        row: MediaRow = words["row"]
        curs.execute(WRITE_ROW, (row["id"], Jsonb(row)), prepare=True)


class Item(Aggregate):
    """An item whose events carry our payloads."""

    @event("Registered")
    def __init__(self, payload: dict[str, object]) -> None:
        self.last = payload

    @event("Happened")
    def happen(self, type: str, payload: dict[str, object]) -> None:  # noqa: A002 - as stored
        """Take one event."""
        self.last_type, self.last = type, payload


class EventsourcingLibrary:
    """The library's application, called from a thread for each caller."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def rate(self, callers: int, seconds: float) -> float:
        """Appends per second."""
        with _open_application(self._dsn, callers) as application:
            return await asyncio.to_thread(_rate, application, callers, seconds)


def _rate(application: "Application[UUID]", callers: int, seconds: float) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(callers) as threads:
        calls = [threads.submit(_live_until, application, began + seconds) for _ in range(callers)]
        lived = sum(call.result() for call in calls)
    return APPENDS_PER_LIFE * lived / (time.perf_counter() - began)


def _live_until(application: "Application[UUID]", end: float) -> int:
    lived = 0
    while time.perf_counter() < end:
        _live(application, uuid4())
        lived += 1
    return lived


def _live(application: "Application[UUID]", media_id: UUID) -> None:
    item: Item | None = None
    for step in life(media_id):
        for each in step.events:
            if item is None:
                item = Item(payload=in_clear(each))
            else:
                item.happen(type=each.type, payload=in_clear(each))
        application.save(item, row=project(media_id, step.item))


@contextmanager
def _open_application(dsn: str, callers: int) -> "Iterator[Application[UUID]]":
    parts = urlsplit(dsn)
    environment = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "APPLICATION_RECORDER_TOPIC": f"{__name__}:{ProjectingRecorder.__qualname__}",
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_HOST": parse_qs(parts.query)["host"][0],
        "POSTGRES_PORT": "5432",
        "POSTGRES_USER": USER,
        "POSTGRES_PASSWORD": "unused",
        "POSTGRES_POOL_SIZE": str(callers),
        "POSTGRES_MAX_OVERFLOW": "0",
        "POSTGRES_POOL_TIMEOUT": "30",
    }
    application: Application[UUID] = Application(environment)
    try:
        yield application
    finally:
        application.close()
