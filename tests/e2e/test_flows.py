"""Whole flows through real parts: HTTP, PostgreSQL, SeaweedFS, RunPod's loop, ffmpeg."""

import asyncio
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import m3u8
import pytest

from api.cli.file import examine
from api.cli.local import Outcome, carry_through, follow
from codex_media import MediaClient, ServiceRefused, Status
from domain.failure import ErrorCode
from domain.read_model import MediaRow, project_history
from gpu_worker.contract import Manifest
from gpu_worker.tools import Tools
from infra.object_storage import open_storage
from infra.postgres.event_store import stored
from infra.settings import load
from tests.e2e.conftest import Program
from tests.gpu_worker.clips import Clips

WHOLE_LIFE = [
    "media.registered",
    "media.upload_completed",
    "media.transcoding_requested",
    "media.transcoding_submitted",
    "media.transcoding_started",
    "media.transcoding_completed",
]


def types(outcome: Outcome) -> list[str]:
    return [event.type for event in outcome.history.events]


def decode(tools: Tools, url: str) -> str:
    """Plays `url` from end to end as a player would; what ffmpeg complained about."""
    argv = [tools.ffmpeg, "-v", "error", "-xerror", "-i", url, "-f", "null", "-"]
    done = subprocess.run(argv, capture_output=True, timeout=60, check=False, text=True)
    return done.stderr + ("" if done.returncode == 0 else f" exit code {done.returncode}")


def fetch(url: str) -> httpx.Response:
    return httpx.get(url, timeout=10).raise_for_status()


async def assert_history_is_the_row(program: Program, media_id: UUID) -> None:
    """fold(history), projected, equals the row of `media_items`."""
    connection = await asyncpg.connect(program.settings()["DATABASE_URL"])
    try:
        history = await connection.fetch(
            "SELECT e.*, p.salt, p.fields FROM events e LEFT JOIN personal p"
            " USING (stream_id, version) WHERE e.stream_id = $1 ORDER BY e.version",
            media_id,
        )
        row = await connection.fetchrow("SELECT * FROM media_items WHERE id = $1", media_id)
    finally:
        await connection.close()
    assert row is not None
    folded = project_history(media_id, [stored(event).event for event in history])
    kept = {name: row[name] for name in MediaRow.__annotations__}
    kept["id"] = str(row["id"])
    kept["deadline_at"] = row["deadline_at"] and row["deadline_at"].isoformat()
    kept["transcoding_error"] = row["transcoding_error"] and json.loads(row["transcoding_error"])
    assert folded == kept
    assert [event["version"] for event in history] == list(range(1, len(history) + 1))


async def read_manifest(program: Program, key: str) -> tuple[Manifest, dict[str, int]]:
    """The manifest in the bucket, and the size of every object beside it."""
    async with open_storage(load(program.settings())) as storage:
        body = await storage.read(key, 1_000_000)
        assert body is not None
        manifest = Manifest.model_validate_json(body)
        sizes = {}
        for listed in manifest.objects:
            content = await storage.read(listed.key, 50_000_000)
            assert content is not None
            assert hashlib.sha256(content).hexdigest() == listed.sha256
            sizes[listed.key] = len(content)
    return manifest, sizes


def test_video_with_sound_becomes_playable(
    program: Program, media_client: MediaClient, clips: Clips, tools: Tools
) -> None:
    outcome = carry_through(media_client, examine(clips.sample, None))
    assert outcome.status.status == Status.READY
    assert types(outcome) == WHOLE_LIFE
    assert outcome.playback is not None
    assert decode(tools, outcome.playback.master_url) == ""
    assert decode(tools, str(outcome.playback.preview_url)) == ""
    variants = m3u8.loads(fetch(outcome.playback.master_url).text).playlists
    heights = [variant.stream_info.resolution[1] for variant in variants]
    assert sorted(heights) == [360, 480, 720], "no rendition exceeds the 720p source"
    assert fetch(str(outcome.playback.poster_url)).content.startswith(b"\xff\xd8")
    item = outcome.status
    assert item.outputs.waveform_key is not None
    assert outcome.playback.notes == []
    assert fetch(str(outcome.playback.storyboard_url)).text.startswith("WEBVTT")
    assert outcome.playback.loudness is not None
    asyncio.run(assert_history_is_the_row(program, item.media_id))
    completed = outcome.history.events[-1].payload
    assert isinstance(completed, dict)
    manifest, sizes = asyncio.run(read_manifest(program, str(completed["manifestKey"])))
    assert sizes == {listed.key: listed.size for listed in manifest.objects}
    assert manifest.encoder_note or manifest.encoder == "h264_nvenc"
    assert_one_trace(program, outcome)


