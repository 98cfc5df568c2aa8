"""What schemathesis is told beside the description: who calls, which items there are, who signs.

Found by the variable SCHEMATHESIS_HOOKS. The seeds lie in the file that CONTRACT_SEEDS names.
"""

import json
import os
import re
import time
import zlib
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import schemathesis
from schemathesis.generation import GenerationMode

from gpu_worker.signature import sign

SEEDS: dict[str, Any] = json.loads(Path(os.environ["CONTRACT_SEEDS"]).read_text("utf-8"))
LIFE_S, STREAM_S = 3600, 1
"""How long a token lives; one that opens a stream, whose end is the stream's."""
MAX_UPLOAD_BYTES = 64 * 1024
GIVEN_CURSORS = set[str | None]()
NAMED = {
    "play": ("play", "token"),
    "runpod_webhook": ("webhook", "token"),
    "read_evidence": ("evidence", "sha256"),
}
"""What seeds an operation's path takes, and where; all others take ids of items."""
UUID_TEXT = re.compile("[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
PLAYLISTS = ["master.m3u8", "720p.m3u8", "preview/preview.m3u8", "none.m3u8"]


@schemathesis.auth(cache_by_key=lambda case, _: case.operation.label, refresh_interval=None)
class Callers:
    """Each operation is called by somebody who may."""

    def get(self, case: schemathesis.Case, _: object) -> str:
        """A token for the operation."""
        found = case.operation.definition.raw
        role = next(iter(found.get("x-roles", ["creator"])))
        roles = ["creator"] if "creator" in found.get("x-roles", ["creator"]) else [role]
        life_s = STREAM_S if found["operationId"] == "read_stream" else LIFE_S
        now = int(time.time())
        claims = {
            "sub": SEEDS["creator"],
            "roles": roles,
            "iss": SEEDS["issuer"],
            "aud": SEEDS["audience"],
            "iat": now,
            "exp": now + life_s,
        }
        return jwt.encode(claims, SEEDS["jwtSecret"], algorithm="HS256")

    def set(self, case: schemathesis.Case, data: str, _: object) -> None:
        """Put it where it belongs."""
        case.headers["Authorization"] = f"Bearer {data}"


def _chosen(pool: list[Any], by: object) -> Any:
    return pool[zlib.crc32(str(by).encode("utf-8", "replace")) % len(pool)]


def _positive(case: schemathesis.Case) -> bool:
    return case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any]) -> dict[str, Any]:
    """Mostly ids of items there are, hashes of messages there are, and tokens that were signed."""
    operation = context.operation.definition.raw
    kind, key = NAMED.get(operation["operationId"], ("items", "media_id"))
    if not path_parameters or not _well_formed(operation, path_parameters):
        return path_parameters
    given = path_parameters[key]
    if zlib.crc32(given.encode("utf-8", "replace")) % 5:
        path_parameters[key] = _chosen(SEEDS[kind], given)
        if kind == "play":
            path_parameters["path"] = _chosen(PLAYLISTS, given)
    return path_parameters


def _well_formed(operation: dict[str, Any], given: dict[str, Any]) -> bool:
    """Whether each is what the description says: what is wrong on purpose stays so."""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] != "path":
            continue
        value, schema = given.get(parameter["name"]), parameter["schema"]
        if not isinstance(value, str) or not re.search(schema.get("pattern", ""), value):
            return False
        if schema.get("format") == "uuid" and not UUID_TEXT.fullmatch(value):
            return False
    return True


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Mostly items that failed, and reports of jobs there are."""
    name = context.operation.definition.raw["operationId"]
    if not isinstance(body, dict) or len(str(body)) % 4 == 0:
        return body
    if name == "retry_transcoding" and UUID_TEXT.fullmatch(str(body.get("mediaId"))):
        return body | {"mediaId": _chosen(SEEDS["items"], body["mediaId"])}
    if name == "worker_webhook" and isinstance(body.get("output"), dict):
        report = _chosen(SEEDS["reports"], body)
        ids = {key: report["output"][key] for key in ("mediaId", "attempt", "attemptId", "type")}
        return body | {"jobId": report["jobId"], "output": body["output"] | ids}
    return body


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """A worker signs what it sends; and what no schema can say is seen to."""
    if _positive(case):
        _possible(case)
    if case.operation.definition.raw["operationId"] != "worker_webhook" or not _positive(case):
        return
    body = json.dumps(case.body).encode()
    message = f"msg_{zlib.crc32(body)}"
    case.headers.update(sign(SEEDS["webhookSecret"], message, int(time.time()), body))
    kwargs["data"] = body
    kwargs.pop("json", None)


def _possible(case: schemathesis.Case) -> None:
    """A cursor is one that was given, `version` and `at` exclude each other, files are media."""
    query = case.query or {}
    if query.get("cursor") not in GIVEN_CURSORS:
        query.pop("cursor", None)
    if {"version", "at"} <= set(query):
        query.pop("at")
    if case.operation.definition.raw["operationId"] == "register_media":
        _registrable(case)


def _registrable(case: schemathesis.Case) -> None:
    if not isinstance(case.body, dict) or not isinstance(case.body.get("contentType"), str):
        return
    kind = case.body["contentType"].partition("/")[2]
    case.body |= {"contentType": f"video/{kind}", "size": min(case.body["size"], 10**9)}
    if "Idempotency-Key" in case.headers:  # One key, one request: its item may be erased meanwhile.
        case.headers["Idempotency-Key"] = f"key-{uuid4()}"


@schemathesis.hook
def after_call(context: Any, case: schemathesis.Case, response: Any) -> None:
    """What was registered is sent to the bucket, so that completing it can succeed."""
    if case.operation.definition.raw["operationId"] == "list_media" and response.status_code == 200:
        GIVEN_CURSORS.add(response.json()["nextCursor"])
    if case.operation.definition.raw["operationId"] != "register_media":
        return
    if response.status_code != 201:
        return
    found = response.json()
    upload, size = found["upload"], found["media"]["size"]
    if upload and upload["kind"] == "single" and size <= MAX_UPLOAD_BYTES:
        httpx.put(upload["url"], content=bytes(size), headers=upload["headers"], trust_env=False)
