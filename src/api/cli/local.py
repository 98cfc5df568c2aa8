"""`demo` and `up`: everything on one machine, through the same code as production."""

import asyncio
import shlex
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import httpx

from api.auth import Role
from api.cli import DEFAULT_DATA, output, trial
from api.cli.file import MediaFile, UnusableFile
from api.cli.place import DEMO_CREATOR, RUNNING, TOKEN_LIFE, mint_token, write_running
from codex_media import MediaClient, ServiceUnreachable
from codex_media.models import (
    History,
    MediaStatus,
    PartsUpload,
    Playback,
    Registered,
    Status,
    Upload,
)
from codex_media.sending import send
from infra.embedded.object_store import BucketKeys, allow_pages
from infra.embedded.ports import free_port
from infra.embedded.runpod_chaos import ChaosPlan
from infra.embedded.runpod_local import RunpodEndpoint
from infra.embedded.stack import EmbeddedStack, StackOptions, embedded_stack
from infra.embedded.supervisor import ChildSpec
from infra.postgres.migrations import migrate
from infra.settings import Settings, load

READY_TIMEOUT_S = 30.0
FOLLOW_LIMIT_S = 7 * 3600
"""A little more than the longest attempt may take."""


class Outcome(NamedTuple):
    """How the life of one uploaded file went."""

    status: MediaStatus
    history: History
    playback: Playback | None
    elapsed_s: float

    def as_json(self) -> dict[str, object]:
        """What `demo --json` prints."""
        status = self.status.model_dump(mode="json", by_alias=True)
        events = self.history.model_dump(mode="json", by_alias=True)["events"]
        return {
            "mediaId": status["mediaId"],
            "status": status["status"],
            "error": status["error"],
            "attempts": status["attempts"],
            "outputs": status["outputs"],
            "playbackUrl": self.playback.master_url if self.playback else None,
            "events": events,
            "elapsedSeconds": round(self.elapsed_s, 3),
        }


@asynccontextmanager
async def running_service(
    data: Path, options: StackOptions | None = None, port: int | None = None
) -> AsyncIterator[tuple[EmbeddedStack, Mapping[str, str]]]:
    """The embedded parts, the API and the loops, all ready; and the service's variables."""
    async with embedded_stack(data, options) as stack:
        address = port or free_port()
        own = {"PUBLIC_APP_URL": f"http://127.0.0.1:{address}", "DEMO_SIGN_IN": "true"}
        environ = {**stack.environ, **own}
        await migrate(environ["DATABASE_URL"])
        keys = BucketKeys(environ["R2_ACCESS_KEY_ID"], environ["R2_SECRET_ACCESS_KEY"])
        hosts = ("127.0.0.1", "localhost")
        await allow_pages(stack.object_store, keys, [f"http://{host}:{address}" for host in hosts])
        program = (sys.executable, "-m", "api.cli")
        api = ChildSpec("api", (*program, "serve", "--port", str(address)), environ)
        loops = ChildSpec("work", (*program, "work"), environ)
        async with httpx.AsyncClient(
            base_url=environ["PUBLIC_APP_URL"], timeout=2.0, trust_env=False
        ) as http:
            await stack.supervisor.start(loops)
            await stack.supervisor.start(api, lambda: _is_ready(http), READY_TIMEOUT_S)
        path = write_running(stack.supervisor.folder, environ)
        try:
            yield stack, environ
        finally:
            path.unlink(missing_ok=True)


async def _is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).is_success
    except httpx.HTTPError:
        return False


def carry_through(client: MediaClient, file: MediaFile, resume: UUID | None = None) -> Outcome:
    """Upload `file` and follow it to its end, with progress on stderr.

    With `resume`, as that item's, and only what is missing of it.
    """
    started = time.monotonic()
    registered = _resumed(client, file, resume) if resume else client.register(*file.announced)
    media_id = registered.media.id
    if registered.upload is not None:
        _send(client, media_id, file, registered.upload)
    client.complete(media_id)
    status = follow(client, client.status(media_id))
    elapsed_s = time.monotonic() - started
    ready = status.status == Status.READY
    playback = client.playback(media_id) if ready else None
    return Outcome(status, client.history(media_id), playback, elapsed_s)


def _resumed(client: MediaClient, file: MediaFile, media_id: UUID) -> Registered:
    media = client.media(media_id)
    if (media.file_name, media.size) != (file.path.name, file.size):
        raise UnusableFile(
            f"{media_id} waits for {media.file_name} of {media.size} bytes; "
            f"{file.path.name} of {file.size} bytes is another file."
        )
    if media.status is Status.UPLOADING:
        return client.renew(media_id)
    return Registered(media=media, upload=None)


