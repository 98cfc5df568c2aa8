"""The documents hang together, and name only what there is."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from api.cli import app
from infra.settings import Settings
from tests.docs import ROOT

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "bench/README.md"])
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
COMMAND = re.compile(r"(?:\./|`|bin/|&& )codex-media ([a-z][a-z-]*)")
MODULE = re.compile(r"python -m ((?:tests|bench|gpu_worker|infra)[\w.]*)")
NAMES = {page.relative_to(ROOT).as_posix(): page for page in PAGES}
BY_NAME = pytest.mark.parametrize("page", NAMES.values(), ids=NAMES)


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Where a page leads within the repository: files, and headings in them."""
    for path, heading in LINK.findall(page.read_text("utf-8")):
        yield (page.parent / path).resolve() if path else page, heading


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    titles = HEADING.findall(page.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@BY_NAME
def test_links_lead_somewhere(page: Path) -> None:
    for target, heading in links(page):
        assert target.exists(), target
        assert not heading or heading in headings(target), (target, heading)


def test_every_document_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [target for target, _ in links(page)]

    assert set(PAGES) <= reached


def test_the_index_lists_every_document() -> None:
    index = ROOT / "docs/README.md"
    listed = {target for target, _ in links(index)}

    assert set((ROOT / "docs").glob("*.md")) - {index} <= listed


@BY_NAME
def test_commands_that_are_named_exist(page: Path) -> None:
    known = set(get_command(app).list_commands(None))  # type: ignore[attr-defined, arg-type]

    assert set(COMMAND.findall(page.read_text("utf-8"))) <= known


@BY_NAME
def test_modules_that_are_run_exist(page: Path) -> None:
    for name in MODULE.findall(page.read_text("utf-8")):
        assert importlib.util.find_spec(name.rstrip(".")) is not None, name


def test_required_settings_are_all_in_the_tutorial_or_made_by_secrets() -> None:
    text = (ROOT / "docs/tutorial.md").read_text("utf-8")
    made = {"webhook_secrets", "capability_secrets", "ledger_key"}
    required = {name for name, field in Settings.model_fields.items() if field.is_required()}

    assert all(f"`{name.upper()}`" in text for name in required - made)
