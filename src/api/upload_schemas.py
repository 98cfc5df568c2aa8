"""How a file is uploaded, as it goes out."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from api.schemas import MediaOut, Schema
from domain.part_ports import PresignedParts
from domain.ports import PresignedUpload


class UploadOut(Schema):
    """One request with exactly these headers, before the URL expires."""

    kind: Literal["single"] = "single"
    method: Literal["PUT"] = "PUT"
    url: str
    headers: dict[str, str]
    expires_at: AwareDatetime


class PartOut(Schema):
    """A part that is missing: PUT its bytes, exactly so many, without further headers."""

    number: int = Field(description="From 1. The part begins at `(number - 1) * partSize`.")
    size: int = Field(description="Bytes.")
    url: str


class PartsUploadOut(Schema):
    """A large file in parts, in any order and at once; then complete the upload."""

    kind: Literal["parts"] = "parts"
    part_size: int = Field(description="Bytes of each part but the last.")
    parts: list[PartOut] = Field(description="What is missing.")
    done: list[int] = Field(description="The numbers of the parts that arrived.")
    expires_at: AwareDatetime


class RegisteredOut(Schema):
    """A registered item. `upload` is null when its file arrived already (a repeated request)."""

    media: MediaOut
    upload: Annotated[UploadOut | PartsUploadOut, Field(discriminator="kind")] | None


def upload_out(upload: PresignedUpload | PresignedParts) -> UploadOut | PartsUploadOut:
    """A presigned upload as it goes out."""
    if isinstance(upload, PresignedUpload):
        return UploadOut(url=upload.url, headers=upload.headers, expires_at=upload.expires_at)
    return PartsUploadOut(
        part_size=upload.part_size,
        parts=[PartOut(number=n, size=size, url=url) for n, size, url in upload.parts],
        done=list(upload.done),
        expires_at=upload.expires_at,
    )
