"""Puts a package where its keys say, and describes it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from gpu_worker.contract import (
    JobInput,
    Manifest,
    ManifestObject,
    OutputLayout,
    Rendition,
    WorkerErrorCode,
)
from gpu_worker.errors import JobFailed
from gpu_worker.objects import describe
from gpu_worker.packager import Package
from gpu_worker.playlist import Variant


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


def build(
    tree: Path,
    package: Package,
    identity: Identity,
    gpu_seconds: float,
    known: Mapping[str, ManifestObject] = MappingProxyType({}),
) -> Manifest:
    """The manifest of everything below `tree`, whose paths are keys.

    What is `known`, and has the same size still, is not read again.
    """
    layout, job = identity.layout, identity.job
    objects = tuple(_objects(tree, known))
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


def _objects(tree: Path, known: Mapping[str, ManifestObject]) -> Iterator[ManifestObject]:
    for path in sorted(tree.rglob("*")):
        if path.is_symlink():  # ours are not; a program that was taken over points it elsewhere
            raise JobFailed(
                WorkerErrorCode.OUTPUT_INVALID,
                "The converted file did not pass our checks; a retry may help.",
                f"{path.name} is a link",
            )
        if path.is_file():
            key = path.relative_to(tree).as_posix()
            item = known.get(key)
            if item is None or item.size != path.stat().st_size:  # joined with the next, since
                item = describe(key, path.read_bytes())
            yield item


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
