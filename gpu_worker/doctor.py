"""`python -m gpu_worker doctor`: whether this machine can convert, as JSON for other programs."""

import asyncio
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from gpu_worker.errors import ProcessFailed, ProcessTimedOut, ToolMissing
from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import Tools, choose_encoder, find_tools, missing_features

Finding = dict[str, object]


def tell(environ: Mapping[str, str]) -> int:
    """Print `[{"part", "ok", "detail"}, …]`; 0 when every part is ok, else 1."""
    findings = asyncio.run(_examine(environ))
    print(json.dumps(findings))
    return 0 if all(finding["ok"] for finding in findings) else 1


async def _examine(environ: Mapping[str, str]) -> list[Finding]:
    try:
        settings = EncodeSettings.from_environ(environ)
        tools = find_tools(settings)
    except (ValidationError, ToolMissing) as error:
        return [_finding("ffmpeg", str(error), ok=False)]
    with tempfile.TemporaryDirectory(prefix="codex-media-") as name:
        try:
            return await _examine_tools(settings, tools, Path(name))
        except (ProcessFailed, ProcessTimedOut) as error:
            return [_finding("ffmpeg", f"{tools.ffmpeg} does not run: {error}", ok=False)]


async def _examine_tools(settings: EncodeSettings, tools: Tools, cwd: Path) -> list[Finding]:
    missing = await missing_features(tools, cwd)
    lacks = f", which lacks {', '.join(missing)}" if missing else ""
    choice = await choose_encoder(settings, tools, cwd)
    return [
        _finding("ffmpeg", f"{tools.ffmpeg}{lacks}", ok=not missing),
        _finding("ffprobe", tools.ffprobe, ok=True),
        _finding("encoder", choice.note or choice.encoder, ok=True),
    ]


def _finding(part: str, detail: str, *, ok: bool) -> Finding:
    return {"part": part, "ok": ok, "detail": detail}
