"""compose.yaml as Docker reads it: its services, with the variables of an `.env` filled in."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from tests.deploy.dockerfile import ROOT

VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<rest>[^}]*))?\}")
LINES = (ROOT / "compose.yaml").read_text("utf-8").splitlines()
TEXT = "\n".join(line for line in LINES if not line.lstrip().startswith("#"))
DOCUMENT: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = DOCUMENT["services"]


class VariableMissing(Exception):
    """A variable that must be set is not."""


def filled_in(text: str, environ: Mapping[str, str]) -> str:
    """`text` with `${NAME}`, `${NAME:-default}` and `${NAME:?message}` replaced, `$$` by `$`."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        given = environ.get(found["name"], "")
        if not given and found["how"] == ":?":
            raise VariableMissing(found["name"])
        return given or (found["rest"] if found["how"] == ":-" else "")

    return VARIABLE.sub(value, text)


def environment(service: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What a container of `service` gets."""
    given = SERVICES[service].get("environment", {})
    return {name: filled_in(str(value), environ) for name, value in given.items()}


def named(how: str) -> set[str]:
    """The variables that the file asks for in a certain way."""
    return {found["name"] for found in VARIABLE.finditer(TEXT) if found["how"] == how}


def parsed(env_file: str) -> dict[str, str]:
    """The variables of an `.env`."""
    lines = [line for line in env_file.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)  # type: ignore[arg-type]