def _send(client: MediaClient, media_id: UUID, file: MediaFile, upload: Upload) -> None:
    try:
        with output.upload_bar(file.path.name, file.size) as sent:
            if isinstance(upload, PartsUpload):
                sent(file.size - sum(part.size for part in upload.parts))
            send(client, media_id, file.path, upload, sent)
    except (KeyboardInterrupt, ServiceUnreachable):
        again = f"codex-media upload {shlex.quote(str(file.path))} --resume {media_id}"
        output.err.print(f"Interrupted. To go on: {again}", soft_wrap=True, highlight=False)
        raise


def follow(client: MediaClient, status: MediaStatus) -> MediaStatus:
    """Show progress until the item is ready or failed; its last status."""
    with output.transcoding_bar() as show:
        newest = status
        for newest in client.follow(status.media_id, FOLLOW_LIMIT_S):
            show(newest)
    return newest


def show_outcome(outcome: Outcome) -> None:
    """The outcome as lines a person reads."""
    output.show_status(outcome.status)
    if outcome.playback:
        output.show_playback(outcome.playback)
    output.show_history(outcome.history)
    output.out.print(f"took {outcome.elapsed_s:.1f} s")


class Demo(NamedTuple):
    """What to run and for how long."""

    data: Path
    file: MediaFile | None
    """None: bring everything up and upload nothing."""
    once: bool
    as_json: bool
    port: int | None
    workers: int
    uploads: int = 1
    chaos: ChaosPlan | None = None
    limit_s: float = 600.0
    """Bound of several uploads together; one alone may take as long as it takes."""


def run(demo: Demo) -> int:
    """Bring everything up, carry the file through, stay until Ctrl-C; the exit code."""
    try:
        return asyncio.run(_run(demo))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM


async def _run(demo: Demo) -> int:
    task = asyncio.current_task()
    if task is not None:  # SIGTERM ends a demo as Ctrl-C does: in order, leaving no process.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    output.err.print(f"[dim]starting everything in {demo.data} …[/]", soft_wrap=True)
    started = time.monotonic()
    if demo.chaos:
        output.err.print(f"[dim]chaos by seed {demo.chaos.seed}[/]")
    options = StackOptions(workers=demo.workers, chaos=demo.chaos)
    async with running_service(demo.data, options, demo.port) as (stack, environ):
        output.err.print(f"[dim]up after {time.monotonic() - started:.1f} s[/]")
        return await _unless_a_part_dies(stack, _serve(demo, stack.runpod, environ))


async def _unless_a_part_dies(stack: EmbeddedStack, work: Coroutine[None, None, int]) -> int:
    """What `work` returns; `ChildDied` as soon as a part of the stack is gone."""
    working = asyncio.create_task(work)
    watching = asyncio.create_task(stack.supervisor.first_death())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            raise watching.result()
        return working.result()
    finally:
        for task in (working, watching):
            task.cancel()


async def _serve(demo: Demo, runpod: RunpodEndpoint, environ: Mapping[str, str]) -> int:
    code = 0
    if demo.file is not None and demo.uploads == 1 and demo.chaos is None:
        code = await _carry(demo, demo.file, environ)
    elif demo.file is not None:
        code = await _try(demo, demo.file, runpod, environ)
    if not demo.once:
        _explain(demo, environ)
        await asyncio.Event().wait()
    return code


def _client(settings: Settings) -> MediaClient:
    token = mint_token(settings, DEMO_CREATOR, [Role.CREATOR], TOKEN_LIFE)
    return MediaClient(settings.public_app_url, token)


async def _carry(demo: Demo, file: MediaFile, environ: Mapping[str, str]) -> int:
    with _client(load(environ)) as client:
        outcome = await asyncio.to_thread(carry_through, client, file)
    if demo.as_json:
        output.print_json(outcome.as_json())
    else:
        show_outcome(outcome)
    return 0 if outcome.status.status == Status.READY else 1


async def _try(
    demo: Demo, file: MediaFile, runpod: RunpodEndpoint, environ: Mapping[str, str]
) -> int:
    settings = load(environ)
    dsn = settings.database_url.get_secret_value()
    with _client(settings) as client:
        held = await trial.hold(client, file, demo.uploads, demo.limit_s, dsn)
    if demo.chaos:
        held = held._replace(faults=await trial.ask_for_faults(runpod))
    if demo.as_json:
        output.print_json(held.as_json())
    else:
        trial.show(held)
    return 0 if held.passed else 1


def _explain(demo: Demo, environ: Mapping[str, str]) -> None:
    url = environ["PUBLIC_APP_URL"]
    where = "" if demo.data == DEFAULT_DATA else f" --data {shlex.quote(str(demo.data))}"
    lines = (
        f"The console is at {url} (for auditors: {url}/audit); sign in with any name.",
        f"What the service can do: {url}/openapi.json",
        f"Settings for other commands are in {demo.data / RUNNING}; logs in {demo.data / 'logs'}.",
        f"In another terminal: ./codex-media upload FILE{where} (or status, history, retry ID)",
        "Ctrl-C stops everything.",
    )
    for line in lines:
        output.err.print(line, soft_wrap=True)
