"""Where an upload lies in the bucket: made from ids, with the file's name made harmless."""

import re
import unicodedata
from uuid import UUID

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
MAX_NAME_LENGTH = 120


def safe_file_name(file_name: str) -> str:
    """`file_name` reduced to letters, digits, `.`, `_` and `-`; never empty, never a path.

    The ending stays, since people recognise their files by it. `..` cannot survive: botocore does
    not normalise keys.
    """
    base = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    ascii_name = unicodedata.normalize("NFKD", base).encode("ascii", "ignore").decode()
    cleaned = re.sub(r"\.{2,}", ".", _UNSAFE.sub("-", ascii_name)).strip(".-")
    return cleaned[-MAX_NAME_LENGTH:].lstrip(".-") or "upload"


def originals_prefix(creator_id: str, media_id: UUID) -> str:
    """The folder of an item's upload."""
    return f"{creator_id}/originals/{media_id}/"


def original_key(creator_id: str, media_id: UUID, file_name: str) -> str:
    """The key of a creator's upload."""
    return f"{originals_prefix(creator_id, media_id)}{safe_file_name(file_name)}"
