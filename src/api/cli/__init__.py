"""The `codex-media` command. What a command needs is imported when it runs: `--help` is quick."""

import os
import sys
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from api.cli import preparing

app = typer.Typer(
    name="codex-media",
    help="From upload to playable HLS on rented GPUs, with a provable history.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
)

proving = typer.Typer(help="Take the history away, and prove it.", no_args_is_help=True)
app.add_typer(proving, name="audit")
preparing.add_to(app)

DEFAULT_DATA = Path(".codex-media")
Folder = Annotated[
    Path, typer.Option("--data", metavar="DIR", file_okay=False, help="Database, bucket and logs.")
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", file_okay=False, help="Folder of a running local service."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)]
MediaId = Annotated[UUID, typer.Argument(metavar="ID", help="The item's id.")]
Creator = Annotated[
    str | None, typer.Option(help="Act as this creator (local service; default: the demo's).")
]
ContentType = Annotated[
    str | None, typer.Option(help="E.g. video/mp4, where the name does not tell.")
]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Default: a free one.")]
Workers = Annotated[int, typer.Option(min=1, max=16, help="Worker processes.")]
DemoWorkers = Annotated[
    int | None, typer.Option(min=1, max=16, help="Worker processes; with --chaos 2, else 1.")
]

CHAOS_UPLOADS = 50
Chaos = Annotated[
    int | None,
    typer.Option(metavar="SEED", help="Lose, double, delay and reorder what SEED says."),
]
Faults = Annotated[
    list[str] | None, typer.Option(metavar="KIND", help="With --chaos: this kind alone; again.")
]
Uploads = Annotated[
    int | None,
    typer.Option(min=1, max=1000, help=f"How often FILE; with --chaos {CHAOS_UPLOADS}, else 1."),
]
Limit = Annotated[
    float, typer.Option(min=1, help="Seconds that several uploads may take before it ends with 1.")
]

Kept = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)]
Since = Annotated[
    list[Path] | None,
    typer.Option(exists=True, dir_okay=False, readable=True, help="A checkpoint kept from before."),
]
Key = Annotated[
    list[str] | None,
    typer.Option(help="The public key to expect, `name+id+base64`; again for one it replaced."),
]


ChunkWorkers = Annotated[
    int,
    typer.Option(min=0, max=64, help="A long film in chunks, so many at a time; 0: in one pass."),
]


class EncoderChoice(StrEnum):
    """What `transcode --encoder` takes."""

    AUTO = "auto"
    LIBX264 = "libx264"
    NVENC = "h264_nvenc"


@app.command(epilog="Examples: `codex-media demo holiday.mp4` · `codex-media demo --once --json`")
def demo(
    file: Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, readable=True)] = None,
    data: Folder = DEFAULT_DATA,
    once: Annotated[bool, typer.Option(help="End after the result; 0 only if ready.")] = False,
    as_json: AsJson = False,
    content_type: ContentType = None,
    port: Port = None,
    workers: DemoWorkers = None,
    chaos: Chaos = None,
    fault: Faults = None,
    uploads: Uploads = None,
    limit_s: Limit = 600,
) -> None:
    """Start everything, carry FILE (or a sample) through, show it, and stay up."""
    from api.cli.failures import told
    from api.cli.file import examine
    from api.cli.local import Demo, run
    from api.cli.trial import plan, sample

    planned = plan(chaos, fault or [])
    count = uploads or (CHAOS_UPLOADS if planned else 1)
    with told(as_json=as_json):
        chosen = examine(file or sample(data, many=count > 1 or planned is not None), content_type)
        # A job that two workers get needs two.
        hands = workers or (2 if planned else 1)
        raise typer.Exit(
            run(Demo(data, chosen, once, as_json, port, hands, count, planned, limit_s))
        )


@app.command(epilog="Example: `codex-media up --port 8000`")
def up(data: Folder = DEFAULT_DATA, port: Port = None, workers: Workers = 1) -> None:
    """Start everything on this machine and stay up."""
    from api.cli.local import Demo, run

    raise typer.Exit(run(Demo(data, None, False, False, port, workers)))


