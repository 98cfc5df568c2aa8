"""Puts an output into the bucket: its objects in parallel, strays away, the manifest last."""

import asyncio
import base64
import hashlib
from collections import defaultdict
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from botocore.exceptions import ClientError
from pydantic import ValidationError

from gpu_worker.bucket import STORAGE_ERRORS, code_of, unavailable
from gpu_worker.claim_objects import REFUSALS, UNCLAIMED, If
from gpu_worker.contract import Manifest, ManifestObject, OutputLayout
from gpu_worker.errors import JobFailed
from gpu_worker.objects import PLAYLIST, describe

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

# A second attempt may write the same keys again: only segments, found through playlists, may stay
# in caches for long.
CACHE_CONTROL = {
    "video/mp2t": "public, max-age=31536000, immutable",
    "video/iso.segment": "public, max-age=31536000, immutable",
    "video/mp4": "public, max-age=31536000, immutable",
    PLAYLIST: "public, max-age=60",
    "image/jpeg": "public, max-age=3600",
    "text/vtt": "public, max-age=3600",
    "image/webp": "public, max-age=3600",
    "application/json": "public, max-age=3600",
}
MANIFEST_CACHE_CONTROL = "no-cache"
PUT_TRIES = 4


class Published(NamedTuple):
    """A finished output: its manifest, and the SHA-256 of that as stored, in hex."""

    manifest: Manifest
    sha256: str


