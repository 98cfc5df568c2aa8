"""Whether what an attempt wrote to the bucket is all there: the manifest has the last word.

Every object is compared by checksum. An ETag that is the MD5 in the manifest proves its bytes; any
other says nothing (an encrypting store's is no MD5), and the object is read.
"""

import asyncio
import hashlib
from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

from pydantic import ValidationError

from domain.commands import Outputs
from domain.errors import StorageUnavailable
from domain.events import MediaType, RenditionFact
from domain.ports import OutputsInvalid
from gpu_worker.contract import Manifest, OutputLayout
from infra.object_storage import ObjectTooLarge, S3ObjectStorage

MAX_MANIFEST_BYTES = 16 * 1024 * 1024
"""A film of 12 hours in four rungs has about 40,000 objects at 250 bytes each."""
READERS = 8
READING_LIMIT_S = 120.0
MAX_REMEMBERED = 200_000


class _Stored(NamedTuple):
    size: int
    etag: str


class _Proof(NamedTuple):
    """That the object under `key` had these bytes when the store called them `etag`."""

    key: str
    etag: str
    sha256: str


class BucketOutputGate:
    """`domain.ports.OutputGate` over the bucket."""

    def __init__(self, storage: S3ObjectStorage, reading_limit_s: float = READING_LIMIT_S) -> None:
        self._storage = storage
        self._reading_limit_s = reading_limit_s
        self._proven: set[_Proof] = set()

    async def inspect(
        self, media_id: UUID, creator_id: str, media_type: MediaType, attempt_id: UUID
    ) -> Outputs | OutputsInvalid | None:
        """The verified outputs; why they are invalid; or None when this attempt wrote no manifest.

        Keys are derived here and compared: a manifest that names others is refused. Raises
        `StorageUnavailable`, also when reading what no ETag proves takes longer than
        `reading_limit_s`; the next call goes on from there.
        """
        layout = OutputLayout(creator_id, media_id)
        try:
            body = await self._storage.read(layout.manifest, MAX_MANIFEST_BYTES)
        except ObjectTooLarge as error:
            return OutputsInvalid(str(error))
        if body is None:
            return None
        try:
            manifest = Manifest.model_validate_json(body)
        except ValidationError as error:
            return OutputsInvalid(f"The manifest is malformed in {error.error_count()} places.")
        if manifest.attempt_id != attempt_id:
            return None
        wrong = wrong_names(manifest, layout, media_id, media_type)
        wrong = wrong or await self._wrong_objects(manifest, layout)
        return OutputsInvalid(wrong) if wrong else _outputs(manifest, layout, body)

    async def _wrong_objects(self, manifest: Manifest, layout: OutputLayout) -> str | None:
        stored = await self._stored(layout)
        doubtful = list[_Proof]()
        for expected in manifest.objects:
            found = stored.get(expected.key)
            if found is None or found.size != expected.size:
                seen = "is missing" if found is None else f"has {found.size} bytes"
                return f"The object {expected.key} {seen}; the manifest says {expected.size} bytes."
            proof = _Proof(expected.key, found.etag, expected.sha256)
            if found.etag != expected.md5 and proof not in self._proven:
                doubtful.append(proof)
        return await self._read_all(doubtful) if doubtful else None

    async def _stored(self, layout: OutputLayout) -> dict[str, _Stored]:
        stored = {
            found.key: _Stored(found.size, found.etag)
            async for found in self._storage.listing(layout.prefix)
        }
        for key in (layout.thumbnail, layout.waveform):
            found = await self._storage.head(key)
            if found is not None:
                stored[key] = _Stored(found.size, found.etag)
        return stored

    async def _read_all(self, doubtful: list[_Proof]) -> str | None:
        """What is wrong with the first object found whose bytes are others."""
        left, wrong = iter(doubtful), list[str]()
        try:
            async with asyncio.timeout(self._reading_limit_s), asyncio.TaskGroup() as readers:
                for _ in range(READERS):
                    readers.create_task(self._read_some(left, wrong))
        except* StorageUnavailable as errors:
            refusal: Exception = errors.exceptions[0]
        except* TimeoutError:
            refusal = StorageUnavailable("the outputs could not all be read in time")
        else:
            return wrong[0] if wrong else None
        raise refusal

    async def _read_some(self, left: Iterator[_Proof], wrong: list[str]) -> None:
        for proof in left:
            if wrong:
                return
            if await self._storage.sha256(proof.key) == proof.sha256:
                self._remember(proof)
            else:
                wrong.append(f"The object {proof.key} is not the one that the manifest describes.")

    def _remember(self, proof: _Proof) -> None:
        if len(self._proven) >= MAX_REMEMBERED:
            self._proven.clear()
        self._proven.add(proof)


def wrong_names(
    manifest: Manifest, layout: OutputLayout, media_id: UUID, media_type: MediaType
) -> str | None:
    """What a manifest names that is not this item's, or does not name though it must."""
    if (manifest.media_id, manifest.type) != (media_id, media_type.value):
        return "The manifest is of another item."
    named = (
        manifest.hls_master_key,
        manifest.hls_preview_key,
        manifest.thumbnail_key or layout.thumbnail,
        manifest.waveform_key or layout.waveform,
    )
    if named != (layout.master, layout.preview, layout.thumbnail, layout.waveform):
        return "The manifest names keys that are not this item's."
    listed = {found.key for found in manifest.objects}
    own = {layout.thumbnail, layout.waveform}
    foreign = [key for key in listed if not key.startswith(layout.prefix) and key not in own]
    if foreign:
        return "The manifest lists objects that are not this item's."
    required = {
        manifest.hls_master_key,
        manifest.hls_preview_key,
        *(rendition.playlist_key for rendition in manifest.renditions),
        *filter(None, (manifest.thumbnail_key, manifest.waveform_key)),
    }
    missing = sorted(required - listed)
    return f"The manifest does not list {missing[0]}." if missing else None


def _outputs(manifest: Manifest, layout: OutputLayout, body: bytes) -> Outputs:
    return Outputs(
        runpod_job_id=manifest.job_id,
        hls_master_playlist_key=manifest.hls_master_key,
        hls_preview_key=manifest.hls_preview_key,
        thumbnail_key=manifest.thumbnail_key,
        waveform_key=manifest.waveform_key,
        duration_seconds=manifest.duration_seconds,
        width=manifest.width,
        height=manifest.height,
        renditions=tuple(
            RenditionFact(
                name=rendition.name,
                playlist_key=rendition.playlist_key,
                bandwidth_bps=rendition.bandwidth_bps,
                codecs=rendition.codecs,
                width=rendition.width,
                height=rendition.height,
            )
            for rendition in manifest.renditions
        ),
        manifest_key=layout.manifest,
        manifest_sha256=hashlib.sha256(body).hexdigest(),
        encoder=manifest.encoder,
        encoder_note=manifest.encoder_note,
        gpu_seconds=manifest.gpu_seconds,
    )
