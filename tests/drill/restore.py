"""The drill: back up, lose the last minutes, restore, and let the loops find out what happened."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from uuid import UUID

from gpu_worker.contract import Manifest, OutputLayout
from infra.inbox import QUARANTINED
from infra.ledger.checkpoint import SigningKey
from infra.ledger.export import export
from infra.ledger.verifier import Finding, verify
from infra.postgres.pool import Pool, open_pool
from infra.settings import load
from tests.drill.backup import dump
from tests.drill.lives import Lives
from tests.drill.worker import PatientWorker
from tests.kill.books import check_ledger
from tests.kill.creator import CREATOR
from tests.kill.worker import working
from tests.kill.world import SHORT, Parts, World, world

TIMES = SHORT | {
    "UPLOAD_WINDOW_S": "5",
    "CLAIM_LIFE_S": "5",
    "TRANSCODING_WINDOW_S": "300",
    "EXECUTION_TIMEOUT_S": "200",
    "CHUNK_ASSISTANTS": "0",
    "MULTIPART_THRESHOLD_BYTES": "1000000",
}
SHOWN = """
SELECT id, status, media_type, r2_key, size, etag, hls_master_playlist_key, hls_preview_key,
    thumbnail_key, waveform_key, duration_seconds, width, height, transcoding_attempts,
    transcoding_error
FROM media_items WHERE status IN ('ready', 'failed')
"""
Shown = dict[UUID, tuple[object, ...]]
Restored = Callable[[str, Path], Awaitable[str]]
"""Brings a dump of a database back, somewhere else; its URL there."""


@dataclass
class Told:
    """What the drill found; it raises AssertionError for what is wrong."""

    lost_events: int = 0
    restored_s: float = 0.0
    rest_s: float = 0.0
    """From the start of the service until nothing was left to do."""
    statuses: Counter[str] = field(default_factory=Counter)
    quarantined: int = 0
    newer: list[Finding] = field(default_factory=list)
    """What an auditor sees who kept a checkpoint of the lost minutes."""


async def drill(parts: Parts, restored: Restored, count: int, *, patient: bool = False) -> Told:
    """The whole of it with `count` items of each kind."""
    async with world(parts, light=False) as made:
        made.environ |= TIMES
        made.settings = load(made.environ)
        worker = PatientWorker(made)
        async with working(worker):
            return await _drill(Lives(made, worker, count), restored, patient=patient)


async def _drill(lives: Lives, restored: Restored, *, patient: bool) -> Told:
    made, told = lives.made, Told()
    older = await lives.begin()
    path, first = made.parts.folder / f"backup-{secrets.token_hex(4)}", made.environ["DATABASE_URL"]
    await dump(first, path)
    events = await _events(made.pool)
    await lives.go_on()
    newer, before = await lives.checkpoint(), await _shown(made.pool)
    told.lost_events = await _events(made.pool) - events
    await lives.lose_everything()
    started = time.monotonic()
    async with _on(made, await restored(first, path)):
        told.restored_s = time.monotonic() - started
        assert "nothing to apply" in await _command(made, "migrate")
        await _command(made, "replay", "--check")
        told.rest_s = await lives.come_back(patient=patient)
        await _look(lives, told, before)
        assert await _findings(made, older) == []
        told.newer = await _findings(made, newer)
        assert told.newer, "an auditor's checkpoint of the lost minutes must not hold"
    return told


async def _look(lives: Lives, told: Told, before: Shown) -> None:
    """Every item that the backup knew is shown as before the loss, and is what its events make."""
    pool, younger = lives.made.pool, set(lives.ids["younger"])
    now = await _shown(pool)
    differ = {key: (was, now.get(key)) for key, was in before.items() if now.get(key) != was}
    assert set(differ) == younger, differ
    assert not any(key in now for key in younger)
    told.statuses.update(str(row[1]) for row in now.values())
    assert set(told.statuses) == {"ready"}, told.statuses
    await _command(lives.made, "replay", "--check")
    await check_ledger(pool, lives.made.settings)
    await asyncio.to_thread(_check_outputs, lives.made, list(now))
    kept = await pool.fetch("SELECT media_id FROM webhook_inbox WHERE verdict = $1", QUARANTINED)
    told.quarantined = len(kept)
    assert {row["media_id"] for row in kept} == younger


def _check_outputs(made: World, ready: list[UUID]) -> None:
    """Each object of each manifest is there, with its size."""
    bucket = made.settings.r2_bucket
    for media_id in ready:
        key = OutputLayout(CREATOR, media_id).manifest
        body = made.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        for each in Manifest.model_validate_json(body).objects:
            assert made.s3.head_object(Bucket=bucket, Key=each.key)["ContentLength"] == each.size


async def _findings(made: World, note: str) -> list[Finding]:
    key, bundle = SigningKey(*made.settings.ledger_signer).public, BytesIO()
    async for chunk in export(made.pool, key):
        bundle.write(chunk)
    return verify(bundle, [key], [note]).findings


async def _command(made: World, *arguments: str) -> str:
    """Run `codex-media ARGUMENTS`, which must succeed; what it printed."""
    process = await made.parts.host.start(arguments[0], [*arguments], made.environ)
    assert await process.ended == 0, process.told()
    return process.told()


async def _shown(pool: Pool) -> Shown:
    return {row["id"]: tuple(row.values()) for row in await pool.fetch(SHOWN)}


async def _events(pool: Pool) -> int:
    count: int = await pool.fetchval("SELECT count(*) FROM events")
    return count


@asynccontextmanager
async def _on(made: World, dsn: str) -> AsyncIterator[None]:
    """The world on another database."""
    made.environ["DATABASE_URL"] = dsn
    made.settings = load(made.environ)
    async with open_pool(dsn, 4) as made.pool:
        yield
