"""Which test is about which row of docs/failures.md: a function bears its rows in its name
(`test_f07_…`), or it or a class of a state machine names them in its docstring (`F07`)."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/failures.md"
IN_NAME = re.compile(r"(?<![A-Za-z0-9])f(\d\d)(?=_)")
IN_TEXT = re.compile(r"\bF(\d\d)\b")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@cache
def bearers(folder: Path = ROOT / "tests") -> dict[str, list[str]]:
    """The tests, as `file::test`, by the number that they bear."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("test_*.py")):
        for name, numbers in _borne(ast.parse(path.read_text("utf-8")).body):
            for number in sorted(numbers):
                found[number].append(f"{path.relative_to(folder.parent).as_posix()}::{name}")
    return dict(found)


def _borne(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    for node in body:
        if isinstance(node, Definition):
            if isinstance(node, ast.ClassDef) or node.name.startswith("test_"):
                yield prefix + node.name, _numbers(node)
            if isinstance(node, ast.ClassDef):
                yield from _borne(node.body, f"{prefix}{node.name}::")


def _numbers(node: Definition) -> set[str]:
    text = ast.get_docstring(node) or ""
    return {f"F{digits}" for digits in (*IN_NAME.findall(node.name), *IN_TEXT.findall(text))}


def documented(first: str) -> list[list[str]]:
    """The cells of each row of the page whose first cell is such a letter and a number."""
    row = re.compile(rf"^\| ({first}\d+) \|.*\|$", re.MULTILINE)
    found = row.finditer(PAGE.read_text("utf-8"))
    return [[cell.strip() for cell in match[0].strip("|").split(" | ")] for match in found]


def listing(found: Mapping[str, list[str]]) -> str:
    """The tests of each row, a list item a row."""
    lines = (f"- **{number}** {_names(found[number])}" for number in sorted(found))
    return "\n".join(lines)


def _names(tests: list[str]) -> str:
    return ", ".join(f"`{test}`" for test in tests)


def failures() -> str:
    """The tests of each row, as the page lists them."""
    return listing(bearers())
