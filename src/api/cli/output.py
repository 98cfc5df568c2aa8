"""What people see: progress on stderr, results on stdout."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from codex_media.models import History, ItemError, MediaStatus, Playback

out = Console()
err = Console(stderr=True)


@contextmanager
def upload_bar(name: str, size: int) -> Iterator[Callable[[int], None]]:
    """A progress bar of `size` bytes; call what it yields with the bytes of each chunk."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(f"uploading {name}", total=size)
        yield lambda count: bar.advance(task, count)


@contextmanager
def transcoding_bar() -> Iterator[Callable[[MediaStatus], None]]:
    """A progress bar of percent and stage; call what it yields with each status."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("waiting for a worker", total=100)

        def show(status: MediaStatus) -> None:
            text = str(status.status)
            if status.progress:
                rung = f" {status.progress.rung}" if status.progress.rung else ""
                text = f"{status.status}: {status.progress.stage}{rung}"
                bar.update(task, completed=status.progress.percent)
            bar.update(task, description=text)

        yield show


@contextmanager
def uploads_bar(count: int) -> Iterator[Callable[[str, int], None]]:
    """A progress bar of `count` uploads; call what it yields with what is done to how many."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("uploaded", total=count)
        yield lambda what, done: bar.update(task, description=what, completed=done)


def show_status(status: MediaStatus) -> None:
    """The status as lines a person reads."""
    out.print(f"media     {status.media_id}")
    colour = {"ready": "green", "failed": "red"}.get(str(status.status), "yellow")
    out.print(f"status    [{colour}]{status.status}[/]  (attempt {status.attempts})")
    if status.runpod_job_id:
        out.print(f"job       {status.runpod_job_id}")
    if status.progress:
        out.print(f"progress  {status.progress.percent:.0f} % ({status.progress.stage})")
    if status.error:
        show_error(status.error)
    keys = status.outputs.model_dump(by_alias=True, exclude_none=True)
    for name, key in keys.items():
        out.print(f"{name}  {key}", soft_wrap=True)


def show_error(error: ItemError) -> None:
    """Why an item failed and what to do."""
    out.print(f"why       {error.message}  [dim]({error.code})[/]", soft_wrap=True)
    out.print(f"what now  {error.hint}", soft_wrap=True)


def show_playback(playback: Playback) -> None:
    """The URLs, each on a line of its own so that it can be copied."""
    urls = playback.model_dump(mode="json", by_alias=True, exclude_none=True)
    for name, url in urls.items():
        out.print(f"{name}  {url}", soft_wrap=True, highlight=False)


def show_history(history: History) -> None:
    """One line an event, in order."""
    for event in history.events:
        recorded = event.recorded_at.isoformat(timespec="milliseconds")
        line = f"{event.version:>3}  {recorded}  {event.type:<29}  {event.hash[:12]}  {event.actor}"
        out.print(line, soft_wrap=True, highlight=False, markup=False)


def show_counts(counts: Mapping[str, int]) -> None:
    """A table of how often what was done."""
    table = Table("fault", "times", box=None, padding=(0, 2, 0, 0))
    for name, count in counts.items():
        table.add_row(name, str(count))
    out.print(table)


def print_json(value: object) -> None:
    """One JSON object on stdout, unstyled and unwrapped."""
    print(json.dumps(value, default=_jsonable), flush=True)


def _jsonable(value: object) -> str:
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
