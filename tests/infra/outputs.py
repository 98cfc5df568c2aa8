"""What an attempt of the one item leaves in the bucket, and its manifest."""

import hashlib
from collections.abc import Mapping
from typing import Any

from domain.media import attempt_id
from gpu_worker.contract import Manifest, ManifestObject, OutputLayout, Rendition
from tests import factories as f

LAYOUT = OutputLayout(f.CREATOR, f.MEDIA_ID)
ATTEMPT_ID = attempt_id(f.MEDIA_ID, 1)
RENDITION = f.VIDEO_RENDITIONS[0]
OBJECTS = {
    LAYOUT.master: b"#EXTM3U master",
    LAYOUT.preview: b"#EXTM3U preview",
    LAYOUT.thumbnail: b"jpeg",
    RENDITION.playlist_key: b"#EXTM3U 720p",
    f"{LAYOUT.prefix}720p_000.ts": b"G" * 188,
    f"{LAYOUT.prefix}preview/preview_000.ts": b"",
}
AUDIO_OBJECTS = {
    LAYOUT.master: b"#EXTM3U",
    LAYOUT.preview: b"#EXTM3U",
    LAYOUT.waveform: b"{}",
    f.AUDIO_RENDITIONS[0].playlist_key: b"#EXTM3U",
}


def listed(objects: Mapping[str, bytes]) -> tuple[ManifestObject, ...]:
    """Objects as a manifest lists them."""
    return tuple(
        ManifestObject(
            key=key,
            size=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            md5=hashlib.md5(body, usedforsecurity=False).hexdigest(),
            content_type="application/octet-stream",
        )
        for key, body in objects.items()
    )


def manifest(**changed: Any) -> Manifest:
    """The manifest of the video's first attempt, with some fields changed."""
    whole = Manifest(
        media_id=f.MEDIA_ID,
        attempt=1,
        attempt_id=ATTEMPT_ID,
        job_id=f.job_id(),
        type="video",
        worker=f.WORKER,
        encoder="libx264",
        input_key="creator-1/originals/x/holiday.mp4",
        input_etag=f.ETAG,
        hls_master_key=LAYOUT.master,
        hls_preview_key=LAYOUT.preview,
        thumbnail_key=LAYOUT.thumbnail,
        duration_seconds=12.5,
        width=1280,
        height=720,
        renditions=(
            Rendition(**RENDITION.model_dump(), average_bandwidth_bps=2_500_000, frame_rate=25),
        ),
        gpu_seconds=4.25,
        probe={"format": {}},
        objects=listed(OBJECTS),
    )
    return whole.model_copy(update=changed)


def audio_manifest() -> Manifest:
    """The manifest of the same item as if it were audio."""
    rendition = f.AUDIO_RENDITIONS[0].model_dump()
    return manifest(
        type="audio",
        encoder="aac",
        thumbnail_key=None,
        waveform_key=LAYOUT.waveform,
        width=None,
        height=None,
        renditions=(Rendition(**rendition, average_bandwidth_bps=130_000),),
        objects=listed(AUDIO_OBJECTS),
    )
