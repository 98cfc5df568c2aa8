"""What runs of one attempt tell each other of a film's chunks: objects in the bucket.

Below `{creator}/chunks/{media}/{attempt}/`: `plan`, how the film is made, of the run that has the
attempt; `{number}`, one chunk: who makes it, or, when it is done, where its segments lie; segments
that other runs have made. Only the run that has the attempt writes among the outputs. All is
removed when the output is published.
"""

from typing import TYPE_CHECKING, NamedTuple, TypeVar
from uuid import UUID

from pydantic import Field, ValidationError

from gpu_worker.claim_objects import If, put_if, read_aged
from gpu_worker.contract import (
    JobId,
    JobInput,
    ManifestObject,
    Sha256Hex,
    WireModel,
    chunks_prefix,
)
from gpu_worker.ffmpeg import VideoEncoder

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

MAX_RECORD_BYTES = 4 * 1024**2
"""Of a film of four hours in one chunk, with all its segments."""
SCHEMA_VERSION = 1

Model = TypeVar("Model", bound=WireModel)


class FilmPlan(WireModel):
    """How a film is made: runs with another recipe make no chunks of it."""

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1)
    attempt_id: UUID
    recipe: Sha256Hex
    """Of all command lines: the cuts, the ladder and the encoder's settings."""
    job_id: JobId
    encoder: VideoEncoder
    withdrawn: bool = False
    """No more chunks are wanted."""


class ChunkRecord(WireModel):
    """Who makes a chunk. With `objects` it is done, for good."""

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1)
    attempt_id: UUID
    number: int = Field(ge=0)
    recipe: Sha256Hex
    job_id: JobId
    holder: UUID
    """New for every run and chunk."""
    renewals: int = Field(default=0, ge=0)
    released: bool = False
    objects: tuple[ManifestObject, ...] | None = None


class FoundRecord(NamedTuple):
    """A chunk's record as it lies in the bucket; None when nobody can read it."""

    record: ChunkRecord | None
    etag: str
    age_s: float


class ChunkObjects:
    """Reads and writes them. Raises what the S3 client raises, and TimeoutError."""

    def __init__(self, client: "S3Client", bucket: str, job: JobInput) -> None:
        self._client = client
        self._bucket = bucket
        self._all = chunks_prefix(job.creator_id, job.media_id)
        self.prefix = f"{self._all}{job.attempt}/"

    def staged_key(self, record: ChunkRecord, name: str) -> str:
        """Where a run that does not have the attempt puts a segment of a chunk."""
        return f"{self.prefix}{record.number}/{record.holder}/{name}"

    async def put(self, record: ChunkRecord, condition: If) -> str | None:
        """The new object's ETag; None when the condition does not hold."""
        key = f"{self.prefix}{record.number}"
        return await put_if(self._client, self._bucket, key, record.to_json(), condition)

    async def read(self, number: int) -> FoundRecord | None:
        """A chunk's record; None when there is none."""
        key = f"{self.prefix}{number}"
        found = await read_aged(self._client, self._bucket, key, MAX_RECORD_BYTES)
        if found is None:
            return None
        record = _parsed(ChunkRecord, found.text)
        if record is not None and record.number != number:
            record = None
        return FoundRecord(record, found.etag, found.age_s)

    async def give_up(self, found: FoundRecord | None) -> None:
        """Free a chunk that was done, unless it has changed since."""
        if found is not None and found.record is not None:
            free = found.record.model_copy(update={"objects": None, "released": True})
            await self.put(free, If(IfMatch=found.etag))

    async def put_plan(self, plan: FilmPlan, condition: If | None = None) -> str | None:
        """The new plan's ETag; None when the condition does not hold. Without one, whatever was
        there: only the run that has the attempt does so."""
        key = f"{self.prefix}plan"
        return await put_if(self._client, self._bucket, key, plan.to_json(), condition or If())

    async def plan(self) -> FilmPlan | None:
        """The plan; None when there is none that can be read."""
        found = await read_aged(self._client, self._bucket, f"{self.prefix}plan")
        return None if found is None else _parsed(FilmPlan, found.text)

    async def fetch(self, item: ManifestObject) -> bytes:
        """A segment's bytes."""
        found = await self._client.get_object(Bucket=self._bucket, Key=item.key)
        async with found["Body"] as body:
            content: bytes = await body.read()
        return content

    async def clear(self) -> None:
        """Remove what was kept of chunks of this media item, of all its attempts."""
        paginator = self._client.get_paginator("list_objects_v2")
        async for page in paginator.paginate(Bucket=self._bucket, Prefix=self._all):
            for found in page.get("Contents", []):
                await self._client.delete_object(Bucket=self._bucket, Key=found["Key"])


def _parsed(model: type[Model], text: bytes) -> Model | None:
    try:
        return model.model_validate_json(text)
    except ValidationError:
        return None
