"""Looking at a file before anything is started or sent for it."""

import mimetypes
from pathlib import Path
from typing import NamedTuple

# What minimal systems' tables lack.
MORE_TYPES = {
    ".mkv": "video/x-matroska",
    ".m4v": "video/x-m4v",
    ".mts": "video/mp2t",
    ".ts": "video/mp2t",
    ".webm": "video/webm",
    ".wmv": "video/x-ms-wmv",
    ".flv": "video/x-flv",
    ".3gp": "video/3gpp",
    ".mxf": "video/mxf",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/opus",
    ".oga": "audio/ogg",
}


class UnusableFile(Exception):
    """A file that cannot be uploaded as it is; the text says why and what to do."""

    code = "file_unusable"


class MediaFile(NamedTuple):
    """A file that can be uploaded; `size` in bytes."""

    path: Path
    content_type: str
    size: int

    @property
    def announced(self) -> tuple[str, str, int]:
        """What its registration says of it."""
        return self.path.name, self.content_type, self.size


def examine(path: Path, content_type: str | None) -> MediaFile:
    """`path` as something to upload, of `content_type` or what its name says."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        raise UnusableFile("The file's name is not UTF-8. Rename it.") from None
    size = path.stat().st_size
    if size == 0:
        raise UnusableFile(f"{path.name} is empty.")
    return MediaFile(path, content_type or type_by_name(path), size)


def type_by_name(path: Path) -> str:
    """The type by the file's ending; `UnusableFile` when that says neither video nor audio."""
    guessed = MORE_TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0] or ""
    if guessed.split("/")[0] not in {"video", "audio"}:
        raise UnusableFile(
            f"The name {path.name} does not say whether this is video or audio. "
            "Give --content-type, for example video/mp4."
        )
    return guessed
