"""A store that takes objects at a set pace: as much of S3 as the uploader speaks."""

import asyncio
import hashlib

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

NO_KEY = b"<Error><Code>NoSuchKey</Code></Error>"
EMPTY_LIST = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


class Sink:
    """Keeps keys and ETags, and forgets the bytes. All connections share one pace."""

    def __init__(self) -> None:
        self.bytes_per_second = float("inf")
        self.objects: dict[str, str] = {}
        self._free_at = 0.0

    def app(self) -> Starlette:
        """The store as an ASGI application."""
        return Starlette(
            routes=[
                Route("/{bucket}", self._list),
                Route("/{bucket}/{key:path}", self._put, methods=["PUT"]),
                Route("/{bucket}/{key:path}", self._get),
            ]
        )

    async def _list(self, _request: Request) -> Response:
        return Response(EMPTY_LIST, media_type="application/xml")

    async def _get(self, request: Request) -> Response:
        etag = self.objects.get(request.path_params["key"])
        if etag is None:
            return Response(NO_KEY, 404, media_type="application/xml")
        return Response(headers={"etag": f'"{etag}"'})

    async def _put(self, request: Request) -> Response:
        digest = hashlib.md5(usedforsecurity=False)
        async for chunk in request.stream():
            digest.update(chunk)
            await self._wait_for(len(chunk))
        etag = self.objects[request.path_params["key"]] = digest.hexdigest()
        return Response(headers={"etag": f'"{etag}"'})

    async def _wait_for(self, size: int) -> None:
        now = asyncio.get_running_loop().time()
        self._free_at = max(now, self._free_at) + size / self.bytes_per_second
        await asyncio.sleep(self._free_at - now)
