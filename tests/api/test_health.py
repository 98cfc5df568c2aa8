"""Probes, and what callers see while a part of the service is away."""

from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest
from botocore.client import BaseClient

from infra.settings import load
from tests.api.service import running
from tests.api.studio import Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_whole_service_is_alive_and_ready(studio: Studio) -> None:
    alive = await studio.service.http.get("/livez")
    ready = await studio.service.http.get("/readyz")

    assert (alive.status_code, alive.json()) == (200, {"status": "ok", "checks": {}})
    expected = {"status": "ok", "checks": {"database": "ok", "bucket": "ok"}}
    assert (ready.status_code, ready.json()) == (200, expected)


async def test_a_schema_behind_is_told_with_what_is_missing(
    environ: dict[str, str], bare_dsn: str
) -> None:
    async with running(load(environ | {"DATABASE_URL": bare_dsn})) as service:
        answer = await service.http.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    told = answer.json()["checks"]
    assert told["database"].startswith("run `codex-media migrate`: not applied yet: 0001_history")
    assert told["bucket"] == "ok"


async def test_a_missing_bucket_is_told_and_loses_nothing(
    environ: dict[str, str], s3: BaseClient
) -> None:
    bucket = environ["R2_BUCKET"]
    async with running(load(environ)) as service:
        studio = Studio(service, s3, "alice")
        registered = await studio.register()
        s3.delete_bucket(Bucket=bucket)

        ready = await service.http.get("/readyz")

        assert ready.status_code == 503
        checks = ready.json()["checks"]
        assert checks == {"database": "ok", "bucket": "does not answer (StorageUnavailable)"}
        s3.create_bucket(Bucket=bucket)
        await studio.put(registered.upload, b"the bytes of a film")
        assert (await studio.complete(registered.media.id)).status_code == 202
        await studio.check_books()


async def test_a_bucket_that_is_away_is_503_and_can_be_asked_again(
    environ: dict[str, str], s3: BaseClient
) -> None:
    async with running(load(environ)) as service:
        studio = Studio(service, s3, "alice")
        job = await studio.ready()
        url = (await studio.get(f"/api/media/{job.media_id}/playback")).json()["masterUrl"]
        for key in [found.key async for found in service.services.storage.listing("")]:
            s3.delete_object(Bucket=environ["R2_BUCKET"], Key=key)
        s3.delete_bucket(Bucket=environ["R2_BUCKET"])

        answer = await service.http.get(url)

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "5"


@pytest.fixture
def line(dsn: str, tmp_path: Path) -> Path:
    """A link to the database's socket folder. Without it, the database is out of reach."""
    link = tmp_path / "line"
    mend(link, dsn)
    return link


def mend(line: Path, dsn: str) -> None:
    """Put the database into reach."""
    line.symlink_to(parse_qs(urlsplit(dsn).query)["host"][0])


def cut(line: Path) -> None:
    """Put the database out of reach."""
    line.unlink()


async def hang_up(dsn: str) -> None:
    """End every other connection to the database."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()


async def test_a_database_that_is_away_is_told_and_comes_back(
    environ: dict[str, str], dsn: str, line: Path, s3: BaseClient
) -> None:
    over_line = f"{dsn.partition('?')[0]}?host={quote(str(line), safe='')}"
    async with running(load(environ | {"DATABASE_URL": over_line})) as service:
        studio = Studio(service, s3, "alice")
        media_id = (await studio.register()).media.id
        cut(line)
        await hang_up(dsn)

        ready = await service.http.get("/readyz")
        refused = await studio.get(f"/api/media/{media_id}")

        assert ready.status_code == 503
        assert ready.json()["checks"]["database"].startswith("does not answer (")
        assert ready.json()["checks"]["bucket"] == "ok"
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert refused.headers["retry-after"] == "5"
        assert (await service.http.get("/livez")).status_code == 200
        mend(line, dsn)
        assert (await service.http.get("/readyz")).status_code == 200
        assert (await studio.get(f"/api/media/{media_id}")).status_code == 200


async def test_a_database_that_refuses_us_is_told(environ: dict[str, str], dsn: str) -> None:
    name = urlsplit(dsn).path
    async with running(load(environ)) as service:
        admin = await asyncpg.connect(dsn.replace(name, "/postgres", 1))
        await admin.execute(f"ALTER DATABASE {name[1:]} ALLOW_CONNECTIONS false")
        await admin.execute(
            "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE datname = $1",
            name[1:],
        )
        await admin.close()

        answer = await service.http.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["checks"]["database"].startswith("does not answer (")
