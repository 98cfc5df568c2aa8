"""`python -m gpu_worker doctor`: whether this machine can convert, as JSON for other programs."""

import asyncio
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from pydantic import ValidationError

from gpu_worker.contract import Claim
from gpu_worker.errors import IsolationMissing, ProcessFailed, ProcessTimedOut, ToolMissing
from gpu_worker.settings import EncodeSettings, WorkerSettings
from gpu_worker.tools import Tools, choose_encoder, confinement, find_tools, missing_features

if TYPE_CHECKING:
    from gpu_worker.claim_objects import ClaimObjects

Finding = dict[str, object]
BUCKET_LIMIT_S = 30.0


def tell(environ: Mapping[str, str]) -> int:
    """Print `[{"part", "ok", "detail"}, …]`; 0 when every part is ok, else 1."""
    findings = asyncio.run(_examine_all(environ))
    print(json.dumps(findings))
    return 0 if all(finding["ok"] for finding in findings) else 1


async def _examine_all(environ: Mapping[str, str]) -> list[Finding]:
    findings = await _examine(environ)
    if environ.get("R2_ENDPOINT"):  # `transcode` needs no bucket
        findings.append(await _examine_bucket(environ))
    return findings


async def _examine_bucket(environ: Mapping[str, str]) -> Finding:
    # Imported here: they take seconds, which `transcode` has no use for.
    from gpu_worker.bucket import STORAGE_ERRORS, connect  # noqa: PLC0415
    from gpu_worker.claim_objects import ClaimObjects  # noqa: PLC0415

    try:
        settings = WorkerSettings.from_environ(environ)
    except ValidationError as error:
        names = ", ".join(sorted({str(item["loc"][0]).upper() for item in error.errors()}))
        return _finding("claims", f"these settings are missing or wrong: {names}", ok=False)
    media_id, bucket = uuid4(), settings.r2_bucket
    try:
        async with asyncio.timeout(BUCKET_LIMIT_S), connect(settings) as client:
            objects = ClaimObjects(client, bucket, "doctor", media_id)
            try:
                wrong = await _broken_promise(objects, media_id)
            finally:
                await objects.remove(1)
    except STORAGE_ERRORS as error:
        return _finding("claims", f"the bucket cannot be used: {type(error).__name__}", ok=False)
    return _finding("claims", wrong or f"{bucket} honours conditional PUT", ok=wrong is None)


async def _broken_promise(objects: "ClaimObjects", media_id: UUID) -> str | None:
    """What the bucket does not do that claims rest on."""
    claim = Claim(
        media_id=media_id,
        attempt=1,
        attempt_id=media_id,
        job_id="doctor",
        worker="doctor",
        holder=uuid4(),
    )
    first = await objects.put(claim, {"IfNoneMatch": "*"})
    if first is None:
        return "the bucket refuses If-None-Match where nothing is"
    if await objects.put(claim, {"IfNoneMatch": "*"}) is not None:
        return "the bucket ignores If-None-Match: two workers could have one attempt"
    renewed = claim.model_copy(update={"renewals": 1})
    if await objects.put(renewed, {"IfMatch": first}) is None:
        return "the bucket refuses If-Match on what is there"
    if await objects.put(claim, {"IfMatch": first}) is not None:
        return "the bucket ignores If-Match: two workers could have one attempt"
    found = await objects.read(1)
    return None if found and found.claim == renewed else "the bucket does not return what it took"


async def _examine(environ: Mapping[str, str]) -> list[Finding]:
    try:
        settings = EncodeSettings.from_environ(environ)
        tools = find_tools(settings)
    except (ValidationError, ToolMissing) as error:
        return [_finding("ffmpeg", str(error), ok=False)]
    except IsolationMissing as error:
        return [_finding("isolation", str(error), ok=False)]
    with tempfile.TemporaryDirectory(prefix="codex-media-") as name:
        try:
            return await _examine_tools(settings, tools, Path(name))
        except (ProcessFailed, ProcessTimedOut) as error:
            return [_finding("ffmpeg", f"{tools.ffmpeg} does not run: {error}", ok=False)]


async def _examine_tools(settings: EncodeSettings, tools: Tools, cwd: Path) -> list[Finding]:
    missing = await missing_features(tools, cwd, settings.beside)
    lacks = f", which lacks {', '.join(missing)}" if missing else ""
    choice = await choose_encoder(settings, tools, cwd)
    return [
        _finding("ffmpeg", f"{tools.ffmpeg}{lacks}", ok=not missing),
        _finding("ffprobe", tools.ffprobe, ok=True),
        _finding("isolation", confinement(tools.sandbox), ok=True),
        _finding("encoder", choice.note or f"{choice.encoder}, GPU decode", ok=True),
    ]


def _finding(part: str, detail: str, *, ok: bool) -> Finding:
    return {"part": part, "ok": ok, "detail": detail}
