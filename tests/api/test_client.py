"""The client that integrators use, against the service with its real parts."""

import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from pydantic import BaseModel

from api import audit_schemas, schemas, upload_schemas
from api.auth import Role
from api.live import messages
from api.problem_codes import CATALOGUE
from api.routes import OPERATIONS
from codex_media import (
    AccessDenied,
    AsyncMediaClient,
    InvalidRequest,
    InvalidState,
    KeyReused,
    MediaClient,
    NotFound,
    ServiceFailed,
    ServiceUnreachable,
    Status,
    TryLater,
    Unauthenticated,
    UploadUnfinished,
    live_models,
    models,
)
from codex_media.coverage import NOT_OFFERED, OFFERED
from codex_media.errors import BY_CODE
from infra.embedded.ports import free_port
from infra.settings import Settings
from tests.api.studio import VIDEO, Studio
from tests.api.test_audit import seal
from tests.conftest import Tokens

shared = pytest.mark.asyncio(loop_scope="session")
FILM = (VIDEO.file_name, VIDEO.content_type, len(VIDEO.body))


@pytest_asyncio.fixture(loop_scope="session")
async def client(studio: Studio) -> AsyncIterator[AsyncMediaClient]:
    """A client of the studio's creator."""
    async with connected(studio, Role.CREATOR) as opened:
        yield opened


def connected(studio: Studio, *roles: Role) -> AsyncMediaClient:
    """A client of the shared service, without a network between."""
    token = studio.auth(*roles)["authorization"].removeprefix("Bearer ")
    transport = httpx.ASGITransport(studio.service.app)
    return AsyncMediaClient(
        studio.service.settings.public_app_url, token, patience_s=1.0, transport=transport
    )


def test_every_operation_is_offered_or_said_why_not() -> None:
    operations = {each.endpoint.__name__ for each in OPERATIONS}

    assert operations == set(OFFERED) | set(NOT_OFFERED)
    assert not set(OFFERED) & set(NOT_OFFERED)
    for method in OFFERED.values():
        assert callable(getattr(MediaClient, method))
        assert callable(getattr(AsyncMediaClient, method))


