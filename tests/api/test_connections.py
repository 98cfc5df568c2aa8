"""F27: connections to the database are few. Who waits for one, who has his own, who holds none."""

import asyncio
import io
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from botocore.client import BaseClient

from api.auth import Role
from infra.bootstrap import Services
from infra.ledger.checkpoint import SigningKey
from infra.ledger.verifier import verify
from infra.settings import load
from tests.api.service import Service, running
from tests.api.slow_client import reading
from tests.api.studio import Studio
from tests.api.test_runpod_webhook import deliver, token
from tests.faults.fault import Action, Fault, Stage
from tests.faults.proxy import Proxy
from tests.faults.ways import proxied_url
from tests.infra.embedded.processes import eventually
from tests.infra.test_pool import taken

FEW = {"DATABASE_CONNECTIONS": "2", "WEBHOOK_CONNECTIONS": "2"}
MANY = 3
"""More than there are connections, so that held ones would be missed."""
PATIENCE_S = 20.0
HOLD = Fault(Stage.TO_SERVER, Action.HOLD, lasting=True)


@pytest_asyncio.fixture
async def few(environ: dict[str, str], s3: BaseClient) -> AsyncIterator[Studio]:
    """A creator of a service with two connections, and two for webhooks."""
    async with running(load(environ | FEW)) as service:
        yield Studio(service, s3, "alice")


async def test_f27_exhausted_pool_is_503_with_retry_after_and_nothing_is_lost(few: Studio) -> None:
    media_id = await few.uploaded()
    async with taken(few.service.services.pool):
        answers = await asyncio.gather(
            few.get(f"/api/media/{media_id}"),
            few.get("/api/media"),
            few.complete(media_id),
            few.service.http.get("/api/audit/bundle", headers=few.auth(Role.AUDITOR)),
        )
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"] == "5"
    assert await few.events(media_id) == ["registered"]
    assert (await few.complete(media_id)).status_code == 202
    await few.check_books()


async def test_f27_webhooks_get_through_while_all_other_connections_are_taken(few: Studio) -> None:
    ready, failed, hinted = [await few.transcoding() for _ in range(3)]
    few.gpu.write(ready)
    async with taken(few.service.services.pool), asyncio.timeout(PATIENCE_S):
        assert (await few.gpu.start(ready)).json() == {"verdict": "transcoding"}
        assert (await few.gpu.progress(ready, 50.0)).json() == {"verdict": "noted"}
        assert (await few.gpu.finish(ready)).json() == {"verdict": "ready"}
        assert (await few.gpu.fail(failed)).json() == {"verdict": "failed"}
        assert (await deliver(few, token(few, hinted.media_id))).json() == {"verdict": "accepted"}
        assert (await few.service.http.get("/readyz")).status_code == 200
    assert (await few.status(ready.media_id)).status == "ready"
    await few.check_books()


async def test_f27_who_is_no_webhook_cannot_take_their_connections(few: Studio) -> None:
    reserved = few.service.services.reserved
    assert reserved is not None
    media_id = (await few.register()).media.id
    async with taken(reserved.pool):
        assert (await few.get(f"/api/media/{media_id}")).status_code == 200
        assert (await few.service.http.get("/readyz")).status_code == 503


def in_use(services: Services | None) -> int:
    """How many connections somebody holds."""
    assert services is not None
    return services.pool.get_size() - services.pool.get_idle_size()


async def is_free(services: Services | None) -> bool:
    """Whether soon nobody holds a connection (one that was used is being reset)."""
    return await eventually(lambda: in_use(services) == 0, PATIENCE_S)


async def held(proxy: Proxy, count: int) -> None:
    """Wait until so many calls are on their way."""
    assert await eventually(lambda: proxy.held == count, PATIENCE_S), proxy.held


async def test_f27_no_connection_is_held_while_runpod_is_asked(
    environ: dict[str, str], s3: BaseClient
) -> None:
    async with (
        proxied_url(environ["RUNPOD_BASE_URL"]) as (proxy, url),
        running(load(environ | FEW | {"RUNPOD_BASE_URL": url})) as service,
    ):
        studio = Studio(service, s3, "alice")
        media = [await studio.uploaded() for _ in range(MANY)]
        proxy.arm(HOLD)
        sending = [asyncio.create_task(studio.complete(media_id)) for media_id in media]
        await held(proxy, MANY)
        assert await is_free(service.services)
        for media_id in media:
            assert (await studio.status(media_id)).status == "transcoding"
        proxy.disarm()
        assert {answer.status_code for answer in await asyncio.gather(*sending)} == {202}
        await studio.check_books()


async def test_f27_no_connection_is_held_while_the_bucket_is_asked(
    environ: dict[str, str], s3: BaseClient
) -> None:
    async with (
        proxied_url(environ["R2_ENDPOINT"]) as (proxy, url),
        running(load(environ | FEW | {"R2_ENDPOINT": url})) as service,
    ):
        studio = Studio(service, s3, "alice")
        media = [await studio.uploaded() for _ in range(MANY)]
        jobs = [await studio.transcoding() for _ in range(MANY)]
        for job in jobs:
            studio.gpu.write(job)
        proxy.arm(HOLD)
        sending = [asyncio.create_task(studio.complete(media_id)) for media_id in media]
        sending += [asyncio.create_task(studio.gpu.finish(job)) for job in jobs]
        await held(proxy, 2 * MANY)
        assert await is_free(service.services)
        assert await is_free(service.services.reserved)
        assert (await studio.status(media[0])).status == "uploading"
        proxy.disarm()
        assert {answer.status_code for answer in await asyncio.gather(*sending)} == {200, 202}
        await studio.check_books()


@pytest.mark.parametrize("path", ["/api/audit/events", "/api/audit/bundle"])
async def test_f27_no_connection_is_held_for_a_slow_auditor(few: Studio, path: str) -> None:
    service: Service = few.service
    await few.ready()
    while await service.services.sealer.seal_once():
        continue
    async with reading(service.app, path, few.auth(Role.AUDITOR), MANY) as clients:
        assert await is_free(service.services)
        assert (await few.get("/api/media")).status_code == 200
    assert {client.status for client in clients} == {200}
    key = SigningKey(*service.settings.ledger_signer).public
    for client in clients:
        if path.endswith("bundle"):
            assert verify(io.BytesIO(client.body), [key]).findings == []
        else:
            assert client.body.count(b"\n") == len(await few.events(few.media[0]))
