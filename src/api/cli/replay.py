"""`replay`: the projection against the history."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api.cli import output, place
from api.cli.failures import told
from infra.postgres.replay import Difference, Replay, Span, Tell, open_replay
from infra.settings import Settings, load

MISSING = "(no row)"

Advance = Callable[[int], None]
"""Called with how many more streams were gone through."""


class Mode(Enum):
    """How far a replay goes."""

    CHECK = "compare, and write nothing"
    REBUILD = "rebuild beside the live table, and compare"
    SWITCH = "rebuild, compare, and make the live table equal"


@dataclass
class Outcome:
    """What a replay found. No more than `shown_at_most` differences are held in memory."""

    shown_at_most: int
    streams: int = 0
    differences: int = 0
    mended: int | None = None
    """None: nothing was to be mended."""
    shown: list[Difference] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether the live table is now what the history makes."""
        return self.differences == 0 or self.mended is not None

    def found(self, span: Span, differences: Sequence[Difference]) -> None:
        """Note what a comparison tells."""
        self.streams += span.streams
        self.differences += len(differences)
        self.shown += differences[: self.shown_at_most - len(self.shown)]

    def switched(self, _: Span, differences: Sequence[Difference]) -> None:
        """Note what a switch tells."""
        self.mended = (self.mended or 0) + len(differences)


def mode(*, check: bool, switch: bool) -> Mode:
    """What the options ask for."""
    if check and switch:
        raise typer.BadParameter("--check writes nothing, --switch does: choose one")
    if check:
        return Mode.CHECK
    return Mode.SWITCH if switch else Mode.REBUILD


def execute(data: Path | None, mode: Mode, shown_at_most: int, *, as_json: bool) -> int:
    """Replay the service in `data` or the environment; the exit code."""
    with told(as_json=as_json):
        outcome = run(load(place.environment(data)), mode, shown_at_most)
    if as_json:
        output.print_json(_jsonable(outcome))
    else:
        show(outcome)
    return 0 if outcome.equal else 1


def run(settings: Settings, mode: Mode, shown_at_most: int) -> Outcome:
    """Replay with progress on stderr."""
    return asyncio.run(_run(settings, mode, shown_at_most))


async def _run(settings: Settings, mode: Mode, shown_at_most: int) -> Outcome:
    outcome = Outcome(shown_at_most)
    async with open_replay(settings.database_url.get_secret_value()) as replay:
        streams = await replay.count()
        if mode is Mode.CHECK:
            with _bar("comparing", streams) as bar:
                await replay.check(_both(bar, outcome.found))
            return outcome
        with _bar("rebuilding", streams) as bar:
            await replay.rebuild(bar)
        with _bar("comparing", streams) as bar:
            await replay.compare(_both(bar, outcome.found))
        if mode is Mode.SWITCH:
            await _switch(replay, streams, outcome)
    return outcome


async def _switch(replay: Replay, streams: int, outcome: Outcome) -> None:
    with _bar("switching", streams) as bar:
        await replay.switch(_both(bar, outcome.switched))


def _both(advance: Advance, tell: Tell) -> Tell:
    def both(span: Span, differences: Sequence[Difference]) -> None:
        advance(span.streams)
        tell(span, differences)

    return both


@contextmanager
def _bar(name: str, streams: int) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("streams"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=output.err, transient=True) as bar:
        task = bar.add_task(name, total=streams)
        yield lambda more: bar.advance(task, more)


def show(outcome: Outcome) -> None:
    """The differences, column by column, and what became of them."""
    for each in outcome.shown:
        output.out.print(f"media     {each.media_id}", soft_wrap=True)
        for name, kept, folded in each.columns():
            was = MISSING if each.kept is None else repr(kept)
            made = MISSING if each.folded is None else repr(folded)
            line = f"  {name}: kept {was}, events make {made}"
            output.out.print(escape(line), soft_wrap=True, highlight=False)
    if outcome.differences > len(outcome.shown):
        output.out.print(f"and {outcome.differences - len(outcome.shown)} more")
    output.out.print(_sentence(outcome))


def _sentence(outcome: Outcome) -> str:
    compared = f"streams compared: {outcome.streams}; rows that differ: {outcome.differences}"
    if outcome.mended is not None:
        return f"{compared}; mended: {outcome.mended}"
    return compared if outcome.equal else f"{compared} (`--switch` mends them)"


def _jsonable(outcome: Outcome) -> dict[str, object]:
    return {
        "streams": outcome.streams,
        "differences": outcome.differences,
        "mended": outcome.mended,
        "rows": [
            {
                "mediaId": str(each.media_id),
                "columns": {
                    name: {"kept": kept, "folded": folded} for name, kept, folded in each.columns()
                },
            }
            for each in outcome.shown
        ],
    }