def test_both_clients_offer_the_same() -> None:
    def public(kind: type) -> dict[str, list[str]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {
            name: list(inspect.signature(each).parameters)
            for name, each in found
            if not name.startswith("_")
        }

    assert public(MediaClient) == public(AsyncMediaClient)


def test_every_problem_is_an_error_of_its_own() -> None:
    assert set(BY_CODE) == set(CATALOGUE)


PAIRS: dict[type[BaseModel], type[BaseModel]] = {
    models.Session: schemas.SessionOut,
    models.ItemError: schemas.ErrorOut,
    models.Outputs: schemas.OutputsOut,
    models.Cover: schemas.CoverOut,
    models.Seal: schemas.SealOut,
    models.AsOf: schemas.AsOfOut,
    models.Media: schemas.MediaOut,
    models.MediaPage: schemas.MediaPage,
    models.Progress: schemas.ProgressOut,
    models.MediaStatus: schemas.StatusOut,
    models.Personal: schemas.PersonalOut,
    models.Event: schemas.EventOut,
    models.History: schemas.HistoryOut,
    models.Loudness: schemas.LoudnessOut,
    models.Playback: schemas.PlaybackOut,
    models.SingleUpload: upload_schemas.UploadOut,
    models.Part: upload_schemas.PartOut,
    models.PartsUpload: upload_schemas.PartsUploadOut,
    models.Registered: upload_schemas.RegisteredOut,
    models.LedgerEvent: audit_schemas.LedgerEventOut,
    models.Checkpoint: audit_schemas.CheckpointOut,
    models.Health: schemas.Health,
    live_models.Opened: messages.OpenOut,
    live_models.MediaChange: messages.MediaChangeOut,
    live_models.LiveProgress: messages.LiveProgressOut,
}
"""The client's models, and the service's."""
LENIENT = {"mediaType", "method", "status of Health", "mediaId of LiveProgress"}
"""Where the client takes any text, or reads it as more than that."""


def alike(shape: Any) -> Any:
    """A shape without what the client is lenient about."""
    if isinstance(shape, dict):
        return {name: alike(each) for name, each in shape.items() if name not in LENIENT}
    return [alike(each) for each in shape] if isinstance(shape, list) else shape


@pytest.mark.parametrize("ours", PAIRS, ids=lambda kind: kind.__name__)
def test_the_clients_models_are_those_of_the_service(ours: type[BaseModel]) -> None:
    theirs = PAIRS[ours]

    told, known = fields(theirs), fields(ours)

    assert set(known) == set(told)
    for name in known:
        if not {name, f"{name} of {ours.__name__}"} & LENIENT:
            assert alike(known[name]) == alike(told[name]), name


def fields(model: type[BaseModel]) -> dict[str, Any]:
    """Each field's values, whatever the models that they are made of are called."""
    schema = model.model_json_schema(mode="serialization", by_alias=True)
    return {
        name: shape(each, schema.get("$defs", {})) for name, each in schema["properties"].items()
    }


def shape(schema: dict[str, Any], known: dict[str, Any]) -> Any:
    """A schema without words, its references followed, its open enumerations closed."""
    if "$ref" in schema:
        return shape(known[schema["$ref"].rsplit("/", 1)[1]], known)
    if several := schema.get("anyOf") or schema.get("oneOf"):
        found = [shape(each, known) for each in several]
        closed = [each for each in found if each != "string"] if _is_open(found) else found
        return closed[0] if len(closed) == 1 else sorted(closed, key=repr)
    if "enum" in schema:
        return sorted(schema["enum"])
    if "properties" in schema:
        return {name: shape(each, known) for name, each in schema["properties"].items()}
    if schema.get("type") == "array":
        return [shape(schema["items"], known)]
    return schema.get("const") or schema.get("format") or schema.get("type", "anything")


def _is_open(found: list[Any]) -> bool:
    return "string" in found and any(isinstance(each, list) for each in found)


def test_states_and_codes_of_a_newer_service_stay_text() -> None:
    known = models.Session.model_validate_json('{"subject": "a", "roles": ["creator", "curator"]}')

    assert known.roles == [models.Role.CREATOR, "curator"]
    assert isinstance(known.roles[0], models.Role)


def test_the_client_needs_httpx_and_pydantic_alone() -> None:
    script = "import sys, codex_media; print(*sorted({m.split('.')[0] for m in sys.modules}))"

    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()

    heavy = {"starlette", "asyncpg", "aioboto3", "botocore", "typer", "domain", "infra", "api"}
    assert not heavy & set(found)
    assert {"httpx", "pydantic", "codex_media"} <= set(found)


@shared
async def test_a_file_goes_from_registration_to_playback(
    studio: Studio, client: AsyncMediaClient
) -> None:
    registered = await client.register(*FILM)
    media_id = registered.media.id
    assert isinstance(registered.upload, models.SingleUpload)
    with pytest.raises(UploadUnfinished):
        await client.complete(media_id)
    await studio.service.network.put(
        registered.upload.url, content=VIDEO.body, headers=registered.upload.headers
    )
    assert (await client.renew(media_id)).media.id == media_id
    assert (await client.complete(media_id)).status is Status.TRANSCODING
    with pytest.raises(InvalidState):
        await client.playback(media_id)
    await studio.gpu.finish(await studio.job(media_id))

    assert (await client.status(media_id)).final
    assert (await client.playback(media_id)).master_url.endswith("/master.m3u8")
    assert [event.version for event in (await client.history(media_id)).events] == [1, 2, 3, 4, 5]
    assert (await client.media(media_id, version=1)).status is Status.UPLOADING
    assert [item.id async for item in client.items()] == [media_id]
    assert (await client.page(status="ready", limit=1)).items[0].id == media_id
    assert (await client.session()).subject == studio.creator


@shared
async def test_a_failed_item_is_tried_again_and_an_upload_given_up(
    studio: Studio, client: AsyncMediaClient
) -> None:
    job = await studio.failed()
    assert (await client.retry(job.media_id)).status is Status.TRANSCODING
    with pytest.raises(InvalidState) as running:
        await client.retry(job.media_id)
    assert running.value.code == "transcoding_running"

    waiting = (await client.register(*FILM)).media.id
    found = await client.abandon(waiting)
    assert (found.status, found.error and found.error.code) == ("failed", "upload_expired")
    assert (await client.erase(waiting)).status is Status.ERASED
    assert (await client.erase(waiting)).file_name is None


@shared
async def test_refusals_are_errors_of_their_kind(studio: Studio, client: AsyncMediaClient) -> None:
    with pytest.raises(AccessDenied):
        await client.status(uuid4())
    with pytest.raises(InvalidRequest) as wrong:
        await client.register("", "video/mp4", 0)
    assert {each.field for each in wrong.value.fields} == {"fileName", "size"}
    await client.register(*FILM, idempotency_key="one")
    with pytest.raises(KeyReused):
        await client.register("other.mp4", "video/mp4", 7, idempotency_key="one")
    async with connected(studio) as other:
        other._http.headers["authorization"] = "Bearer none"
        with pytest.raises(Unauthenticated):
            await other.session()


@shared
async def test_an_auditor_reads_ledger_checkpoint_and_bundle(
    studio: Studio, tmp_path: Path
) -> None:
    media_id = (await studio.register()).media.id
    await seal(studio)
    async with connected(studio, Role.AUDITOR) as auditor:
        checkpoint = await auditor.checkpoint()
        own = [each async for each in auditor.ledger() if each.media_id == media_id]
        size = await auditor.bundle(tmp_path / "bundle.zip")

        with pytest.raises(NotFound):
            await auditor.evidence("0" * 64)

    assert checkpoint.size >= own[-1].seq
    assert [each.event.type for each in own] == ["media.registered"]
    assert {path.name: path.stat().st_size for path in files(tmp_path)} == {"bundle.zip": size}
    assert size > 0


def files(folder: Path) -> list[Path]:
    """What is in a folder."""
    return list(folder.iterdir())


@shared
async def test_anybody_reads_probes_figures_and_the_description(client: AsyncMediaClient) -> None:
    assert (await client.alive()).status == "ok"
    assert (await client.ready()).checks == {"database": "ok", "bucket": "ok"}
    assert "# HELP" in await client.metrics()
    assert (await client.description())["openapi"] == "3.1.0"


class Flaky(httpx.AsyncBaseTransport):
    """Answers as told, one after the other, and keeps what it was sent."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.sent: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


OK = httpx.Response(200, json={"status": "ok", "checks": {}})


def away(**headers: str) -> httpx.Response:
    """A problem that passes."""
    return httpx.Response(503, headers=headers, json={"code": "unavailable", "detail": "Away."})


async def met(flaky: Flaky, patience_s: float = 5.0) -> AsyncMediaClient:
    """A client that has had an answer."""
    flaky.answers.insert(0, OK)
    opened = AsyncMediaClient("http://service.test", None, patience_s=patience_s, transport=flaky)
    await opened.alive()
    flaky.sent.clear()
    return opened


async def test_what_passes_is_sent_again_after_as_long_as_the_service_says() -> None:
    flaky = Flaky(httpx.ReadError("broke"), away(**{"retry-after": "1"}), OK)
    loop = asyncio.get_running_loop()
    began = loop.time()

    assert (await (await met(flaky)).alive()).status == "ok"

    assert len(flaky.sent) == 3
    assert loop.time() - began >= 1.0


async def test_a_wait_beyond_our_patience_is_told_at_once() -> None:
    flaky = Flaky(away(**{"retry-after": "60"}))

    with pytest.raises(TryLater) as told:
        await (await met(flaky)).alive()

    assert (told.value.retry_after_s, len(flaky.sent)) == (60.0, 1)


async def test_a_registration_that_may_have_arrived_is_repeated_under_its_key() -> None:
    flaky = Flaky(httpx.ReadTimeout("late"), away(), httpx.Response(500, text="<h1>"))

    with pytest.raises(ServiceFailed) as told:
        await (await met(flaky)).register(*FILM)

    assert told.value.code == "unexpected_answer"
    assert len({request.headers["idempotency-key"] for request in flaky.sent}) == 1
    assert len(flaky.sent) == 3


async def test_what_must_not_happen_twice_is_not_sent_twice() -> None:
    flaky = Flaky(httpx.ReadTimeout("late"))

    with pytest.raises(ServiceUnreachable):
        await (await met(flaky)).retry(uuid4())

    assert len(flaky.sent) == 1


async def test_a_service_that_never_answered_is_told_at_once() -> None:
    client = AsyncMediaClient(f"http://127.0.0.1:{free_port()}", None)

    async with client:
        with pytest.raises(ServiceUnreachable, match="does not answer"):
            await asyncio.wait_for(client.alive(), 2)


def example() -> str:
    """The program in docs/client.md."""
    text = (Path(__file__).parents[2] / "docs/client.md").read_text("utf-8")
    (found,) = re.findall(r"```python\n# follow\.py\n(.*?)```", text, re.DOTALL)
    return found


def test_the_documents_example_runs(
    listening: Settings, token: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "holiday.mp4").write_bytes(b"the bytes of a film")
    script = tmp_path / "follow.py"
    script.write_text(example())
    environ = {"CODEX_MEDIA_URL": listening.public_app_url, "CODEX_MEDIA_TOKEN": token()}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    ran = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "holiday.mp4"), "2"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 0, ran.stderr
    told = ran.stdout.split()
    assert UUID(told[0])
    assert told[1] == "transcoding"
