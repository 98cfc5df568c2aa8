"""What a call is answered with, as OpenAPI describes it: models, streams, headers and problems."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from api.operations import JSON, Operation
from api.parameters import RETRY_AFTER, WWW_AUTHENTICATE, Parameter
from api.problem_codes import CATALOGUE, type_of
from api.problems import MEDIA_TYPE, Problem

REF = "#/components/schemas/{model}"
EVENT_STREAM = "text/event-stream"
WAIT = frozenset({429, 503})
"""Statuses that say when to try again."""


def answers(operation: Operation, links: dict[str, Any]) -> dict[str, Any]:
    """Every status with what comes with it; `links` belong to the first."""
    found: dict[str, Any] = {}
    for status, model in operation.answers.items():
        described: dict[str, Any] = {"description": _told(status)}
        if operation.returns:
            described["headers"] = _headers(operation.returns)
        if content := _content(operation, model, status):
            described["content"] = content
        found[str(status)] = described
    if links:
        found[str(next(iter(operation.answers)))]["links"] = links
    for status, codes in _by_status(operation.codes).items():
        found[str(status)] = _with_problem(found.get(str(status), {}), status, codes)
    return dict(sorted(found.items()))


def ref(model: type[BaseModel]) -> dict[str, str]:
    """Where the document has the model's schema."""
    return {"$ref": REF.format(model=model.__name__)}


def _told(status: int) -> str:
    return "Not changed since." if status == 304 else f"{HTTPStatus(status).phrase}."


def _headers(parameters: Iterable[Parameter]) -> dict[str, Any]:
    return {each.name: {"description": each.meaning, "schema": each.schema} for each in parameters}


def _content(
    operation: Operation, model: type[BaseModel] | None, status: int
) -> dict[str, Any] | None:
    if status in {204, 304}:
        return None
    return {kind: _schema(operation, kind, model) for kind in operation.media_types}


def _schema(operation: Operation, kind: str, model: type[BaseModel] | None) -> dict[str, Any]:
    if kind == JSON:
        return {"schema": ref(model) if model else {"type": "object"}}
    if not operation.items or (model and kind == JSON):
        return {"schema": {"type": "string", "contentMediaType": kind}}
    return {"schema": _stream(operation, kind)}


def _stream(operation: Operation, kind: str) -> dict[str, Any]:
    if kind == EVENT_STREAM:
        return _events(operation.items)
    # OpenAPI 3.1 has no words for the lines of a stream: they are named in an extension.
    told = "One JSON object a line; `x-item` has its model."
    item = ref(operation.items["line"])
    return {"type": "string", "contentMediaType": kind, "description": told, "x-item": item}


def _events(items: dict[str, type[BaseModel]]) -> dict[str, Any]:
    """Each server-sent event as an object of its fields, as is usual before OpenAPI 3.2."""
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "One server-sent event.",
        "properties": {"event": {"enum": [*items]}, "id": text, "data": text},
        "required": ["event", "data"],
        "oneOf": [_event(name, model) for name, model in items.items()],
        "x-events": {name: ref(model) for name, model in items.items()},
    }


def _event(name: str, model: type[BaseModel]) -> dict[str, Any]:
    data = {"contentMediaType": JSON, "contentSchema": ref(model)}
    return {"properties": {"event": {"const": name}, "data": data}}


def _by_status(codes: Iterable[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for code in sorted(codes):
        found.setdefault(CATALOGUE[code].status, []).append(code)
    return dict(sorted(found.items()))


def _with_problem(beside: dict[str, Any], status: int, codes: list[str]) -> dict[str, Any]:
    told = " ".join(f"`{code}`: {CATALOGUE[code].meaning}" for code in codes)
    described = {
        "description": f"{beside['description']} Or a problem. {told}" if beside else told,
        "content": beside.get("content", {}) | {MEDIA_TYPE: _problem(status, codes)},
    }
    if headers := beside.get("headers", {}) | _problem_headers(status):
        described["headers"] = headers
    return described


def _problem_headers(status: int) -> dict[str, Any]:
    if status == 401:
        return _headers([WWW_AUTHENTICATE])
    return _headers([RETRY_AFTER]) if status in WAIT else {}


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    own = {"properties": {"status": {"const": status}, "code": {"enum": codes}}}
    return {
        "schema": {"allOf": [ref(Problem), own]},
        "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
    }


def problem_examples() -> dict[str, Any]:
    """A problem of each code."""
    return {code: {"value": _example(code)} for code in CATALOGUE}


def _example(code: str) -> dict[str, Any]:
    status, meaning, _ = CATALOGUE[code]
    title = HTTPStatus(status).phrase
    found = Problem(type=type_of(code), title=title, status=status, code=code, detail=meaning)
    return found.model_dump(mode="json")
