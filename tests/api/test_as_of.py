"""An item as it was, by version and by time."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import asyncpg
import pytest

from api.auth import Role
from infra.ledger.checkpoint import read
from infra.ledger.sealer import Sealer
from infra.settings import Settings
from tests.api.service import running
from tests.api.studio import VIDEO, Studio
from tests.conftest import Tokens

pytestmark = pytest.mark.asyncio(loop_scope="session")

STATES = ["uploading", "uploaded", "transcoding", "transcoding", "transcoding", "ready"]


async def played(studio: Studio) -> tuple[UUID, list[dict[str, Any]]]:
    """An item that plays, and its events."""
    job = await studio.transcoding()
    await studio.gpu.start(job)
    await studio.gpu.finish(job)
    return job.media_id, await events_of(studio, job.media_id)


async def events_of(studio: Studio, media_id: UUID) -> list[dict[str, Any]]:
    history = (await studio.get(f"/api/media/{media_id}/events")).json()
    found: list[dict[str, Any]] = history["events"]
    return found


async def test_each_version_shows_the_state_of_then(studio: Studio) -> None:
    media_id, events = await played(studio)
    now = (await studio.get(f"/api/media/{media_id}")).json()
    assert now["asOf"] is None

    for event, state in zip(events, STATES, strict=True):
        version, recorded = event["version"], event["recordedAt"]
        by_version = await studio.get(f"/api/media/{media_id}?version={version}")
        then = by_version.json()
        assert (then["status"], then["version"]) == (state, version)
        assert (then["createdAt"], then["updatedAt"]) == (events[0]["recordedAt"], recorded)
        assert (then["asOf"]["version"], then["asOf"]["at"]) == (version, recorded)
    assert then | {"asOf": None} == now


async def test_a_time_shows_what_was_recorded_by_then(studio: Studio) -> None:
    media_id, events = await played(studio)
    last = datetime.fromisoformat(events[-1]["recordedAt"])

    for moment, version in (
        (last, 6),
        (last + timedelta(days=400), 6),
        (last - timedelta(microseconds=1), 5),
        (datetime.fromisoformat(events[0]["recordedAt"]), 1),
    ):
        for text in (moment.isoformat(), moment.astimezone(UTC).isoformat().replace("+00:00", "z")):
            answer = await studio.get(f"/api/media/{media_id}?at={quote(text)}")
            assert answer.json()["asOf"]["version"] == version, text


async def test_the_answer_names_the_checkpoint_that_covers_it(studio: Studio) -> None:
    media_id, events = await played(studio)
    path = f"/api/media/{media_id}"
    unsealed = (await studio.get(f"{path}?version=6")).json()["asOf"]
    assert (unsealed["seq"], unsealed["checkpoint"]) == (None, None)
    assert (await studio.get(f"{path}/events")).json()["seal"] is None

    settings = studio.service.settings.model_copy(update={"ledger_checkpoint_events": 1})
    sealer = Sealer(studio.service.services.pool, settings)
    while await sealer.seal_once():
        pass

    places = [(await studio.get(f"{path}?version={n}")).json()["asOf"] for n in range(1, 7)]
    assert [place["seq"] for place in places] == sorted(place["seq"] for place in places)
    for place in places:
        assert place["seq"] <= place["checkpoint"]["size"]
        assert read(place["checkpoint"]["note"]).size == place["checkpoint"]["size"]
    seal = (await studio.get(f"{path}/events")).json()["seal"]
    assert seal == {"seq": places[-1]["seq"], "checkpoint": places[-1]["checkpoint"]}
    assert len(events) == 6


@pytest.mark.parametrize("query", ["version=7", "version=0", "at=2001-01-01T00:00:00Z"])
async def test_a_state_that_never_was_is_404(studio: Studio, query: str) -> None:
    media_id, _ = await played(studio)

    answer = await studio.get(f"/api/media/{media_id}?{query}")

    assert (answer.status_code, answer.json()["code"]) == (404, "version_unknown")
    assert "versions 1 to 6" in answer.json()["detail"]


@pytest.mark.parametrize(
    "query",
    [
        "version=",
        "version=-1",
        "version=1.0",
        f"version={'9' * 5000}",
        "at=",
        "at=yesterday",
        "at=1700000000",
        "at=2026-11-02",
        "at=2026-11-02T09:00:00",
        "at=2026-02-30T09:00:00Z",
        "at=2026-11-02T09:00:00+00:00",
        "version=1&at=2026-11-02T09:00:00Z",
    ],
)
async def test_what_names_no_version_or_time_is_422(studio: Studio, query: str) -> None:
    media_id = (await studio.register()).media.id

    answer = await studio.get(f"/api/media/{media_id}?{query}")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_the_past_of_others_is_for_auditors_and_their_reading_is_recorded(
    studio: Studio, stranger: Studio
) -> None:
    media_id = (await studio.register()).media.id
    path = f"/api/media/{media_id}?version=1"
    own = await studio.get(path)

    foreign, missing = (
        await stranger.get(path),
        await stranger.get(f"/api/media/{uuid4()}?version=1"),
    )
    assert (foreign.status_code, foreign.content) == (403, missing.content)

    audited = await studio.service.http.get(path, headers=stranger.auth(Role.AUDITOR))
    assert audited.json() == own.json()
    reads = await studio.service.services.pool.fetch(
        "SELECT what FROM audit_reads WHERE actor = $1", f"auditor:{stranger.creator}"
    )
    assert [row["what"] for row in reads] == [path]
    theirs = await studio.service.services.pool.fetch(
        "SELECT FROM audit_reads WHERE actor LIKE $1", f"%{studio.creator}"
    )
    assert theirs == []


async def test_events_of_a_newer_program_are_503_and_the_log_says_upgrade(
    settings: Settings, token: Tokens, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"authorization": f"Bearer {token()}"}
    async with running(settings) as service:
        made = await service.http.post("/api/media", json=VIDEO.request(), headers=headers)
        path = f"/api/media/{made.json()['media']['id']}"
        await append_from_the_future(dsn, UUID(made.json()["media"]["id"]))

        for read in (f"{path}/events", f"{path}?version=1"):
            answer = await service.http.get(read, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert (await service.http.get(path, headers=headers)).status_code == 200
    assert "Upgrade every process first" in caplog.text


async def append_from_the_future(dsn: str, media_id: UUID) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "INSERT INTO events (stream_id, version, event_id, type, schema_version, payload, actor,"
        " correlation_id, occurred_at, recorded_at, prev_hash, hash) VALUES ($1, 2, $1,"
        " 'media.upload_completed', 2, '{}', 'system:newer', $1, now(), now(), '', '')",
        media_id,
    )
    await connection.close()
