"""Tools and clips for the worker's tests; each clip is made once a session."""

import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from gpu_worker.contract import MediaType
from gpu_worker.packager import Package, Packager
from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import EncoderChoice, Tools, find_tools
from tests.gpu_worker.clips import Clips

Transcode = Callable[..., Awaitable[Package]]


@pytest.fixture(scope="session")
def tools() -> Tools:
    return find_tools(EncodeSettings())


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory, tools: Tools) -> Clips:
    return Clips(tmp_path_factory.mktemp("clips"), tools)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def good(tmp_path_factory: pytest.TempPathFactory, tools: Tools, clips: Clips) -> Path:
    """14 seconds in 480p and 360p with sound in both rates."""
    folder = tmp_path_factory.mktemp("good")
    settings = EncodeSettings(x264_preset="superfast")
    packager = Packager(tools, EncoderChoice("libx264"), settings)
    await packager.package(clips["ladder"], "video", folder, lambda _share: None)
    return folder


@pytest.fixture
def transcode(tools: Tools, tmp_path: Path) -> Transcode:
    """Packages a file with libx264 into a folder of its own."""

    async def run(path: Path, wanted: MediaType = "video", **settings: object) -> Package:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        choice = EncoderChoice("libx264", "libx264 instead of h264_nvenc: a test")
        fast: dict[str, object] = {"x264_preset": "superfast", **settings}
        limits = EncodeSettings.model_validate(fast)
        sandbox = replace(tools.sandbox, memory_bytes=limits.max_memory_bytes)
        packager = Packager(replace(tools, sandbox=sandbox), choice, limits)
        return await packager.package(path, wanted, folder, lambda _share: None)

    return run
