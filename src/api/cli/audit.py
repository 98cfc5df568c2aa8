"""`audit export`, `audit verify` and `audit checkpoint`: what they do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from api.auth import Role
from api.cli import output, place
from codex_media import MediaClient
from codex_media.models import Checkpoint
from infra.ledger import verifier
from infra.ledger.checkpoint import CheckpointInvalid, PublicKey
from infra.ledger.verifier import Verdict

AUDITOR = "local-auditor"


def export(out: Path, data: Path | None) -> int:
    """Fetch the bundle of a running service into `out`; its bytes. Whole, or not there."""
    with _client(data) as client:
        return client.bundle(out)


def newest_checkpoint(data: Path | None) -> Checkpoint:
    """The service's newest signed checkpoint."""
    with _client(data) as client:
        return client.checkpoint()


def _client(data: Path | None) -> MediaClient:
    """As CODEX_MEDIA_TOKEN says, else as an auditor of the service that runs here."""
    return place.client(data, AUDITOR, [Role.AUDITOR])


def verify(file: Path, keys: list[str], since: list[Path]) -> Verdict:
    """Check a bundle, with a progress bar on stderr."""
    try:
        expected = [PublicKey.parse(text) for text in keys]
        kept = [path.read_text("utf-8") for path in since]
    except (CheckpointInvalid, UnicodeDecodeError) as error:
        raise typer.BadParameter(str(error)) from None
    with _bar() as progress:
        return verifier.verify(file, expected, kept, progress)


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    columns = (
        TextColumn("verifying"),
        BarColumn(),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=output.err, transient=True) as bar:
        task = bar.add_task("verifying", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def show(verdict: Verdict) -> None:
    """The verdict as lines a person reads."""
    out = output.out
    out.print(f"events       {verdict.events} in {verdict.streams} streams")
    out.print(f"checkpoints  {verdict.checkpoints}, the newest covers {verdict.covered} events")
    for key in verdict.keys:
        out.print(f"key          {key}", soft_wrap=True, highlight=False)
    if verdict.key_is_the_bundles_own:
        out.print(
            "[bold red]WARNING[/]      no --key was given: the key is the bundle's own. This says "
            "nothing about who signed it.",
            soft_wrap=True,
        )
    if verdict.uncovered:
        first, last = verdict.uncovered[0], verdict.uncovered[-1]
        out.print(
            f"[yellow]not covered yet[/]  events {first} to {last}: no checkpoint proves them"
        )
    for finding in verdict.findings:
        out.print(f"[red]WRONG[/]        {finding}", soft_wrap=True)
    out.print("[green]verified[/]" if verdict.ok else "[bold red]NOT verified[/]")


def as_json(verdict: Verdict) -> dict[str, object]:
    """The verdict as one object."""
    return {
        "verified": verdict.ok,
        "events": verdict.events,
        "covered": verdict.covered,
        "checkpoints": verdict.checkpoints,
        "streams": verdict.streams,
        "keys": [str(key) for key in verdict.keys],
        "keyIsTheBundlesOwn": verdict.key_is_the_bundles_own,
        "findings": [finding._asdict() for finding in verdict.findings],
    }
