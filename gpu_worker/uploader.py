"""Puts an output into the bucket: its objects in parallel, strays away, the manifest last."""

import asyncio
import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_worker.bucket import STORAGE_ERRORS, unavailable
from gpu_worker.contract import Manifest, ManifestObject, OutputLayout

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

# A second attempt may write the same keys again: only segments, found through playlists, may stay
# in caches for long.
CACHE_CONTROL = {
    "video/mp2t": "public, max-age=31536000, immutable",
    "application/vnd.apple.mpegurl": "public, max-age=60",
    "image/jpeg": "public, max-age=3600",
    "application/json": "public, max-age=3600",
}
MANIFEST_CACHE_CONTROL = "no-cache"


class Uploader:
    """Writes one output below its layout's keys."""

    def __init__(
        self, client: "S3Client", bucket: str, layout: OutputLayout, connections: int
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._layout = layout
        self._connections = asyncio.Semaphore(connections)

    async def publish(
        self, tree: Path, manifest: Manifest, on_progress: Callable[[float], None]
    ) -> str:
        """Upload everything below `tree` and then the manifest, whose SHA-256 is returned.

        An earlier run's manifest goes first: from then on its output counts as unfinished. Raises
        `storage_unavailable`.
        """
        try:
            await self._client.delete_object(Bucket=self._bucket, Key=self._layout.manifest)
            await self._put_all(tree, manifest.objects, on_progress)
            await self._remove_strays({item.key for item in manifest.objects})
            return await self._put_manifest(manifest)
        except STORAGE_ERRORS as error:
            raise unavailable(error) from error

    async def _put_all(
        self, tree: Path, objects: tuple[ManifestObject, ...], on_progress: Callable[[float], None]
    ) -> None:
        total, done = sum(item.size for item in objects), 0

        async def put(item: ManifestObject) -> None:
            nonlocal done
            async with self._connections:
                body = await asyncio.to_thread((tree / item.key).read_bytes)
                await self._put(item.key, body, item.content_type, CACHE_CONTROL[item.content_type])
            done += item.size
            on_progress(done / total)

        try:
            async with asyncio.TaskGroup() as group:
                for item in objects:
                    group.create_task(put(item))
        except* STORAGE_ERRORS as errors:
            refusal = errors.exceptions[0]
        else:
            return
        raise unavailable(refusal) from refusal

    async def _put(self, key: str, body: bytes, content_type: str, cache_control: str) -> None:
        # The store compares the MD5 with what arrived, and refuses a damaged body.
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        await self._client.put_object(
            Bucket=self._bucket,
            Key=key,
            Body=body,
            ContentType=content_type,
            CacheControl=cache_control,
            ContentMD5=base64.b64encode(digest).decode(),
        )

    async def _remove_strays(self, kept: set[str]) -> None:
        """Delete what an earlier run left under the prefix and this one did not write."""
        paginator = self._client.get_paginator("list_objects_v2")
        pages = paginator.paginate(Bucket=self._bucket, Prefix=self._layout.prefix)
        async for page in pages:
            for found in page.get("Contents", []):
                if found["Key"] not in kept:
                    await self._client.delete_object(Bucket=self._bucket, Key=found["Key"])

    async def _put_manifest(self, manifest: Manifest) -> str:
        body = manifest.to_json().encode()
        await self._put(self._layout.manifest, body, "application/json", MANIFEST_CACHE_CONTROL)
        return hashlib.sha256(body).hexdigest()
