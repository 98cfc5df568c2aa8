"""The console's files and the reference: made once a process, answered with an ETag and a CSP."""

import gzip
import ipaddress
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.problem_codes import PAGE as PROBLEMS
from api.reference import operations_page, problems_page
from infra.settings import Settings

FOLDER = Path(__file__).parent / "console"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
PAGES = {"/": "index.html", "/audit": "audit.html"}
REFERENCE: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "/docs": operations_page,
    PROBLEMS: lambda _: problems_page(),
}
"""Pages that are made of the API's description."""
WORTH_PACKING_BYTES = 1024
PERMISSIONS = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"


class File(NamedTuple):
    """A file as it is answered."""

    body: bytes
    packed: bytes | None
    """The same, gzipped; None where that is not worth it."""
    media_type: str
    etag: str


@cache
def load(folder: Path = FOLDER) -> Mapping[str, File]:
    """Every file below `folder` by its path there. Nothing else is ever answered."""
    return {
        path.relative_to(folder).as_posix(): _read(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix in MEDIA_TYPES
    }


def _read(path: Path) -> File:
    return _file(path.read_bytes(), MEDIA_TYPES[path.suffix])


def _file(body: bytes, media_type: str) -> File:
    packed = gzip.compress(body, 6, mtime=0) if len(body) > WORTH_PACKING_BYTES else None
    return File(body, packed, media_type, f'"{sha256(body).hexdigest()[:32]}"')


def routes(settings: Settings, description: dict[str, Any]) -> list[Route]:
    """`/`, `/audit`, what those pages load from `/console/`, and the reference of `description`."""
    files, shared = load(), headers(settings)

    @cache
    def made(path: str) -> File:
        return _file(REFERENCE[path](description), MEDIA_TYPES[".html"])

    def find(path: str, below: str) -> File | None:
        return made(path) if path in REFERENCE else files.get(PAGES.get(path, below))

    async def serve(request: Request) -> Response:
        found = find(request.url.path, request.path_params.get("path", ""))
        if found is None:
            raise HTTPException(404, "There is no such file.")
        return _answer(request, found, shared)

    paths = [*PAGES, *REFERENCE, "/console/{path:path}"]
    return [Route(path, serve, methods=["GET"], name=f"page {path}") for path in paths]


def _answer(request: Request, file: File, shared: Mapping[str, str]) -> Response:
    own = {**shared, "etag": file.etag}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=own)
    if file.packed and "gzip" in request.headers.get("accept-encoding", ""):
        own["content-encoding"] = "gzip"
        return Response(file.packed, headers=own, media_type=file.media_type)
    return Response(file.body, headers=own, media_type=file.media_type)


def headers(settings: Settings) -> dict[str, str]:
    """What goes with every file. A name keeps its address, so each use asks whether it changed."""
    return {
        "cache-control": "no-cache",
        "content-security-policy": _policy(settings),
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": PERMISSIONS,
        "referrer-policy": "same-origin",
        "vary": "accept-encoding",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",  # For browsers that do not know `frame-ancestors`.
    }


def _policy(settings: Settings) -> str:
    """Content Security Policy, level 3: our own code and style alone; media from the bucket too."""
    media = " ".join(["'self'", *_origins(settings)])
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "worker-src 'self'",
            f"connect-src {media}",
            f"img-src {media}",
            f"media-src {media} blob:",  # What a player feeds by Media Source Extensions.
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def _origins(settings: Settings) -> list[str]:
    """Where playback URLs lead: the bucket in its path or its host, a public address, and us."""
    endpoint, app = urlsplit(settings.r2_endpoint), urlsplit(settings.public_app_url)
    found = [f"{endpoint.scheme}://{endpoint.netloc}"]
    if not _is_address(endpoint.hostname or ""):
        found.append(f"{endpoint.scheme}://{settings.r2_bucket}.{endpoint.netloc}")
    if settings.public_media_url:
        public = urlsplit(settings.public_media_url)
        found.append(f"{public.scheme}://{public.netloc}")
    return [*found, f"{app.scheme}://{app.netloc}"]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
