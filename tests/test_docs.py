"""The documents say what the code does."""

import re
from pathlib import Path

import pytest

from domain.failure import ErrorCode
from domain.lifecycle import mermaid
from infra.settings import Settings
from tests.docs import BLOCKS, ROOT, BlockMissing, rewrite, written


@pytest.mark.parametrize("name", BLOCKS)
def test_a_generated_part_is_what_the_code_makes(name: str) -> None:
    path, make = BLOCKS[name]

    assert written(name, path) == make(), "run `python -m tests.docs`"


def test_the_readme_draws_the_lifecycle() -> None:
    assert f"```mermaid\n{mermaid()}\n```" in (ROOT / "README.md").read_text("utf-8")


def test_every_setting_has_a_meaning_and_every_code_a_row() -> None:
    rows = {name: written(name, path).splitlines()[2:] for name, (path, _) in BLOCKS.items()}

    assert len(rows["settings"]) == len(Settings.model_fields)
    assert len(rows["errors"]) == len(ErrorCode)
    assert all(field.description for field in Settings.model_fields.values())
    cells = [row.split(" | ") for row in rows["settings"] + rows["errors"] + rows["routes"]]
    assert all(len(row) == 3 and all(row) for row in cells)


def test_no_document_shows_the_default_of_a_secret() -> None:
    secret = re.compile(r"SECRET|PASSWORD|API_KEY|DATABASE_URL")
    path, _ = BLOCKS["settings"]

    told = [row for row in written("settings", path).splitlines() if secret.search(row)]

    assert told
    assert all("| required |" in row or "| none |" in row for row in told)


def test_rewriting_touches_its_own_part_alone(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("before\n<!-- x -->\nold\n<!-- /x -->\nafter\n<!-- y -->\n<!-- /y -->\n")

    assert rewrite("x", document, r"new \1 | \g<0>")
    assert not rewrite("x", document, r"new \1 | \g<0>")

    assert document.read_text() == (
        "before\n<!-- x -->\nnew \\1 | \\g<0>\n<!-- /x -->\nafter\n<!-- y -->\n<!-- /y -->\n"
    )


@pytest.mark.parametrize("text", ["", "<!-- x -->\n", "<!-- x -->\na\n<!-- /x -->\n" * 2])
def test_a_document_without_its_marks_is_told(tmp_path: Path, text: str) -> None:
    document = tmp_path / "a.md"
    document.write_text(text)

    with pytest.raises(BlockMissing, match=r"a\.md"):
        rewrite("x", document, "new")
