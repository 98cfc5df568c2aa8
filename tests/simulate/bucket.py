"""The bucket: its objects, and the part of the S3 API that the service and the worker use."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    ReadTimeoutError,
)

from tests.simulate.faults import Line
from tests.simulate.processes import Life, moment, now_s

if TYPE_CHECKING:
    from tests.simulate.world import World

SLOW_S = 0.5
"""An answer that takes longer may be too late for a claim."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object, and when the bucket says it was stored."""

    body: bytes
    etag: str
    content_type: str
    modified: datetime

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


@dataclass(slots=True)
class Bucket:
    """Objects by key. `full` refuses writes, reads go on."""

    skew_s: float = 0.0
    full: bool = False
    objects: dict[str, Stored] = field(default_factory=dict)
    presigned: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Key and end (seconds of the schedule) by signature."""

    def clock(self) -> datetime:
        """Its own, in whole seconds, as headers tell it."""
        return moment(self.skew_s).replace(microsecond=0)

    def put(
        self,
        key: str,
        body: bytes,
        kind: str,
        *,
        if_none: bool = False,
        if_match: str | None = None,
    ) -> Stored:
        """Store an object. `ClientError` when full, or where the condition does not hold."""
        if self.full:
            raise refusal("InsufficientStorage")
        there = self.objects.get(key)
        if if_none and there is not None:
            raise refusal("PreconditionFailed")
        if if_match is not None and (there is None or there.etag != if_match):
            raise refusal("PreconditionFailed" if there else "NoSuchKey")
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        self.objects[key] = stored = Stored(body, etag, kind, self.clock())
        return stored


def refusal(code: str) -> ClientError:
    """The S3 client's error for a refusal."""
    return ClientError({"Error": {"Code": code}}, "call")


def no_answer() -> Exception:
    return ReadTimeoutError(endpoint_url="https://bucket")


def nobody() -> Exception:
    return ConnectTimeoutError(endpoint_url="https://bucket")


class S3Client:
    """One process's connection to the bucket, in aioboto3's form."""

    def __init__(self, world: "World", line: Line, life: Life, tries: int = 3) -> None:
        self._world, self._line, self.life, self._tries = world, line, life, tries
        self.holder: tuple[str, str] | None = None
        """The claim that this client wrote last, and the holder it names."""
        self.uploads = 0
        """Whether it has begun to write outputs."""

    async def __aenter__(self) -> "S3Client":
        return self

    async def __aexit__(self, *_error: object) -> None: ...

    async def _call(self, what: str, act: Callable[[], Any]) -> Any:
        for _ in range(self._tries - 1):
            with suppress(BotoCoreError):  # As botocore itself tries again.
                return await self._once(what, act)
            await asyncio.sleep(self._world.chance.uniform(0.1, 1))
        return await self._once(what, act)

    async def _once(self, what: str, act: Callable[[], Any]) -> Any:
        sent_s, answered = now_s(), False
        try:
            result = await self._line.call(self.life, what, act, no_answer, nobody)
        except ClientError as error:
            answered = error.response["Error"]["Code"] != "InsufficientStorage"
            raise
        else:
            answered = True
            return result
        finally:
            if self.life.about and not (answered and now_s() - sent_s < SLOW_S):
                self._world.excuse(*self.life.about, "bucket")

    async def put_object(self, **given: Any) -> dict[str, Any]:
        sent_s, key, body = now_s(), given["Key"], given["Body"]

        def act() -> dict[str, Any]:
            stored = self._world.bucket.put(
                key,
                body,
                given.get("ContentType", ""),
                if_none=given.get("IfNoneMatch") == "*",
                if_match=given.get("IfMatch"),
            )
            self._world.watch.written(self, key, body, sent_s)
            if key.endswith("/manifest.json"):
                self._world.weather.after_a_manifest(key, body)
            return {"ETag": stored.etag}

        if "/hls/" in key:
            self.uploads += 1
            self._world.weather.over_an_upload(self.life, self.uploads)
        return await self._call("put", act)

    async def delete_object(self, **given: Any) -> None:
        sent_s, key = now_s(), given["Key"]

        def act() -> None:
            if self._world.bucket.objects.pop(key, None) is not None:
                self._world.watch.written(self, key, b"", sent_s)

        await self._call("delete", act)

    async def head_object(self, **given: Any) -> dict[str, Any]:
        def act() -> dict[str, Any]:
            return _described(self._found(given["Key"], "404"))

        return await self._call("head", act)

    async def head_bucket(self, **_given: Any) -> None:
        await self._call("head", lambda: None)

    async def get_object(self, **given: Any) -> dict[str, Any]:
        wanted = given.get("IfMatch")

        def act() -> dict[str, Any]:
            found = self._found(given["Key"], "NoSuchKey")
            if wanted is not None and found.etag.strip('"') != wanted.strip('"'):
                raise refusal("PreconditionFailed")
            date = format_datetime(self._world.bucket.clock(), usegmt=True)
            headers = {"HTTPHeaders": {"date": date}}
            return {**_described(found), "Body": _Body(found.body), "ResponseMetadata": headers}

        return await self._call("get", act)

    async def list_objects_v2(self, **given: Any) -> dict[str, Any]:
        def act() -> dict[str, Any]:
            objects = self._world.bucket.objects
            return {
                "Contents": [
                    {"Key": key, "Size": len(objects[key].body), "ETag": objects[key].etag}
                    for key in sorted(objects)
                    if key.startswith(given["Prefix"])
                ]
            }

        return await self._call("list", act)

    def get_paginator(self, _operation: str) -> "S3Client":
        return self

    async def paginate(self, **given: Any) -> AsyncIterator[dict[str, Any]]:
        yield await self.list_objects_v2(**given)

    async def generate_presigned_url(self, _operation: str, **given: Any) -> str:
        key, until_s = given["Params"]["Key"], now_s() + given["ExpiresIn"]
        signature = self._world.secret(self._world.chance.uuid4().hex)
        self._world.bucket.presigned[signature] = (key, until_s)
        return f"https://bucket/{key}?{urlencode({'X-Amz-Signature': signature})}"

    def _found(self, key: str, missing: str) -> Stored:
        found = self._world.bucket.objects.get(key)
        if found is None:
            raise refusal(missing)
        return found


def _described(found: Stored) -> dict[str, Any]:
    return {
        "ContentLength": len(found.body),
        "ETag": found.etag,
        "ContentType": found.content_type,
        "LastModified": found.modified,
    }


class _Body:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aenter__(self) -> "_Body":
        return self

    async def __aexit__(self, *_error: object) -> None: ...

    async def read(self) -> bytes:
        return self._body

    async def iter_chunks(self, _size: int) -> AsyncIterator[bytes]:
        yield self._body