def assert_one_trace(program: Program, outcome: Outcome) -> None:
    """All that API, loops and worker logged of the item is of the trace that its events have."""
    (trace_id,) = {str(event.traceparent).split("-")[1] for event in outcome.history.events}
    told = [line for line in lines(program) if line.get("media_id") == str(outcome.status.media_id)]
    writes = [line for line in told if line.get("method") != "GET"]
    assert {line["trace_id"] for line in writes} == {trace_id}
    assert {line["part"] for line in writes} >= {"serve", "worker"}
    (done,) = (line for line in told if line["part"] == "worker" and line["message"] == "done")
    assert (done["attempt"], done["job_id"]) == (1, outcome.status.runpod_job_id)
    callbacks = [line for line in told if line.get("route") == "/api/transcoding/webhook"]
    assert {line["job_id"] for line in callbacks} == {outcome.status.runpod_job_id}


def lines(program: Program) -> list[dict[str, Any]]:
    """What the service's processes logged; lines of the SDK's own are none of ours."""
    logs = [program.data / "logs" / f"{name}.log" for name in ("api", "work", "worker-1")]
    text = "".join(log.read_text("utf-8") for log in logs)
    return [json.loads(line) for line in text.splitlines() if line.startswith('{"time"')]


def test_video_without_sound_becomes_playable(
    program: Program, media_client: MediaClient, clips: Clips, tools: Tools
) -> None:
    outcome = carry_through(media_client, examine(clips.silent, None))
    assert outcome.status.status == Status.READY
    assert outcome.playback is not None
    assert decode(tools, outcome.playback.master_url) == ""
    master = m3u8.loads(fetch(outcome.playback.master_url).text)
    assert not master.media, "no sound, no audio rendition"
    asyncio.run(assert_history_is_the_row(program, outcome.status.media_id))


@pytest.mark.parametrize("name", ["mp3", "wav"])
def test_audio_becomes_playable_with_its_waveform(
    program: Program, media_client: MediaClient, clips: Clips, tools: Tools, name: str
) -> None:
    outcome = carry_through(media_client, examine(clips[name], None))
    assert outcome.status.status == Status.READY
    assert types(outcome) == WHOLE_LIFE
    assert outcome.playback is not None
    assert decode(tools, outcome.playback.master_url) == ""
    waveform = fetch(str(outcome.playback.waveform_url)).json()
    assert (waveform["version"], waveform["bits"], waveform["channels"]) == (2, 8, 1)
    assert waveform["samples_per_pixel"] == waveform["sample_rate"] // 20
    assert len(waveform["data"]) == 2 * waveform["length"]
    assert outcome.playback.poster_url is None
    asyncio.run(assert_history_is_the_row(program, outcome.status.media_id))


def test_text_named_mp4_fails_and_may_be_retried_once(
    program: Program, media_client: MediaClient, tmp_path: Path
) -> None:
    file = tmp_path / "notes.mp4"
    file.write_text("this is not a film\n" * 50)
    outcome = carry_through(media_client, examine(file, None))
    media_id = outcome.status.media_id
    assert outcome.status.status == Status.FAILED
    assert outcome.status.error is not None
    assert outcome.status.error.code == ErrorCode.INPUT_UNREADABLE
    assert outcome.status.error.message.endswith(".")
    media_client.retry(media_id)
    again = follow(media_client, media_client.status(media_id))
    assert (again.status, again.attempts) == (Status.FAILED, 2)
    with pytest.raises(ServiceRefused, match="attempts are used up") as refused:
        media_client.retry(media_id)
    assert (refused.value.status, refused.value.code) == (400, "retry_refused")
    happened = [event.type for event in media_client.history(media_id).events]
    assert happened.count("media.retry_requested") == 1
    assert happened.count("media.transcoding_failed") == 2
    asyncio.run(assert_history_is_the_row(program, media_id))
