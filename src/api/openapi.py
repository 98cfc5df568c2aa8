"""The OpenAPI 3.1 document, made from the route table and the models that validate."""

import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.auth import COOKIE
from api.openapi_answers import answers, problem_examples, ref
from api.openapi_links import links
from api.operations import JSON, Operation
from api.parameters import Parameter
from api.problem_codes import PAGE
from api.problems import Problem

REF = "#/components/schemas/{model}"
DESCRIPTION = f"""\
Event-sourced transcoding: from upload to playable HLS, with a provable history.

Register a file, send it where the answer says, complete the upload, and follow its status.
Every refusal is a problem (RFC 9457) whose `code` is stable; [what each means]({PAGE}).
A path that does not take a method answers 405 with `Allow`, and OPTIONS with 204 and the same.
A missing item and somebody else's answer alike."""

TAGS = {
    "/api/session": ("Session", "Who is signed in."),
    "/api/media": ("Media", "Registering, uploading, listing and reading items."),
    "/api/transcoding/webhook": ("Webhooks", "What the worker and RunPod report."),
    "/api/transcoding": ("Transcoding", "How an item is doing, as it happens; trying it again."),
    "/api/playback": ("Playback", "What a player loads."),
    "/api/audit": ("Audit", "The whole history, and what proves it."),
    "/": ("Service", "Probes, metrics, and the service's own description."),
}
"""By the beginning of the path; the first that fits."""


def document(operations: tuple[Operation, ...], version: str) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        described = _operation(operation, operations)
        paths.setdefault(written_path(operation), {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": "codex-media", "version": version, "description": DESCRIPTION},
        "tags": [{"name": name, "description": text} for name, text in TAGS.values()],
        "paths": paths,
        "components": {
            "schemas": _schemas(operations),
            "examples": problem_examples(),
            "securitySchemes": _SECURITY,
        },
    }


_SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A JWT with `sub`, `aud`, `iss` and `exp`; `roles` say what it allows.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "The same JWT. What changes something must come from our own pages.",
    },
}


def written_path(operation: Operation) -> str:
    """The path as OpenAPI writes it."""
    return re.sub(r":path\}", "}", operation.path)


def _operation(operation: Operation, among: tuple[Operation, ...]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.endpoint.__name__,
        "tags": [_tag(operation)],
        "summary": operation.summary,
        "description": (operation.endpoint.__doc__ or "").strip(),
        "parameters": _parameters(operation),
        "responses": answers(operation, links(operation, among)),
    }
    if body := operation.body or operation.raw_body:
        content = {JSON: {"schema": ref(body)}}
        described["requestBody"] = {"required": True, "content": content}
    if operation.roles:
        described["security"] = [{"bearer": []}, {"cookie": []}]
        described["x-roles"] = sorted(operation.roles)
    return described


def _tag(operation: Operation) -> str:
    return next(tag for prefix, (tag, _) in TAGS.items() if operation.path.startswith(prefix))


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    path = [_path_parameter(name) for name in re.findall(r"\{(\w+)(?::path)?\}", operation.path)]
    query = [_parameter(each, "query") for each in operation.query]
    return path + query + [_parameter(each, "header") for each in operation.headers]


def _path_parameter(name: str) -> dict[str, Any]:
    known = PATH_PARAMETERS[name]
    return _parameter(known._replace(required=True), "path")


PATH_PARAMETERS = {
    each.name: each
    for each in (
        Parameter("media_id", "The item.", {"type": "string", "format": "uuid"}),
        Parameter(
            "sha256",
            "The message's SHA-256, as the event names it.",
            {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        ),
        Parameter(
            "token",
            "Allows its bearer one thing to one item, until a moment.",
            {"type": "string", "pattern": r"^[A-Za-z0-9._-]{1,300}$"},
        ),
        Parameter(
            "path",
            "A playlist of the item, or its storyboard.",
            {"type": "string", "pattern": r"^(preview/)?[A-Za-z0-9_-]+\.m3u8$|^storyboard\.vtt$"},
            "master.m3u8",
        ),
    )
}


def _parameter(parameter: Parameter, place: str) -> dict[str, Any]:
    example = {} if parameter.example is None else {"example": parameter.example}
    required = {"required": True} if parameter.required else {}
    return {
        "name": parameter.name,
        "in": place,
        "description": parameter.meaning,
        "schema": parameter.schema,
        **required,
        **example,
    }


def _schemas(operations: tuple[Operation, ...]) -> dict[str, Any]:
    read: set[type[BaseModel]] = {Problem}
    sent: set[type[BaseModel]] = set()
    for operation in operations:
        read |= {model for model in operation.answers.values() if model}
        read |= set(operation.items.values())
        sent |= {body for body in (operation.body, operation.raw_body) if body}
    wanted = [(model, "serialization") for model in sorted(read, key=lambda model: model.__name__)]
    wanted += [(model, "validation") for model in sorted(sent, key=lambda model: model.__name__)]
    _, schema = models_json_schema(wanted, by_alias=True, ref_template=REF)  # type: ignore[arg-type]  # literals
    definitions: dict[str, Any] = schema["$defs"]
    return definitions