class Uploader:
    """Writes one output below its layout's keys.

    `check` is called before everything that changes the bucket, and raises where this run may not
    any more: see :meth:`gpu_worker.claim.AttemptClaim.check`.
    """

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        layout: OutputLayout,
        connections: int,
        check: Callable[[], None],
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._layout = layout
        self._connections = asyncio.Semaphore(connections)
        self._check = check
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.sent: dict[str, ManifestObject] = {}
        """What this run has stored so far, or found as it would store it, by key."""

    async def finished(self, attempt_id: UUID) -> Published | None:
        """What the attempt published already, so that nothing is left to do; None otherwise.

        Raises `storage_unavailable`.
        """
        try:
            found, _ = await self._published()
        except STORAGE_ERRORS as error:
            raise unavailable(error) from error
        return found if found and found.manifest.attempt_id == attempt_id else None

    async def is_superfluous(self, attempt: int) -> bool:
        """Whether an output of this attempt or of a newer one is published."""
        standing, _ = await self._published()
        return standing is not None and standing.manifest.attempt >= attempt

    async def put_early(self, key: str, read: Callable[[], bytes]) -> None:
        """Store a finished file before its output is whole; :meth:`publish` leaves it out then.

        Once, however many ask for it.
        """
        async with self._turns[key], self._connections:
            body = await asyncio.to_thread(read)
            item = await asyncio.to_thread(describe, key, body)
            if self.sent.get(key) != item:
                await self._put(item, body)

    async def publish(
        self, tree: Path, manifest: Manifest, on_progress: Callable[[float], None]
    ) -> Published:
        """Upload what is missing of `tree`, the manifest last; what is published in the end.

        An output of the same attempt that is finished already stays as it is: another job of the
        attempt was first; so does that of a newer one. The manifest of an older attempt stands
        until ours replaces it: it names its attempt, which is over. Raises `storage_unavailable`.
        """
        try:
            standing, _ = await self._published()
            if standing is not None and standing.manifest.attempt >= manifest.attempt:
                return standing
            await self._put_all(tree, manifest.objects, on_progress)
            await self._remove_strays({item.key for item in manifest.objects})
            return await self._put_manifest(manifest)
        except STORAGE_ERRORS as error:
            raise unavailable(error) from error

    async def _published(self) -> tuple[Published | None, str | None]:
        """The manifest that is there (None when nobody can read it), and what is there's ETag."""
        try:
            found = await self._client.get_object(Bucket=self._bucket, Key=self._layout.manifest)
        except ClientError as error:
            if code_of(error) in {"NoSuchKey", "404"}:
                return None, None
            raise
        body, etag = await found["Body"].read(), found["ETag"].strip('"')
        try:
            manifest = Manifest.model_validate_json(body)
        except ValidationError:
            return None, etag
        return Published(manifest, hashlib.sha256(body).hexdigest()), etag

    async def _put_all(
        self, tree: Path, objects: tuple[ManifestObject, ...], on_progress: Callable[[float], None]
    ) -> None:
        """Media first, then the playlists that name it, then the one that names those."""
        total, done = sum(item.size for item in objects), 0

        async def put(item: ManifestObject) -> None:
            nonlocal done
            if self.sent.get(item.key) != item:
                async with self._connections:
                    await self._put(item, await asyncio.to_thread((tree / item.key).read_bytes))
            done += item.size
            on_progress(done / total)

        try:
            for _, together in groupby(sorted(objects, key=self._turn), self._turn):
                async with asyncio.TaskGroup() as group:
                    for item in together:
                        group.create_task(put(item))
        except* (*STORAGE_ERRORS, JobFailed) as errors:
            refusal = errors.exceptions[0]
        else:
            return
        raise refusal if isinstance(refusal, JobFailed) else unavailable(refusal) from refusal

    def _turn(self, item: ManifestObject) -> int:
        return (item.content_type == PLAYLIST) + (item.key == self._layout.master)

    async def _put(self, item: ManifestObject, body: bytes) -> None:
        """Store `body`, on the condition that the key still holds what this run saw there.

        A run that was stopped with a PUT under way and goes on much later must not change what
        another run has finished meanwhile: by then the key holds something else.
        """
        # The store compares the MD5 with what arrived, and refuses a damaged body.
        digest = hashlib.md5(body, usedforsecurity=False)
        etag = None
        for _ in range(PUT_TRIES):
            if await self._put_if(
                _condition(etag),
                Key=item.key,
                Body=body,
                ContentType=item.content_type,
                CacheControl=CACHE_CONTROL[item.content_type],
                ContentMD5=base64.b64encode(digest.digest()).decode(),
            ):
                break
            etag = await self._etag(item.key)
            if etag == digest.hexdigest():  # stored before, and the answer was lost
                break
        else:
            raise TimeoutError(f"{item.key} changed all the time")
        self.sent[item.key] = item

    async def _etag(self, key: str) -> str | None:
        """The ETag of what is at `key`, without quotes; None when nothing is."""
        try:
            found = await self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if code_of(error) in {"NoSuchKey", "404"}:
                return None
            raise
        return found["ETag"].strip('"')

    async def _remove_strays(self, kept: set[str]) -> None:
        """Delete what an earlier run left under the prefix and this one did not write."""
        # A manifest that is there by now is another job's, which was faster: not ours to remove.
        kept = kept | {self._layout.manifest}
        paginator = self._client.get_paginator("list_objects_v2")
        pages = paginator.paginate(Bucket=self._bucket, Prefix=self._layout.prefix)
        async for page in pages:
            for found in page.get("Contents", []):
                if found["Key"] not in kept:
                    await self._delete(found["Key"])

    async def _delete(self, key: str) -> None:
        self._check()
        await self._client.delete_object(Bucket=self._bucket, Key=key)

    async def _put_manifest(self, manifest: Manifest) -> Published:
        """Store ours unless one of this attempt or a newer one is there; which one is."""
        body = manifest.to_json().encode()
        for _ in range(PUT_TRIES):
            standing, etag = await self._published()
            if standing is not None and standing.manifest.attempt >= manifest.attempt:
                return standing
            if await self._put_if(
                _condition(etag),
                Key=self._layout.manifest,
                Body=body,
                ContentType="application/json",
                CacheControl=MANIFEST_CACHE_CONTROL,
            ):
                return Published(manifest, hashlib.sha256(body).hexdigest())
        raise TimeoutError("the manifest changed all the time")

    async def _put_if(self, condition: If, **request: Any) -> bool:
        """Whether the bucket took the object; its condition did not hold otherwise."""
        self._check()
        try:
            await self._client.put_object(Bucket=self._bucket, **request, **condition)
        except ClientError as error:
            if code_of(error) in REFUSALS:
                return False
            raise
        return True


def _condition(etag: str | None) -> If:
    """That the key still holds what has this ETag, or nothing."""
    return UNCLAIMED if etag is None else {"IfMatch": f'"{etag}"'}
