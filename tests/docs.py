"""The parts of the documents that are made from the code. `python -m tests.docs` rewrites them.

Each stands between `<!-- NAME -->` and `<!-- /NAME -->`; `tests/test_docs.py` compares.
"""

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic.fields import FieldInfo

from api.operations import Operation
from api.problem_codes import CATALOGUE
from api.routes import OPERATIONS
from domain.failure import ADVICE
from domain.lifecycle import mermaid
from gpu_worker.settings import EncodeSettings
from infra.figures.database import FIGURES
from infra.figures.process import COUNTS
from infra.postgres.migrations import MIGRATIONS
from infra.settings import Settings
from tests import access
from tests.bucket_rights import identities_text, policy_text
from tests.failures import PAGE, failures
from tests.rights import CALLS, RIGHTS

ROOT = Path(__file__).parents[1]
LIMITS = {
    "isolation": ("", "What must confine ffmpeg: `auto`, `bubblewrap`, `landlock`, `optional`."),
    "max_input_bytes": ("input_too_large", "The upload, in bytes."),
    "max_duration_seconds": ("input_too_large", "Its length, in seconds."),
    "max_pixels": ("input_too_large", "Pixels of one picture."),
    "max_side_pixels": ("input_too_large", "The longer side of the picture."),
    "max_streams": ("input_unsupported", "Tracks."),
    "max_output_bytes": ("input_too_large", "All that is made of it, in bytes."),
    "max_memory_bytes": ("input_too_large", "Memory of one ffmpeg or ffprobe, in bytes."),
    "max_wall_seconds": ("timed_out", "The whole job, in seconds."),
    "max_cpu_seconds": ("encode_failed", "CPU time of one ffmpeg, in seconds."),
}
"""Settings of the worker by which a file can fail, and with which code."""


class BlockMissing(Exception):
    """A document lacks the marks between which a part belongs."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(f"{path} has no <!-- {name} --> … <!-- /{name} -->")


def lifecycle() -> str:
    """The states and their moves, drawn."""
    return f"```mermaid\n{mermaid()}\n```"


def routes() -> str:
    """Every route: how it is called, who may, what it does."""
    return _table(("call", "who", "does"), (_route(operation) for operation in OPERATIONS))


def _route(operation: Operation) -> tuple[str, str, str]:
    path = operation.path.replace(":path}", "}")
    who = ", ".join(sorted(operation.roles)) or "anyone"
    return f"`{operation.method} {path}`", who, operation.summary


def settings() -> str:
    """Every setting of the service, those first that must be set."""
    fields = sorted(Settings.model_fields.items(), key=lambda each: not each[1].is_required())
    rows = (_setting(name, field) for name, field in fields)
    return _table(("variable", "default", "meaning"), rows)


def _setting(name: str, field: FieldInfo) -> tuple[str, str, str]:
    default = "required" if field.is_required() else f"`{field.default}`"
    if field.default is None:
        default = "none"
    return f"`{name.upper()}`", default, field.description or ""


def worker_settings() -> str:
    """The limits on one file, and what confines the programs that read it."""
    fields = EncodeSettings.model_fields
    rows = (
        (*_setting(name, fields[name])[:2], f"`{code}`" if code else "-", meaning)
        for name, (code, meaning) in LIMITS.items()
    )
    return _table(("variable", "default", "code", "what is bounded"), rows)


def errors() -> str:
    """Every reason for `failed`, and what a creator can do."""
    rows = (
        (f"`{code}`", "yes" if advice.retryable else "no", advice.hint)
        for code, advice in ADVICE.items()
    )
    return _table(("code", "retryable", "hint"), rows)


def problems() -> str:
    """Every problem a call can be answered with, what it means and what to do."""
    rows = (
        (f'<a id="{code}"></a>`{code}`', str(kind.status), kind.meaning, kind.remedy)
        for code, kind in sorted(CATALOGUE.items())
    )
    return _table(("code", "status", "what it means", "what to do"), rows)


def access_table() -> str:
    """What every kind of caller gets of every operation."""
    return _table(access.HEAD, access.table())


def metrics() -> str:
    """Every metric, and what betrays trouble."""
    rows = ((f"`{figure.shown}`", figure.meaning, figure.trouble) for figure in (*FIGURES, *COUNTS))
    return _table(("metric", "what it is", "trouble when"), rows)


def migrations() -> str:
    """Every migration, and what it says of itself in its first line."""
    files = sorted(MIGRATIONS.glob("*.sql"))
    first = ((path, path.read_text("utf-8").splitlines()[0]) for path in files)
    rows = ((f"`{path.stem}`", line.removeprefix("-- ")) for path, line in first)
    return _table(("migration", "what it brings"), rows)


def database_rights() -> str:
    """What the service's role may do to each table."""
    rows = (
        (f"`{table}`", ", ".join(right.words), right.why)
        for table, right in RIGHTS.items()
        if not table.startswith("_")
    )
    calls = ((f"`{name}()`", "EXECUTE", why) for name, why in CALLS.items())
    return _table(("table or function", "may", "what it is"), (*rows, *calls))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


BLOCKS: dict[str, tuple[Path, Callable[[], str]]] = {
    "lifecycle": (ROOT / "README.md", lifecycle),
    "routes": (ROOT / "README.md", routes),
    "settings": (ROOT / "docs/settings.md", settings),
    "worker-settings": (ROOT / "docs/worker.md", worker_settings),
    "errors": (ROOT / "docs/errors.md", errors),
    "problems": (ROOT / "docs/errors.md", problems),
    "access": (ROOT / "docs/access.md", access_table),
    "metrics": (ROOT / "docs/observability.md", metrics),
    "failures": (PAGE, failures),
    "migrations": (ROOT / "docs/upgrade.md", migrations),
    "database-rights": (ROOT / "docs/security.md", database_rights),
    "bucket-identities": (ROOT / "docs/security.md", identities_text),
    "bucket-policy": (ROOT / "docs/security.md", policy_text),
}
"""Where each part stands and what makes it."""


def written(name: str, path: Path) -> str:
    """The part as the document has it; `BlockMissing` where it has none."""
    found = _pattern(name).findall(path.read_text("utf-8"))
    if len(found) != 1:
        raise BlockMissing(name, path)
    part: str = found[0]
    return part


def rewrite(name: str, path: Path, part: str) -> bool:
    """Put `part` between its marks; whether that changed anything."""
    if written(name, path) == part:
        return False
    block = f"<!-- {name} -->\n{part}\n<!-- /{name} -->"
    path.write_text(_pattern(name).sub(lambda _: block, path.read_text("utf-8")), "utf-8")
    return True


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"<!-- {name} -->\n(.*?)\n?<!-- /{name} -->", re.DOTALL)


def main() -> None:
    """Rewrite every part that is not what the code says."""
    for name, (path, make) in BLOCKS.items():
        if rewrite(name, path, make()):
            sys.stdout.write(f"{path.relative_to(ROOT)}: {name} rewritten\n")


if __name__ == "__main__":
    main()
