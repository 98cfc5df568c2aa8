"""The judgement over many uploads: what passes, what does not, and that it ends in time."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from api.auth import Role
from api.cli import trial
from api.cli.file import MediaFile
from api.cli.place import TOKEN_LIFE, mint_token
from api.cli.trial import Faults, Trial, Verdict, flaws_of
from codex_media import MediaClient
from codex_media.models import Event, History, MediaStatus, Outputs, Status
from infra.settings import Settings
from tests.api.console import Console

NOW = datetime(2026, 11, 25, tzinfo=UTC)
LIFE = ["registered", "upload_completed", "transcoding_requested", "transcoding_submitted"]
LIFE += ["transcoding_started", "transcoding_completed"]


def event(version: int, kind: str, job: str = "job-1") -> Event:
    return Event(
        version=version,
        event_id=uuid4(),
        type=f"media.{kind}",
        schema_version=1,
        payload={"attempt": 1, "runpodJobId": job},
        actor="test",
        correlation_id=uuid4(),
        causation_id=None,
        traceparent=None,
        occurred_at=NOW,
        recorded_at=NOW,
        prev_hash="",
        hash="",
    )


def history(*kinds: str) -> History:
    events = [event(version, kind) for version, kind in enumerate(kinds, 1)]
    return History(media_id=uuid4(), events=events)


def verdict(status: Status, *flaws: str) -> Verdict:
    none = Outputs(
        hls_master_playlist_key=None, hls_preview_key=None, thumbnail_key=None, waveform_key=None
    )
    found = MediaStatus(
        media_id=UUID(int=1),
        status=status,
        error=None,
        attempts=1,
        runpod_job_id=None,
        outputs=none,
        progress=None,
        version=6,
    )
    return Verdict(found, ("media.registered",), flaws)


def test_a_whole_life_has_no_flaw_with_or_without_news_of_its_start() -> None:
    assert flaws_of(history(*LIFE)) == []
    assert flaws_of(history(*(kind for kind in LIFE if kind != "transcoding_started"))) == []


def test_a_second_job_of_the_attempt_is_no_flaw_and_the_same_twice_is() -> None:
    again = history(*LIFE[:4], "transcoding_submitted", *LIFE[4:])
    assert flaws_of(again) == ["media.transcoding_submitted is there 2 times"]
    again.events[4] = event(5, "transcoding_submitted", "job-2")
    assert flaws_of(again) == []


@pytest.mark.parametrize("kind", [kind for kind in LIFE if kind != "transcoding_submitted"])
def test_what_is_there_twice_is_told(kind: str) -> None:
    assert flaws_of(history(*LIFE, kind)) == [f"media.{kind} is there 2 times"]


def test_what_is_missing_out_of_place_or_cut_is_told() -> None:
    assert flaws_of(history(*LIFE[:-1])) == ["media.transcoding_completed is missing"]
    failed = flaws_of(history(*LIFE, "transcoding_failed"))
    assert failed == ["media.transcoding_failed should not be there"]
    cut = history(*LIFE)
    del cut.events[4]
    assert flaws_of(cut) == ["the versions have gaps"]


def test_only_all_of_them_ready_and_flawless_pass() -> None:
    good = verdict(Status.READY)
    assert Trial(2, (good, good), None, 1).passed
    assert not Trial(3, (good, good), None, 1).passed
    assert not Trial(1, (verdict(Status.FAILED),), None, 1).passed
    assert not Trial(1, (verdict(Status.READY, "a flaw"),), None, 1).passed


def test_more_jobs_than_an_attempt_may_have_do_not_pass() -> None:
    good = (verdict(Status.READY),)
    assert Trial(1, good, Faults(seed=1, mostJobs=2, faults={}), 1).passed
    assert not Trial(1, good, Faults(seed=1, mostJobs=3, faults={}), 1).passed


@pytest.fixture
def file(tmp_path: Path) -> MediaFile:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"film")
    return MediaFile(path, "video/mp4", 4)


async def test_what_gets_no_worker_is_told_as_stuck_when_the_time_is_over(
    listening: Settings, file: MediaFile, capsys: pytest.CaptureFixture[str]
) -> None:
    dsn = listening.database_url.get_secret_value()
    token = mint_token(listening, "alice", [Role.CREATOR], TOKEN_LIFE)
    with MediaClient(listening.public_app_url, token) as client:
        held = await trial.hold(client, file, 2, 5, dsn, quiet_s=0)

    assert held.as_json()["statuses"] == {"transcoding": 2}
    assert not held.passed
    trial.show(held)
    told = capsys.readouterr().out
    assert told.count("media.transcoding_completed is missing") == 2
    assert "FAILED" in told


async def test_a_row_that_is_not_its_history_is_a_flaw(
    listening: Settings, file: MediaFile, owner: asyncpg.Pool
) -> None:
    dsn = listening.database_url.get_secret_value()
    token = mint_token(listening, "alice", [Role.CREATOR], TOKEN_LIFE)
    with MediaClient(listening.public_app_url, token) as client:
        media_id = client.register(*file.announced).media.id
        await owner.execute("UPDATE media_items SET file_name = 'b.mp4'")
        (judged,) = await trial.judge(client, [media_id], dsn)

    assert "the row is not what the events make: file_name" in judged.flaws


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("--chaos", "1", "--fault", "nothing"), "known: run_refused"),
        (("--fault", "run_dropped"), "--fault needs --chaos"),
    ],
)
def test_a_fault_that_is_not_known_or_has_no_seed_is_refused(
    console: Console, argv: tuple[str, ...], told: str
) -> None:
    refused = console.run("demo", *argv)

    assert refused.code == 2
    assert told in " ".join(refused.err.split())
