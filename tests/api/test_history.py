"""The history: each event once, in order, provable from the answer alone."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
import rfc8785

from api.auth import Role
from gpu_worker.contract_trace import parse
from tests.api.studio import AUDIO, Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")

READY = [
    "media.registered",
    "media.upload_completed",
    "media.transcoding_requested",
    "media.transcoding_submitted",
    "media.transcoding_started",
    "media.transcoding_completed",
]


async def whole_life(studio: Studio) -> UUID:
    """Audio that failed once, was tried again, and plays."""
    job = await studio.transcoding(AUDIO)
    await studio.gpu.start(job)
    await studio.gpu.fail(job)
    await studio.retry(job.media_id)
    again = await studio.job(job.media_id)
    await studio.gpu.start(again)
    await studio.gpu.finish(again)
    return job.media_id


async def test_history_holds_each_event_once_in_order(studio: Studio) -> None:
    job = await studio.transcoding()
    await studio.gpu.start(job)
    await studio.gpu.finish(job)

    history = (await studio.get(f"/api/media/{job.media_id}/events")).json()

    assert history["mediaId"] == str(job.media_id)
    assert [event["type"] for event in history["events"]] == READY
    assert [event["version"] for event in history["events"]] == [1, 2, 3, 4, 5, 6]
    creator, worker = f"creator:{studio.creator}", f"worker:{job.job_id}"
    actors = [event["actor"] for event in history["events"]]
    assert actors == [creator, creator, creator, "system:dispatcher", worker, worker]
    completed = history["events"][-1]["payload"]
    assert completed["hlsMasterPlaylistKey"] == job.layout.master
    assert completed["renditions"][0]["bandwidthBps"] == 140_000


async def test_json_and_ndjson_say_the_same(studio: Studio) -> None:
    media_id = await whole_life(studio)
    path = f"/api/media/{media_id}/events"

    lines = await studio.get(path, accept="application/x-ndjson, application/json;q=0.5")

    assert lines.headers["content-type"] == "application/x-ndjson"
    assert lines.text.endswith("\n")
    events = [json.loads(line) for line in lines.text.splitlines()]
    assert events == (await studio.get(path, accept="application/json")).json()["events"]


async def test_the_hashes_can_be_computed_from_the_answer_alone(studio: Studio) -> None:
    media_id = await whole_life(studio)
    lines = await studio.get(f"/api/media/{media_id}/events", accept="application/x-ndjson")

    previous = ""
    for line in lines.text.splitlines():
        event = json.loads(line)
        assert event["prevHash"] == previous
        assert event["hash"] == recomputed(media_id, event)
        previous = event["hash"]


def recomputed(media_id: UUID, event: dict[str, Any]) -> str:
    """SHA-256 over the event's fields a line each, as migrations/0001_history.sql defines it."""
    fields = [
        "codex-media.event.v1",
        str(media_id),
        str(event["version"]),
        event["eventId"],
        event["type"],
        str(event["schemaVersion"]),
        event["actor"],
        event["correlationId"],
        event["causationId"] or "",
        event["traceparent"] or "",
        event["evidence"] or "",
        utc_text(event["occurredAt"]),
        utc_text(event["recordedAt"]),
        event["prevHash"],
        rfc8785.dumps(event["payload"]).decode(),
    ]
    return hashlib.sha256("\n".join(fields).encode()).hexdigest()


def utc_text(moment: str) -> str:
    """The time to the microsecond."""
    parsed = datetime.fromisoformat(moment).astimezone(UTC)
    return parsed.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.ADMIN])
async def test_an_auditor_reads_the_history_of_others(
    studio: Studio, stranger: Studio, role: Role
) -> None:
    media_id = (await studio.register()).media.id
    path = f"/api/media/{media_id}/events"

    answer = await studio.service.http.get(path, headers=stranger.auth(role))

    assert answer.status_code == 200
    assert answer.json() == (await studio.get(path)).json()


async def test_a_creator_reads_their_own_alone(studio: Studio, stranger: Studio) -> None:
    media_id = (await studio.register()).media.id

    foreign = await stranger.get(f"/api/media/{media_id}/events")
    missing = await stranger.get(f"/api/media/{uuid4()}/events")

    assert (foreign.status_code, foreign.json()["code"]) == (403, "access_denied")
    assert foreign.content == missing.content


async def test_events_are_of_the_trace_that_came_and_of_a_new_one_otherwise(
    studio: Studio,
) -> None:
    good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for given in (good, "00-nonsense", ""):
        media_id = (await studio.register(traceparent=given)).media.id
        events = (await studio.get(f"/api/media/{media_id}/events")).json()["events"]
        kept = parse(events[0]["traceparent"])
        assert kept is not None
        assert (kept.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736") == (given == good)
        assert kept.span_id != "00f067aa0ba902b7", "what we do is a span of its own"
