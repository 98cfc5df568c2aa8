"""The commands that talk to a service, against one that listens on a port, with a worker."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from uuid import uuid4

import httpx
import pytest
from botocore.client import BaseClient

from api.app import create_app
from api.cli.place import write_running
from gpu_worker.contract import JobInput
from infra.bootstrap import open_services
from infra.embedded.ports import free_port
from infra.settings import Settings
from tests.api.console import Console
from tests.api.gpu import Gpu, Job, take_jobs
from tests.api.listening import START_TIMEOUT_S
from tests.api.service import Service

Work = Callable[..., None]


@pytest.fixture
def work(listening: Settings, s3: BaseClient) -> Iterator[Work]:
    """Start a worker that takes one job of the service and ends it: `work(ends="ready")`."""
    threads: list[Thread] = []

    def start(ends: str) -> None:
        thread = Thread(target=lambda: asyncio.run(work_once(listening, s3, ends)), name="worker")
        threads.append(thread)
        thread.start()

    yield start
    for thread in threads:
        thread.join(START_TIMEOUT_S)
        assert not thread.is_alive()


async def work_once(settings: Settings, s3: BaseClient, ends: str) -> None:
    """Wait for a job of this service, run it, report. What happened is sealed, as loops do it."""
    async with (
        open_services(settings) as services,
        httpx.AsyncClient(base_url=settings.public_app_url) as http,
        httpx.AsyncClient(timeout=10.0) as network,
    ):
        service = Service(create_app(settings, open_services(settings)), settings, http, network)
        job = await next_job(service)
        gpu = Gpu(service, s3)
        await gpu.start(job)
        await gpu.progress(job, 50.0, "720p")
        await (gpu.finish(job) if ends == "ready" else gpu.fail(job))
        await services.sealer.seal_once()


async def next_job(service: Service) -> Job:
    """The next job whose reports go to this service."""
    for _ in range(10):
        for taken in await take_jobs(service):
            wanted = JobInput.model_validate(taken["input"])
            if wanted.webhook_url.startswith(service.settings.public_app_url):
                return Job(
                    wanted.media_id,
                    wanted.attempt,
                    wanted.attempt_id,
                    str(taken["id"]),
                    wanted.type,
                    wanted.creator_id,
                )
    raise TimeoutError("no job of this service came")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A file to upload."""
    path = tmp_path / "holiday.mp4"
    path.write_bytes(b"the bytes of a film" * 20_000)
    return path


def upload(console: Console, film: Path, *more: str) -> tuple[int, dict[str, object]]:
    """Upload the film; exit code and what `--json` prints."""
    told = console.run("upload", str(film), "--json", "--data", str(film.parent), *more)
    printed: dict[str, object] = json.loads(told.out)
    return told.code, printed


def test_a_file_is_carried_to_its_playback_url(
    console: Console, listening: Settings, film: Path, work: Work
) -> None:
    work(ends="ready")

    code, told = upload(console, film)

    assert (code, told["status"], told["error"], told["attempts"]) == (0, "ready", None, 1)
    assert str(told["playbackUrl"]).startswith(f"{listening.public_app_url}/api/playback/")
    master = httpx.get(str(told["playbackUrl"]))
    assert master.text.startswith("#EXTM3U")
    events = told["events"]
    assert isinstance(events, list)
    assert [event["version"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert events[-1]["type"] == "media.transcoding_completed"


def test_upload_shows_a_person_what_happened(
    console: Console, listening: Settings, film: Path, work: Work
) -> None:
    work(ends="ready")

    told = console.run("upload", str(film), "--data", str(film.parent))

    assert told.code == 0
    assert "status    ready" in told.out
    assert "media.transcoding_completed" in told.out
    assert "masterUrl" in told.out


def test_a_failed_upload_is_shown_then_retried_then_refused(
    console: Console, listening: Settings, film: Path, work: Work
) -> None:
    work(ends="failed")
    code, told = upload(console, film)
    assert (code, told["status"], told["playbackUrl"]) == (1, "failed", None)
    media_id, data = str(told["mediaId"]), ("--data", str(film.parent))

    status = console.run("status", media_id, *data)
    assert status.code == 0
    assert "The encoder stopped half-way." in status.out
    assert "what now  Retry once" in status.out

    work(ends="failed")
    again = console.run("retry", media_id, *data)
    assert again.code == 1
    assert "(attempt 2)" in again.out

    refused = console.run("retry", media_id, *data)
    assert (refused.code, refused.out) == (1, "")
    assert "All 2 attempts are used up" in refused.err
    assert "Traceback" not in refused.err

    kept = console.run("erase", media_id, *data, said="n\n")
    assert (kept.code, kept.out.strip()) == (1, "")
    assert f"Erase holiday.mp4 ({media_id}) for good?" in kept.err
    erased = console.run("erase", media_id, "--yes", *data)
    assert (erased.code, erased.out.split()[:2]) == (0, ["erased", media_id])
    assert "status    erased" in console.run("status", media_id, *data).out


def test_a_retry_that_works_ends_well(
    console: Console, listening: Settings, film: Path, work: Work
) -> None:
    work(ends="failed")
    _, told = upload(console, film)
    work(ends="ready")

    retried = console.run("retry", str(told["mediaId"]), "--json", "--data", str(film.parent))

    assert retried.code == 0
    assert json.loads(retried.out)["status"] == "ready"


def test_history_is_one_line_an_event(
    console: Console, listening: Settings, film: Path, work: Work
) -> None:
    work(ends="ready")
    _, told = upload(console, film)
    asked = ("history", str(told["mediaId"]), "--data", str(film.parent))

    shown = console.run(*asked)
    printed = console.run(*asked, "--json")

    assert (shown.code, printed.code) == (0, 0)
    assert json.loads(printed.out)["events"] == told["events"]
    numbers = [line.split()[0] for line in shown.out.splitlines() if "media." in line]
    assert numbers == ["1", "2", "3", "4", "5", "6"]


def test_commands_act_as_the_creator_they_are_told(
    console: Console, listening: Settings, film: Path, work: Work
) -> None:
    work(ends="ready")
    _, told = upload(console, film, "--creator", "carol")
    asked = ("status", str(told["mediaId"]), "--json", "--data", str(film.parent))

    assert console.run(*asked, "--creator", "carol").code == 0
    refused = console.run(*asked)
    assert refused.code == 1
    assert "or it is not yours" in refused.err


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_a_dead_proxy_does_not_stand_between_us_and_a_local_service(
    console: Console,
    listening: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    told = console.run("status", str(uuid4()), "--data", str(tmp_path))

    assert told.err.startswith("error: There is no such media item"), "the service answered"


def test_an_unknown_item_is_told_in_a_sentence(
    console: Console, listening: Settings, tmp_path: Path
) -> None:
    told = console.run("history", str(uuid4()), "--data", str(tmp_path))

    assert (told.code, told.err.strip().count("\n")) == (1, 0)
    assert told.err.startswith("error: There is no such media item")


def test_migrate_brings_a_new_database_up_to_date(
    console: Console, environ: dict[str, str], bare_dsn: str, tmp_path: Path
) -> None:
    write_running(tmp_path, environ | {"DATABASE_URL": bare_dsn})

    first = console.run("migrate", "--data", str(tmp_path))
    second = console.run("migrate", "--data", str(tmp_path))

    assert first.out.startswith("applied: 0001_history")
    assert second.out == "nothing to apply\n"
