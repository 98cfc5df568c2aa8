"""F26: the connection is lost during COMMIT, anywhere in the conversation.

The command is run again under the same id: its events are there exactly once, and whatever was
acknowledged is there.
"""

from collections.abc import Awaitable, Callable
from itertools import cycle
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from botocore.client import BaseClient

from api.upload_schemas import UploadOut
from infra.settings import load
from tests.api.gpu import failure
from tests.api.service import running
from tests.api.studio import VIDEO, Studio
from tests.faults.fault import Action, Fault, Stage
from tests.faults.proxy import Proxy
from tests.faults.ways import proxied_database

OFFSETS = (0, 1, 7, 150, 300, 700, 1100, 2000)
SHORTEST = 100
"""Every append says and hears more bytes than this."""
TRIES = 3
REQUESTED = ["registered", "upload_completed", "transcoding_requested"]
Call = Callable[[], Awaitable[httpx.Response]]


class Books:
    """The events as a connection sees them that nothing breaks."""

    def __init__(self, direct: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._direct = direct

    async def types(self, media_id: UUID) -> list[str]:
        """The stream's events, in order, without `media.`."""
        rows = await self._direct.fetch(
            "SELECT type FROM events WHERE stream_id = $1 ORDER BY version", media_id
        )
        return [row["type"].removeprefix("media.") for row in rows]


async def acknowledged(proxy: Proxy, fault: Fault, call: Call) -> httpx.Response:
    """The first answer that is not 503, to a call whose append meets `fault` the first time."""
    proxy.arm(fault)
    for _ in range(TRIES):
        answer = await call()
        if answer.status_code != 503:
            break
    assert proxy.fired.is_set() or fault.after > SHORTEST
    proxy.disarm()
    return answer


async def upload(studio: Studio, proxy: Proxy, books: Books, fault: Fault) -> None:
    """An upload, each of whose two appends meets `fault`."""
    key = str(uuid4())
    registering = fault._replace(once_seen=b"media.registered")
    answer = await acknowledged(
        proxy,
        registering,
        lambda: studio.post("/api/media", VIDEO.request(), idempotency_key=key),
    )
    assert answer.status_code == 201, (fault, answer.text)
    media_id = UUID(answer.json()["media"]["id"])
    studio.media.append(media_id)
    assert await books.types(media_id) == ["registered"], fault

    await studio.put(UploadOut.model_validate(answer.json()["upload"]), VIDEO.body)
    completing = fault._replace(once_seen=b"media.upload_completed")
    answer = await acknowledged(proxy, completing, lambda: studio.complete(media_id))
    assert answer.status_code == 202, (fault, answer.text)
    # Where the answer to the dispatcher's lease was lost, the job is sent when that is over.
    assert await books.types(media_id) in (REQUESTED, [*REQUESTED, "transcoding_submitted"]), fault


async def report(studio: Studio, proxy: Proxy, books: Books, fault: Fault) -> None:
    """A worker's report, whose append meets `fault`."""
    job = await studio.transcoding()
    told, message_id = failure(job), f"msg_{uuid4()}"
    ending = fault._replace(once_seen=b"media.transcoding_failed")
    answer = await acknowledged(proxy, ending, lambda: studio.gpu.report(told, message_id))
    # Where the note of the verdict was lost, the message is looked at once more by the loop.
    assert answer.status_code == 200, fault
    assert answer.json()["verdict"] in ("failed", "accepted"), fault
    whole = [*REQUESTED, "transcoding_submitted", "transcoding_failed"]
    assert await books.types(job.media_id) == whole, fault


@pytest.mark.parametrize("stage", [Stage.TO_SERVER, Stage.TO_CLIENT])
async def test_f26_commands_whose_connection_is_cut_happen_once_and_are_kept(
    environ: dict[str, str], dsn: str, s3: BaseClient, stage: Stage
) -> None:
    direct = await asyncpg.connect(dsn)
    async with (
        proxied_database(dsn) as (proxy, through),
        running(load(environ | {"DATABASE_URL": through})) as service,
    ):
        studio = Studio(service, s3, "alice")
        for offset, action in zip(OFFSETS, cycle((Action.RESET, Action.CLOSE)), strict=False):
            await upload(studio, proxy, Books(direct), Fault(stage, action, offset))
            await report(studio, proxy, Books(direct), Fault(stage, action, offset))
        await studio.check_books()
    await direct.close()


@pytest.mark.parametrize("stage", [Stage.TO_SERVER, Stage.TO_CLIENT])
async def test_f26_caller_need_not_repeat_what_broke_once_during_its_append(
    environ: dict[str, str], dsn: str, s3: BaseClient, stage: Stage
) -> None:
    async with (
        proxied_database(dsn) as (proxy, through),
        running(load(environ | {"DATABASE_URL": through})) as service,
    ):
        studio = Studio(service, s3, "alice")
        for offset in (0, 1, SHORTEST // 2, SHORTEST):
            proxy.arm(Fault(stage, Action.RESET, offset, once_seen=b"media.registered"))
            answer = await studio.post("/api/media", VIDEO.request())
            assert proxy.fired.is_set()
            assert answer.status_code == 201
            assert await studio.events(UUID(answer.json()["media"]["id"])) == ["registered"]


async def test_f26_database_that_stays_away_during_appends_is_503_and_keeps_nothing_twice(
    environ: dict[str, str], dsn: str, s3: BaseClient
) -> None:
    async with (
        proxied_database(dsn) as (proxy, through),
        running(load(environ | {"DATABASE_URL": through})) as service,
    ):
        studio = Studio(service, s3, "alice")
        media_id = await studio.uploaded()
        proxy.arm(
            Fault(Stage.TO_CLIENT, Action.RESET, once_seen=b"media.upload_completed", lasting=True)
        )
        answer = await studio.complete(media_id)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        proxy.disarm()
        assert (await studio.complete(media_id)).status_code == 202
        types = await studio.events(media_id)
        assert types.count("upload_completed") == types.count("transcoding_requested") == 1
        await studio.check_books()
