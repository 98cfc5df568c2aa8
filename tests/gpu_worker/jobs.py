"""Jobs over real HTTP: an original in a test's bucket, and what runs of it leave there."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID, uuid4, uuid5

from gpu_worker.contract import JobInput, Manifest, OutputLayout
from gpu_worker.settings import WorkerSettings
from tests.gpu_worker.service import SECRET

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

CREATOR = "creator-1"


def environ_of(endpoint: str, bucket: str, work_dir: Path) -> dict[str, str]:
    """The variables of a worker that encodes and reports fast."""
    return {
        "R2_ENDPOINT": endpoint,
        "R2_BUCKET": bucket,
        "R2_ACCESS_KEY_ID": "test",
        "R2_SECRET_ACCESS_KEY": "test",
        "R2_REGION": "us-east-1",
        "WEBHOOK_SECRET": SECRET,
        "RUNPOD_POD_ID": "pod-7",
        "ENCODER": "libx264",
        "X264_PRESET": "superfast",
        "WORK_DIR": str(work_dir),
        "PROGRESS_INTERVAL_SECONDS": "0.1",
        "CALLBACK_FIRST_DELAY_SECONDS": "0.05",
    }


def settings_of(endpoint: str, bucket: str, work_dir: Path) -> WorkerSettings:
    """As `environ_of`, parsed."""
    return WorkerSettings.from_environ(environ_of(endpoint, bucket, work_dir))


class Room(NamedTuple):
    """A test's bucket, without the faults that a worker may meet on its way to it."""

    client: "S3Client"
    bucket: str

    async def job(self, path: Path, kind: str, webhook_url: str) -> dict[str, Any]:
        """Put `path` there as an original, and make the first job for it."""
        media_id = uuid4()
        key = f"{CREATOR}/originals/{media_id}/{path.name}"
        content = await asyncio.to_thread(path.read_bytes)
        put = await self.client.put_object(Bucket=self.bucket, Key=key, Body=content)
        wanted = JobInput.model_validate(
            {
                "media_id": media_id,
                "attempt": 1,
                "attempt_id": uuid5(media_id, "attempt/1"),
                "type": kind,
                "creator_id": CREATOR,
                "input_key": key,
                "input_etag": put["ETag"].strip('"'),
                "webhook_url": webhook_url,
            }
        )
        return {"id": "job-1-u1", "input": json.loads(wanted.to_json())}

    async def put(self, key: str, body: bytes) -> None:
        await self.client.put_object(Bucket=self.bucket, Key=key, Body=body)

    async def read(self, key: str) -> bytes:
        response = await self.client.get_object(Bucket=self.bucket, Key=key)
        async with response["Body"] as body:
            content: bytes = await body.read()
        return content

    async def keys(self, prefix: str) -> set[str]:
        listed = await self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return {item["Key"] for item in listed.get("Contents", [])}

    async def whole_output(self, layout: OutputLayout) -> Manifest:
        """The manifest, which everything in the bucket fits: no byte of another run, no stray."""
        manifest = Manifest.model_validate_json(await self.read(layout.manifest))
        for item in manifest.objects:
            content = await self.read(item.key)
            assert (len(content), hashlib.sha256(content).hexdigest()) == (item.size, item.sha256)
            assert hashlib.md5(content, usedforsecurity=False).hexdigest() == item.md5
        listed = {item.key for item in manifest.objects}
        assert await self.keys(layout.prefix) == {
            key for key in listed if key.startswith(layout.prefix)
        } | {layout.manifest}
        return manifest


def layout_of(job: dict[str, Any]) -> OutputLayout:
    """Where the job's outputs lie."""
    return OutputLayout(CREATOR, UUID(job["input"]["mediaId"]))
