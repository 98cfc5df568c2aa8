"""Describes objects of an output as its manifest lists them: size, checksums, content type."""

import hashlib
from pathlib import PurePosixPath

from gpu_worker.contract import ManifestObject

PLAYLIST = "application/vnd.apple.mpegurl"
CONTENT_TYPES = {
    ".m3u8": PLAYLIST,
    ".ts": "video/mp2t",
    ".jpg": "image/jpeg",
    ".json": "application/json",
}


def describe(key: str, body: bytes) -> ManifestObject:
    """The object `body` becomes under `key`."""
    return ManifestObject(
        key=key,
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        md5=hashlib.md5(body, usedforsecurity=False).hexdigest(),
        content_type=CONTENT_TYPES[PurePosixPath(key).suffix],
    )
