"""The named statements of `queries.sql`."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from infra.fault_points import reach

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def statements() -> Mapping[str, str]:
    """Statement text by name."""
    _, *parts = _NAME.split(files(__package__).joinpath("queries.sql").read_text("utf-8"))
    names, texts = parts[::2], parts[1::2]
    return MappingProxyType(dict(zip(names, texts, strict=True)))


def sql(name: str) -> str:
    """The statement called `name`, which is about to be sent."""
    reach("sql", name)
    return statements()[name]
