"""Describes objects of an output as its manifest lists them: size, checksums, content type."""

import hashlib
import os
import stat
from pathlib import Path, PurePosixPath

from gpu_worker.contract import ManifestObject

PLAYLIST = "application/vnd.apple.mpegurl"
CONTENT_TYPES = {
    ".m3u8": PLAYLIST,
    ".ts": "video/mp2t",
    ".m4s": "video/iso.segment",
    ".mp4": "video/mp4",
    ".jpg": "image/jpeg",
    ".vtt": "text/vtt",
    ".webp": "image/webp",
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


def read_regular(path: Path) -> bytes:
    """What is in a file that a program which may have been taken over writes beside.

    Raises OSError for a link, of the file or of its folder, which may lead anywhere, and for what
    is no file.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        handle = os.open(path.name, flags, dir_fd=folder)
    finally:
        os.close(folder)
    with os.fdopen(handle, "rb") as content:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(f"{path.name} is no regular file")
        return content.read()
