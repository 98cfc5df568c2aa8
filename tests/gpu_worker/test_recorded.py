"""F33: messages as workers of other versions write them, recorded, are read as they were meant.

A file keeps its name and content as long as its version is accepted: a change that breaks one
breaks the worker that is still running in the field.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gpu_worker.contract import (
    Claim,
    JobInput,
    Manifest,
    Report,
    SupersededOutput,
    WireModel,
)

RECORDED = Path(__file__).parent / "recorded"
MODELS: dict[str, type[WireModel]] = {
    "claim": Claim,
    "job": JobInput,
    "manifest": Manifest,
    "report": Report,
    "superseded": SupersededOutput,
}
FILES = sorted(RECORDED.glob("*.json"))
VERSIONED = [path for path in FILES if not path.name.startswith("superseded")]


def model_of(path: Path) -> type[WireModel]:
    return MODELS[path.name.partition(".")[0].partition("_")[0]]


def recorded(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def name(path: Path) -> str:
    return path.name.removesuffix(".json")


def test_f33_every_kind_of_message_and_both_versions_of_the_manifest_are_recorded() -> None:
    assert {model_of(path) for path in FILES} == set(MODELS.values())
    assert {name(path) for path in FILES} >= {"manifest.v1", "manifest.v2", "report_completed.v1"}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_f33_what_was_recorded_is_read_whole(path: Path) -> None:
    """Every field of the file is in the message, with the value it had."""
    message = model_of(path).model_validate_json(path.read_bytes())
    assert json.loads(message.to_json()) | recorded(path) == json.loads(message.to_json())


def with_more(value: Any) -> Any:
    """`value` with a field that we do not know in every object."""
    if isinstance(value, dict):
        more = {key: with_more(inner) for key, inner in value.items()}
        return more if "format" in value else more | {"fieldOfTomorrow": {"deep": [1]}}
    return [with_more(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", FILES, ids=name)
def test_f33_fields_of_a_newer_worker_are_ignored(path: Path) -> None:
    model = model_of(path)
    more = model.model_validate(recorded(path) | with_more(recorded(path) | {"probe": {}}))
    plain = model.model_validate(recorded(path))
    assert more.model_dump(exclude={"probe"}) == plain.model_dump(exclude={"probe"})


@pytest.mark.parametrize("path", VERSIONED, ids=name)
@pytest.mark.parametrize("version", [0, 3])
def test_f33_a_version_that_nobody_agreed_on_is_refused(path: Path, version: int) -> None:
    content = recorded(path) | {"schemaVersion": version}
    if model_of(path) is Claim and version > 0:  # a lock that is not understood is still a lock
        assert Claim.model_validate(content).job_id == content["jobId"]
        return
    with pytest.raises(ValidationError):
        model_of(path).model_validate(content)


def test_f33_the_manifest_of_the_version_before_has_no_md5_and_this_one_must() -> None:
    old = recorded(RECORDED / "manifest.v1.json")
    assert Manifest.model_validate(old).objects[0].md5 is None
    with pytest.raises(ValidationError, match="md5"):
        Manifest.model_validate(old | {"schemaVersion": 2})
