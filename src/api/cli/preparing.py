"""Commands around a service's first start. What they need is imported when they run."""

import os
from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path | None, typer.Option(dir_okay=False, help="A new file (0600); else stdout.")]
Name = Annotated[str, typer.Option(help="What the ledger is published as.")]
Compose = Annotated[bool, typer.Option("--compose", help="All that compose.yaml asks for.")]
Origins = Annotated[
    list[str] | None,
    typer.Option(help="Whose pages may upload; again for more. Default: PUBLIC_APP_URL's."),
]
Folder = Annotated[
    Path, typer.Option("--data", metavar="DIR", file_okay=False, help="Its logs, and work files.")
]
Workers = Annotated[int, typer.Option(min=1, max=16, help="Worker processes.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", file_okay=False, help="Folder of a running service."),
]


def secrets(out: Out = None, name: Name = "codex-media", compose: Compose = False) -> None:
    """Make the secrets of a new service, in a file of settings to go on with."""
    from api.cli import env_file

    text = env_file.for_compose(name) if compose else env_file.for_hosts_elsewhere(name)
    if out is None:
        typer.echo(text, nl=False)
    else:
        env_file.write_new(out, text)


def bucket(origin: Origins = None, data: Data = None) -> None:
    """Make the bucket where it is not there, and let browsers' pages upload to it (CORS)."""
    from api.cli import place, server
    from infra.settings import load

    typer.echo(server.prepare(load(place.environment(data)), origin or []))


def stand_in(data: Folder = Path(".codex-media-gpu"), workers: Workers = 1) -> None:
    """Be RunPod on this machine: a stand-in for its API, and our worker on the CPU. For trials."""
    from api.cli import stand_in as standing
    from infra.settings import load

    raise typer.Exit(standing.run(load(os.environ), data, workers))


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(epilog="Examples: `codex-media secrets --out service.env` · `… --compose`")(secrets)
    app.command(epilog="Example: `codex-media bucket --origin https://www.example.com`")(bucket)
    app.command("stand-in", epilog="Example: `RUNPOD_BASE_URL=http://127.0.0.1:8010 … stand-in`")(
        stand_in
    )