@app.command(epilog="Example: `codex-media serve --host 0.0.0.0 --port 8000`")
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
) -> None:
    """Serve the API (stateless; any number of replicas). Settings come from the environment."""
    from api.cli import server
    from infra.settings import load

    server.serve(load(os.environ), host, port)


@app.command()
def work() -> None:
    """Run dispatcher, reconciler, sweeper, tidier and sealer (any number of replicas)."""
    from api.cli import server
    from infra.settings import load

    server.work(load(os.environ))


@app.command()
def migrate(data: Data = None) -> None:
    """Bring the database to this version's schema. Safe to run from many places at once."""
    from asyncio import run

    from api.cli import output, place
    from infra.postgres import migrations
    from infra.settings import load

    database_url = load(place.environment(data)).database_url.get_secret_value()
    applied = run(migrations.migrate(database_url))
    output.out.print(f"applied: {', '.join(applied)}" if applied else "nothing to apply")


@app.command(epilog="Examples: `codex-media replay --check` · `codex-media replay --switch`")
def replay(
    check: Annotated[bool, typer.Option("--check", help="Compare, and write nothing.")] = False,
    switch: Annotated[bool, typer.Option("--switch", help="Mend what differs.")] = False,
    show: Annotated[int, typer.Option(min=0, help="Show so many rows that differ.")] = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Rebuild the projection from the events beside the live one. Exit code 1 if they differ."""
    from api.cli.replay import execute, mode

    raise typer.Exit(execute(data, mode(check=check, switch=switch), show, as_json=as_json))


@app.command(epilog="Example: `codex-media transcode holiday.mp4 --out /tmp/hls`")
def transcode(
    file: File,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the output goes.")],
    as_json: AsJson = False,
    encoder: Annotated[EncoderChoice, typer.Option(help="Which encoder.")] = EncoderChoice.AUTO,
    chunk_workers: ChunkWorkers = 0,
) -> None:
    """Run the worker alone on FILE, without a server, into the bucket's layout."""
    argv = [sys.executable, "-m", "gpu_worker", "transcode", str(file)]
    argv += ["--out", str(out), "--encoder", encoder.value, *(["--json"] if as_json else [])]
    argv += ["--chunk-workers", str(chunk_workers)]
    sys.stdout.flush()
    os.execv(sys.executable, argv)  # noqa: S606 - our own program, no shell


@app.command(
    epilog="Examples: `codex-media upload film.mp4` · `codex-media upload film.mp4 --resume ID`"
)
def upload(
    file: File,
    resume: Annotated[
        UUID | None, typer.Option(metavar="ID", help="Send what is missing of this item's file.")
    ] = None,
    data: Data = None,
    creator: Creator = None,
    content_type: ContentType = None,
    as_json: AsJson = False,
) -> None:
    """Upload FILE to a running service and follow it to its end."""
    from api.cli import local, output, place
    from api.cli.failures import told
    from api.cli.file import examine
    from codex_media import Status

    with told(as_json=as_json):
        chosen = examine(file, content_type)
        with place.client(data, creator) as client:
            outcome = local.carry_through(client, chosen, resume)
    if as_json:
        output.print_json(outcome.as_json())
    else:
        local.show_outcome(outcome)
    raise typer.Exit(0 if outcome.status.status == Status.READY else 1)


@app.command()
def status(
    media_id: MediaId, data: Data = None, creator: Creator = None, as_json: AsJson = False
) -> None:
    """Show an item's status."""
    from api.cli import output, place

    with place.client(data, creator) as client:
        found = client.status(media_id)
    if as_json:
        output.print_json(found.model_dump(mode="json", by_alias=True))
    else:
        output.show_status(found)


@app.command()
def retry(
    media_id: MediaId, data: Data = None, creator: Creator = None, as_json: AsJson = False
) -> None:
    """Try a failed item once more, and follow it to its end."""
    from api.cli import local, output, place
    from codex_media import Status

    with place.client(data, creator) as client:
        client.retry(media_id)
        found = local.follow(client, client.status(media_id))
    if as_json:
        output.print_json(found.model_dump(mode="json", by_alias=True))
    else:
        output.show_status(found)
    raise typer.Exit(0 if found.status == Status.READY else 1)


@app.command(epilog="Example: `codex-media erase ID --yes`")
def erase(
    media_id: MediaId,
    data: Data = None,
    creator: Creator = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase an item for good: file, outputs and personal data. Its history stays, without them."""
    from api.cli import output, place

    with place.client(data, creator) as client:
        if not yes:
            named = client.media(media_id).file_name or "an erased item"
            typer.confirm(f"Erase {named} ({media_id}) for good?", abort=True, err=True)
        found = client.erase(media_id)
    if as_json:
        output.print_json(found.model_dump(mode="json", by_alias=True))
    else:
        output.out.print(f"erased    {found.id}  (its objects are removed within seconds)")


@app.command()
def history(
    media_id: MediaId, data: Data = None, creator: Creator = None, as_json: AsJson = False
) -> None:
    """Show every event of an item, in order."""
    from api.cli import output, place

    with place.client(data, creator) as client:
        found = client.history(media_id)
    if as_json:
        output.print_json(found.model_dump(mode="json", by_alias=True))
    else:
        output.show_history(found)


@app.command(epilog="Example: `codex-media token --creator alice --role auditor --hours 1`")
def token(
    creator: Annotated[str, typer.Option(help="The token's subject.")] = "demo-creator",
    role: Annotated[list[str] | None, typer.Option(help="creator, auditor, admin.")] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=720)] = 12,
    data: Data = None,
) -> None:
    """Print a session token, signed with JWT_SECRET."""
    from api.auth import Role
    from api.cli import place
    from infra.settings import load

    try:
        roles = [Role(name) for name in role or ["creator"]]
    except ValueError as error:
        raise typer.BadParameter(f"{error}; known: {', '.join(Role)}") from None
    settings = load(place.environment(data))
    typer.echo(place.mint_token(settings, creator, roles, timedelta(hours=hours)))


@proving.command("export", epilog="Example: `codex-media audit export --out bundle.zip`")
def audit_export(
    out: Annotated[Path, typer.Option(dir_okay=False, help="Where the bundle goes.")],
    data: Data = None,
) -> None:
    """Fetch the bundle that proves the history from a running service."""
    from api.cli.audit import export

    typer.echo(f"{out}: {export(out, data)} bytes")


@proving.command(
    "verify", epilog="Example: `codex-media audit verify bundle.zip --key KEY --since old.txt`"
)
def audit_verify(file: Kept, since: Since = None, key: Key = None, as_json: AsJson = False) -> None:
    """Check a bundle offline. Exit code 0 only if nothing is wrong with it."""
    from api.cli import audit as proof
    from api.cli import output
    from api.cli.failures import told

    with told(as_json=as_json):
        verdict = proof.verify(file, key or [], since or [])
    if as_json:
        output.print_json(proof.as_json(verdict))
    else:
        proof.show(verdict)
    raise typer.Exit(0 if verdict.ok else 1)


@proving.command("checkpoint", epilog="Example: `codex-media audit checkpoint > kept.txt`")
def audit_checkpoint(data: Data = None, as_json: AsJson = False) -> None:
    """Print the newest signed checkpoint, to be kept and given to `verify --since` later."""
    from api.cli import output
    from api.cli.audit import newest_checkpoint

    found = newest_checkpoint(data)
    if as_json:
        output.print_json(found.model_dump(mode="json", by_alias=True))
        return
    typer.echo(found.note, nl=False)
    typer.echo(f"public key: {found.public_key}", err=True)


@app.command()
def doctor(data: Data = None, as_json: AsJson = False) -> None:
    """Check ffmpeg, encoder, database, bucket, RunPod and the webhook's address."""
    from api.cli.doctor import examine

    raise typer.Exit(examine(data, as_json=as_json))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: `codex-media test -k webhook`. Arguments go to pytest.",
)
def test(context: typer.Context) -> None:
    """Lint, check types and import contracts, and run the tests."""
    from api.cli.checks import run_checks

    raise typer.Exit(run_checks(context.args))


def main() -> None:
    """Run the command; errors we know are one readable sentence and exit code 1."""
    from api.cli.failures import told

    with told(as_json=False):
        app()
