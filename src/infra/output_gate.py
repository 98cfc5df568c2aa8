"""Whether what an attempt wrote to the bucket is all there: the manifest has the last word."""

import hashlib
from uuid import UUID

from pydantic import ValidationError

from domain.commands import Outputs
from domain.events import MediaType, RenditionFact
from domain.ports import OutputsInvalid
from gpu_worker.contract import Manifest, OutputLayout
from infra.object_storage import ObjectTooLarge, S3ObjectStorage

MAX_MANIFEST_BYTES = 16 * 1024 * 1024
"""A film of 12 hours in four rungs has about 40,000 objects at 200 bytes each."""


class BucketOutputGate:
    """`domain.ports.OutputGate` over the bucket."""

    def __init__(self, storage: S3ObjectStorage) -> None:
        self._storage = storage

    async def inspect(
        self, media_id: UUID, creator_id: str, media_type: MediaType, attempt_id: UUID
    ) -> Outputs | OutputsInvalid | None:
        """The verified outputs; why they are invalid; or None when this attempt wrote no manifest.

        Keys are derived here and compared: a manifest that names others is refused.
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
        wrong = _wrong_names(manifest, layout, media_id, media_type)
        wrong = wrong or await self._wrong_objects(manifest, layout)
        return OutputsInvalid(wrong) if wrong else _outputs(manifest, layout, body)

    async def _wrong_objects(self, manifest: Manifest, layout: OutputLayout) -> str | None:
        sizes = {found.key: found.size async for found in self._storage.listing(layout.prefix)}
        for key in (layout.thumbnail, layout.waveform):
            found = await self._storage.head(key)
            if found is not None:
                sizes[key] = found.size
        for expected in manifest.objects:
            size = sizes.get(expected.key)
            if size != expected.size:
                seen = "is missing" if size is None else f"has {size} bytes"
                return f"The object {expected.key} {seen}; the manifest says {expected.size} bytes."
        return None


def _wrong_names(
    manifest: Manifest, layout: OutputLayout, media_id: UUID, media_type: MediaType
) -> str | None:
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
