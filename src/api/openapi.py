"""The OpenAPI 3.1 document, made from the route table and the models that validate."""

import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.auth import COOKIE
from api.operations import JSON, Operation
from api.problems import MEDIA_TYPE, Problem

REF = "#/components/schemas/{model}"


def document(operations: tuple[Operation, ...], version: str) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = re.sub(r":path\}", "}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "codex-media",
            "version": version,
            "description": "Event-sourced transcoding: from upload to playable HLS.",
        },
        "paths": paths,
        "components": {"schemas": _schemas(operations), "securitySchemes": _SECURITY},
    }


_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
}


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.endpoint.__name__,
        "summary": operation.summary,
        "description": (operation.endpoint.__doc__ or "").strip(),
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if body := operation.body or operation.raw_body:
        content = {JSON: {"schema": _ref(body)}}
        described["requestBody"] = {"required": True, "content": content}
    if operation.roles:
        described["security"] = [{"bearer": []}, {"cookie": []}]
        described["x-roles"] = sorted(operation.roles)
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    path = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "format": "uuid"}
            if name == "media_id"
            else {"type": "string"},
        }
        for name in re.findall(r"\{(\w+)(?::path)?\}", operation.path)
    ]
    query = [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in operation.query.items()
    ]
    headers = [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        for name, text in operation.headers.items()
    ]
    return path + query + headers


def _responses(operation: Operation) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, model in operation.answers.items():
        answers[str(status)] = {"description": "As asked." if status < 300 else "See status."}
        schema = {"schema": _ref(model)} if model else {}
        if model or operation.media_types != (JSON,):
            answers[str(status)]["content"] = dict.fromkeys(operation.media_types, schema)
    for status in _problem_statuses(operation):
        content = {MEDIA_TYPE: {"schema": _ref(Problem)}}
        answers.setdefault(str(status), {"description": "A problem.", "content": content})
    return answers


def _problem_statuses(operation: Operation) -> list[int]:
    statuses = {429, 500, 503, *operation.problems}
    if operation.roles:
        statuses |= {401, 403}
    if operation.body:
        statuses |= {408, 413, 415, 422}
    if operation.query:
        statuses |= {422}
    return sorted(statuses)


def _schemas(operations: tuple[Operation, ...]) -> dict[str, Any]:
    used: set[type[BaseModel]] = {Problem}
    for operation in operations:
        used |= {model for model in operation.answers.values() if model}
        used |= {body for body in (operation.body, operation.raw_body) if body}
    ordered = sorted(used, key=lambda model: model.__name__)
    _, schema = models_json_schema(
        [(model, "validation") for model in ordered], by_alias=True, ref_template=REF
    )
    definitions: dict[str, Any] = schema["$defs"]
    return definitions


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REF.format(model=model.__name__)}
