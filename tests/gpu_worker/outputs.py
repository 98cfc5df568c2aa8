"""Outputs of jobs in small, and a bucket for them."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID, uuid5

import boto3
from botocore.client import BaseClient

from gpu_worker.bucket import connect
from gpu_worker.contract import Manifest, ManifestObject, OutputLayout
from gpu_worker.settings import WorkerSettings
from gpu_worker.uploader import Published, Uploader
from tests.gpu_worker.service import SECRET

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

MEDIA_ID = UUID("0190a1b2-0000-4000-8000-000000000001")
LAYOUT = OutputLayout("creator-1", MEDIA_ID)
KEYS = (LAYOUT.master, f"{LAYOUT.prefix}720p_000.ts")
TYPES = {"m3u8": "application/vnd.apple.mpegurl", "ts": "video/mp2t"}


class Room(NamedTuple):
    """A test's bucket: as the worker has it, and as the test looks into it and meddles with it."""

    client: "S3Client"
    meddler: BaseClient
    name: str

    def uploader(self, check: Callable[[], None] = lambda: None) -> Uploader:
        return Uploader(self.client, self.name, LAYOUT, 4, check)

    def contents(self) -> dict[str, bytes]:
        """Every object, by key."""
        listed = self.meddler.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {item["Key"]: self.read(item["Key"]) for item in listed}

    def read(self, key: str) -> bytes:
        body: bytes = self.meddler.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def put_manifest(self, body: bytes) -> None:
        self.meddler.put_object(Bucket=self.name, Key=LAYOUT.manifest, Body=body)


@asynccontextmanager
async def open_room(s3_endpoint: str, bucket: str) -> AsyncIterator[Room]:
    """A room in `bucket`, which is empty."""
    settings = WorkerSettings.from_environ(
        {
            "R2_ENDPOINT": s3_endpoint,
            "R2_BUCKET": bucket,
            "R2_ACCESS_KEY_ID": "test",
            "R2_SECRET_ACCESS_KEY": "test",
            "R2_REGION": "us-east-1",
            "WEBHOOK_SECRET": SECRET,
        }
    )
    meddler = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    async with connect(settings) as client:
        yield Room(client, meddler, bucket)
    meddler.close()


class Output(NamedTuple):
    """What one job made."""

    tree: Path
    manifest: Manifest

    @property
    def body(self) -> bytes:
        """Its manifest as stored."""
        return self.manifest.to_json().encode()

    @property
    def published(self) -> Published:
        return Published(self.manifest, hashlib.sha256(self.body).hexdigest())


def output_of(folder: Path, job_id: str, attempt: int = 1) -> Output:
    """The output of a job, with bytes that no other job makes."""
    tree = folder / job_id
    objects = []
    for key in KEYS:
        body = f"{key} by {job_id}".encode()
        (tree / key).parent.mkdir(parents=True, exist_ok=True)
        (tree / key).write_bytes(body)
        objects.append(
            ManifestObject(
                key=key,
                size=len(body),
                sha256=hashlib.sha256(body).hexdigest(),
                md5=hashlib.md5(body, usedforsecurity=False).hexdigest(),
                content_type=TYPES[key.rpartition(".")[2]],
            )
        )
    manifest = Manifest(
        media_id=MEDIA_ID,
        attempt=attempt,
        attempt_id=uuid5(MEDIA_ID, f"attempt/{attempt}"),
        job_id=job_id,
        type="video",
        worker="pod-7",
        encoder="libx264",
        input_key="creator-1/originals/x/holiday.mp4",
        input_etag="etag",
        hls_master_key=LAYOUT.master,
        hls_preview_key=LAYOUT.preview,
        duration_seconds=5.0,
        renditions=(),
        gpu_seconds=1.0,
        probe={},
        objects=tuple(objects),
    )
    return Output(tree, manifest)
