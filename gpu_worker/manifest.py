"""Puts a package where its keys say, and describes it: sizes, checksums, content types."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gpu_worker.contract import JobInput, Manifest, ManifestObject, OutputLayout, Rendition
from gpu_worker.packager import Package
from gpu_worker.playlist import Variant

CHUNK_BYTES = 1024**2
CONTENT_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".ts": "video/mp2t",
    ".jpg": "image/jpeg",
    ".json": "application/json",
}


@dataclass(frozen=True)
class Identity:
    """Who made an output, and out of which job."""

    job_id: str
    job: JobInput
    worker: str

    @property
    def layout(self) -> OutputLayout:
        """Where this job's outputs lie."""
        return OutputLayout(self.job.creator_id, self.job.media_id)


def make_room(tree: Path, layout: OutputLayout) -> Path:
    """The folder below `tree` for what lies beside `master.m3u8`, made if need be."""
    folder = tree / layout.prefix
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def settle(tree: Path, layout: OutputLayout) -> None:
    """Move poster and waveform, made beside the playlists, to their own keys below `tree`."""
    for name, key in (("poster.jpg", layout.thumbnail), ("waveform.json", layout.waveform)):
        made = tree / layout.prefix / name
        if made.is_file():
            (tree / key).parent.mkdir(parents=True, exist_ok=True)
            made.replace(tree / key)


def build(tree: Path, package: Package, identity: Identity, gpu_seconds: float) -> Manifest:
    """The manifest of everything below `tree`, whose paths are keys."""
    layout, job = identity.layout, identity.job
    objects = tuple(_objects(tree))
    keys = {item.key for item in objects}
    return Manifest(
        media_id=job.media_id,
        attempt=job.attempt,
        attempt_id=job.attempt_id,
        job_id=identity.job_id,
        type=job.type,
        worker=identity.worker,
        encoder=package.encoder,
        encoder_note=package.encoder_note,
        input_key=job.input_key,
        input_etag=job.input_etag,
        hls_master_key=layout.master,
        hls_preview_key=layout.preview,
        thumbnail_key=layout.thumbnail if layout.thumbnail in keys else None,
        waveform_key=layout.waveform if layout.waveform in keys else None,
        duration_seconds=package.duration_seconds,
        width=package.width,
        height=package.height,
        renditions=tuple(_rendition(variant, layout) for variant in package.variants),
        gpu_seconds=round(gpu_seconds, 3),
        probe=package.probe,
        objects=objects,
    )


def _objects(tree: Path) -> Iterator[ManifestObject]:
    for path in sorted(tree.rglob("*")):
        if path.is_file():
            sha256, md5 = _digests(path)
            yield ManifestObject(
                key=path.relative_to(tree).as_posix(),
                size=path.stat().st_size,
                sha256=sha256,
                md5=md5,
                content_type=CONTENT_TYPES[path.suffix],
            )


def _digests(path: Path) -> tuple[str, str]:
    """SHA-256 and MD5 of a file in hex, read once."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            sha256.update(chunk)
            md5.update(chunk)
    return sha256.hexdigest(), md5.hexdigest()


def _rendition(variant: Variant, layout: OutputLayout) -> Rendition:
    return Rendition(
        name=variant.playlist.name,
        playlist_key=layout.prefix + variant.playlist.uri,
        codecs=variant.codecs,
        bandwidth_bps=variant.bandwidth_bps,
        average_bandwidth_bps=variant.average_bandwidth_bps,
        width=variant.width,
        height=variant.height,
        frame_rate=variant.frame_rate,
    )
