"""Fetches the original, and only the very object the job was made for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from gpu_worker.bucket import STORAGE_ERRORS, code_of, unavailable
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.plan import check_size

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import GetObjectOutputTypeDef

CHUNK_BYTES = 1024**2
TRIES = 4
OBJECT_GONE = frozenset({"NoSuchKey", "PreconditionFailed"})


@dataclass(frozen=True)
class Download:
    """One object on its way to one file. A broken connection is taken up where it broke.

    `on_progress` takes the share that has arrived, 0 to 1.
    """

    client: "S3Client"
    bucket: str
    key: str
    etag: str
    max_bytes: int
    on_progress: Callable[[float], None]

    @property
    def _bare_etag(self) -> str:
        return self.etag.strip('"')

    async def to(self, path: Path) -> None:
        """Fetch into `path`.

        Raises `input_changed`, `input_too_large`, `input_unreadable` or `storage_unavailable`.
        """
        with path.open("wb") as file:
            for left in reversed(range(TRIES)):
                try:
                    await self._fetch_rest(file)
                except STORAGE_ERRORS as error:
                    if code_of(error) in OBJECT_GONE:
                        raise self._changed() from error
                    if code_of(error) == "InvalidRange":  # no first byte: the object is empty
                        raise JobFailed(
                            WorkerErrorCode.INPUT_UNREADABLE, "This file is empty."
                        ) from error
                    if left == 0 or code_of(error) is not None:
                        raise unavailable(error) from error
                else:
                    return

    async def _fetch_rest(self, file: BinaryIO) -> None:
        offset = file.tell()
        response = await self.client.get_object(
            Bucket=self.bucket,
            Key=self.key,
            IfMatch=f'"{self._bare_etag}"',
            Range=f"bytes={offset}-",
        )
        size = self._total(response, offset)
        body = response["Body"]
        async with body:
            async for chunk in body.iter_chunks(CHUNK_BYTES):
                file.write(chunk)
                self.on_progress(file.tell() / size)
        if file.tell() != size:
            raise TimeoutError(f"the object ended after {file.tell()} of {size} bytes")

    def _total(self, response: "GetObjectOutputTypeDef", offset: int) -> int:
        if response["ETag"].strip('"') != self._bare_etag:
            raise self._changed()
        size = offset + response["ContentLength"]
        check_size(size, self.max_bytes)
        return size

    def _changed(self) -> JobFailed:
        return JobFailed(
            WorkerErrorCode.INPUT_CHANGED,
            "The uploaded file was replaced or removed before we could convert it; "
            "please upload it again.",
        )
