"""`audit export`, `audit verify` and `audit checkpoint`: what they do."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from api.audit_schemas import CheckpointOut
from api.auth import Role
from api.cli import output, place
from api.cli.client import ServiceRefused, ServiceUnreachable, proxied
from api.problems import Problem
from infra.ledger import verifier
from infra.ledger.checkpoint import CheckpointInvalid, PublicKey
from infra.ledger.verifier import Verdict
from infra.settings import load

TIMEOUT_S = 30.0
AUDITOR = "local-auditor"


class BundleIncomplete(ServiceUnreachable):
    """The bundle broke off on its way; nothing was kept of it."""

    code = "bundle_incomplete"


def export(out: Path, data: Path | None) -> int:
    """Fetch the bundle of a running service into `out`; its bytes. Whole, or not there."""
    unfinished = out.with_name(f".{out.name}.part")
    try:
        with _get("/api/audit/bundle", data) as answer, unfinished.open("wb") as file:
            for chunk in answer.iter_bytes():
                file.write(chunk)
        unfinished.replace(out)
    except httpx.HTTPError as error:
        raise BundleIncomplete(f"The bundle broke off: {error}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return out.stat().st_size


def newest_checkpoint(data: Path | None) -> CheckpointOut:
    """The service's newest signed checkpoint."""
    with _get("/api/audit/checkpoint", data) as answer:
        return CheckpointOut.model_validate_json(answer.read())


@contextmanager
def _get(path: str, data: Path | None) -> Iterator[httpx.Response]:
    """As CODEX_MEDIA_TOKEN says, else as an auditor of the service that runs here."""
    url, token = os.environ.get("CODEX_MEDIA_URL"), os.environ.get("CODEX_MEDIA_TOKEN")
    if not (url and token):
        settings = load(place.environment(data))
        url = url or settings.public_app_url
        token = token or place.mint_token(settings, AUDITOR, [Role.AUDITOR], place.TOKEN_LIFE)
    headers = {"authorization": f"Bearer {token}", "accept": "*/*"}
    with httpx.Client(
        base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=proxied(url)
    ) as client:
        request = client.build_request("GET", path)
        try:
            answer = client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise ServiceUnreachable(f"{url} does not answer ({error}).") from None
        try:
            if not answer.is_success:
                raise _refusal(answer)
            yield answer
        finally:
            answer.close()


def _refusal(answer: httpx.Response) -> ServiceRefused:
    try:
        problem = Problem.model_validate_json(answer.read())
    except ValueError:
        status = answer.status_code
        return ServiceRefused(status, "unexpected_answer", f"The service answered {status}.")
    return ServiceRefused(answer.status_code, problem.code, problem.detail)


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
