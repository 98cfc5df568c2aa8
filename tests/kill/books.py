"""What must be true once everything came to rest, however often a process was killed before."""

import asyncio
import time
from collections import Counter
from io import BytesIO
from uuid import UUID

from domain.events import StoredEvent, TranscodingFailed, TranscodingSubmitted
from domain.use_cases.reports import STALE
from infra.ledger.checkpoint import SigningKey
from infra.ledger.export import export
from infra.ledger.verifier import Verdict, verify
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import Pool
from infra.settings import Settings
from tests.kill.creator import Creator
from tests.kill.vendor import Vendor
from tests.kill.worker import LightWorker

REST_LIMIT_S = 60.0
OPEN = """
SELECT (SELECT count(*) FROM media_items
        WHERE status NOT IN ('ready', 'failed', 'erased')) AS unfinished,
    (SELECT count(*) FROM outbox) AS outbox,
    (SELECT count(*) FROM webhook_inbox WHERE verdict IS NULL) AS inbox,
    (SELECT count(*) FROM vendor_jobs WHERE closed_at IS NULL) AS watched,
    (SELECT count(*) FROM breakers) AS breakers,
    (SELECT count(*) FROM assistants) AS assistants,
    (SELECT count(*) FROM erasures WHERE finished_at IS NULL AND removed = 0
        AND tries < 3) AS erasures,
    (SELECT count(*) FROM part_uploads) AS part_uploads,
    (SELECT count(*) FROM unsealed) AS unsealed,
    (SELECT h.size - coalesce(max(c.size), 0) FROM ledger_head h LEFT JOIN checkpoints c ON true
        GROUP BY h.size) AS unsigned
"""
SIGNED_AHEAD = """
SELECT count(*) FROM checkpoints WHERE size > (SELECT size FROM ledger_head)
"""
ONCE = ("registered", "upload_completed", "upload_expired", "retry_requested", "erased")
ENDS = ("transcoding_completed", "transcoding_failed")


async def come_to_rest(pool: Pool) -> None:
    """Wait until nothing is left to do: no state, job, message or event that waits for somebody."""
    deadline = time.monotonic() + REST_LIMIT_S
    while left := await _left(pool):
        assert time.monotonic() < deadline, f"still to do after {REST_LIMIT_S:g} s: {left}"
        await asyncio.sleep(0.2)


async def _left(pool: Pool) -> dict[str, int]:
    row = await pool.fetchrow(OPEN)
    assert row is not None
    return {name: count for name, count in row.items() if count}


async def check(
    pool: Pool, settings: Settings, creator: Creator, worker: LightWorker, vendor: Vendor
) -> None:
    """The whole history, what rests on it, and what was promised to anybody."""
    verdict = await check_ledger(pool, settings)
    counted = await pool.fetchrow("SELECT count(*), count(DISTINCT seq), max(seq) FROM ledger")
    assert counted is not None
    assert {verdict.events, verdict.covered, *counted} == {verdict.events}, (verdict, counted)
    store = PostgresEventStore(pool)
    streams = [row["stream_id"] for row in await pool.fetch("SELECT stream_id FROM streams")]
    histories = {media_id: await store.load(media_id) for media_id in streams}
    for history in histories.values():
        check_once(history)
    await check_promises(pool, creator, worker, histories)
    await check_calls(pool, creator, vendor, histories)


async def check_ledger(pool: Pool, settings: Settings) -> Verdict:
    """An auditor's verdict, at any time: one order, signed as far as it is sealed; every row its
    history's."""
    key = SigningKey(*settings.ledger_signer).public
    bundle = BytesIO()
    async for chunk in export(pool, key):
        bundle.write(chunk)
    verdict = verify(bundle, [key])
    assert not verdict.findings, verdict.findings
    assert await pool.fetchval(SIGNED_AHEAD) == 0, "a checkpoint is ahead of the ledger"
    return verdict


def check_once(history: list[StoredEvent]) -> None:
    """Nothing happened twice."""
    counts = Counter(_type(stored) for stored in history)
    attempts = counts["transcoding_requested"]
    assert [stored.version for stored in history] == list(range(1, len(history) + 1))
    assert all(counts[name] <= 1 for name in ONCE), counts
    assert counts["transcoding_started"] <= attempts, counts
    assert sum(counts[name] for name in ENDS) == attempts, counts
    jobs = [stored.event.runpod_job_id for stored in history if _submits(stored)]  # type: ignore[union-attr]
    assert len(jobs) == len(set(jobs)) <= 2 * attempts, jobs


def _type(stored: StoredEvent) -> str:
    return stored.event.type.removeprefix("media.")


def _submits(stored: StoredEvent) -> bool:
    return isinstance(stored.event, TranscodingSubmitted)


def _fails(stored: StoredEvent) -> bool:
    return isinstance(stored.event, TranscodingFailed)


async def check_promises(
    pool: Pool,
    creator: Creator,
    worker: LightWorker,
    histories: dict[UUID, list[StoredEvent]],
) -> None:
    """Whatever was answered with success is in the history, or in the inbox with a verdict."""
    happened = {
        (stored.event.type, media_id) for media_id, all_ in histories.items() for stored in all_
    }
    assert creator.promised <= happened, creator.promised - happened
    rows = await pool.fetch("SELECT * FROM webhook_inbox WHERE verdict IS NOT NULL")
    assert worker.acknowledged <= {row["message_id"] for row in rows}
    for row in rows:
        if b'"status":"started"' in row["body"] and row["verdict"] != STALE:
            assert ("media.transcoding_started", row["media_id"]) in happened, dict(row)


async def check_calls(
    pool: Pool, creator: Creator, vendor: Vendor, histories: dict[UUID, list[StoredEvent]]
) -> None:
    """At most two calls an attempt, all counted; nothing failed but for calls that were lost."""
    rows = await pool.fetch("SELECT media_id, attempt, made FROM run_calls")
    counted = {(row["media_id"], row["attempt"]): row["made"] for row in rows}
    for (called, attempt), calls in vendor.calls.items():
        assert calls <= 2, f"{calls} calls for attempt {attempt} of {called}"
        assert calls <= counted[UUID(called), attempt], "a call was made that was not counted"
    for media_id in creator.again:
        jobs = [
            stored
            for stored in histories[media_id]
            if isinstance(stored.event, TranscodingSubmitted) and stored.event.attempt == 1
        ]
        why = [stored.payload_json for stored in histories[media_id] if _fails(stored)]
        assert counted[media_id, 1] > len(jobs), f"it failed though no call was lost: {why}"
