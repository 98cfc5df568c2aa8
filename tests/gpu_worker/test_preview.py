"""When the preview is copied: while the film is encoded, or afterwards; the same both ways."""

import asyncio
import logging
import shutil
from pathlib import Path

import pytest

from gpu_worker.chunks import segment_name
from gpu_worker.leftovers import produced
from gpu_worker.playlist import MediaPlaylist
from gpu_worker.preview import PREVIEW_SEGMENTS, Preview
from gpu_worker.tools import Tools
from tests.gpu_worker.clips import Clips
from tests.gpu_worker.conftest import Transcode
from tests.infra.embedded.processes import eventually

PATIENCE_S = 20.0
NAMES = ("360p", "audio-64k")


@pytest.fixture
async def film(transcode: Transcode, clips: Clips) -> Path:
    """The output of a film that is longer than its preview."""
    return (await transcode(clips["long"])).folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "so far"
    made.mkdir()
    return made


def parts(film: Path) -> list[MediaPlaylist]:
    return [produced(film, name) for name in NAMES if (film / f"{name}.m3u8").exists()]


def encoded(film: Path, folder: Path, numbers: range) -> list[str]:
    """These segments of each rendition are there now; which renditions there are."""
    names = [part.name for part in parts(film)]
    for name in names:
        for number in numbers:
            shutil.copy(film / segment_name(name, number), folder)
    return names


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "preview").iterdir())}


def hidden(folder: Path) -> list[Path]:
    return list(folder.glob(".*"))


async def test_it_is_copied_early_as_it_would_be_at_the_end(
    film: Path, folder: Path, tools: Tools
) -> None:
    early, names = Preview(tools, folder), encoded(film, folder, range(PREVIEW_SEGMENTS))
    assert names, "a film without any of the renditions shows nothing"
    async with early.early(names):
        await asyncio.sleep(0.05)  # Its first look.
        assert not (folder / "preview").exists(), "the fifth segment may be the last, and joined"
        encoded(film, folder, range(PREVIEW_SEGMENTS, PREVIEW_SEGMENTS + 1))
        assert await eventually((folder / "preview/preview.m3u8").exists, PATIENCE_S)
    made = contents(folder)
    assert made == contents(film)
    assert len(made) == PREVIEW_SEGMENTS + 1
    await early.make(parts(film))
    assert contents(folder) == made
    assert hidden(folder) == []


async def test_one_of_a_short_film_is_copied_at_the_end(
    film: Path, folder: Path, tools: Tools
) -> None:
    preview, names = Preview(tools, folder), encoded(film, folder, range(PREVIEW_SEGMENTS))
    async with preview.early(names):
        pass
    assert not (folder / "preview").exists()
    await preview.make(parts(film))
    assert contents(folder) == contents(film)


async def test_what_fails_early_is_done_again_at_the_end(
    film: Path, folder: Path, tools: Tools, caplog: pytest.LogCaptureFixture
) -> None:
    preview, names = Preview(tools, folder), encoded(film, folder, range(1, PREVIEW_SEGMENTS + 1))
    first = [folder / segment_name(name, 0) for name in names]
    for path in first:
        path.symlink_to(film / path.name)  # Leads out of the folder, and is not followed.
    with caplog.at_level(logging.WARNING):
        async with preview.early(names):
            pass
    assert "at the end" in caplog.text
    assert not (folder / "preview").exists()
    for path in first:
        path.unlink()
    encoded(film, folder, range(1))
    await preview.make(parts(film))
    assert contents(folder) == contents(film)


async def test_nothing_goes_on_when_the_encode_has_failed(
    film: Path, folder: Path, tools: Tools
) -> None:
    with pytest.raises(RuntimeError, match="the encode"):
        async with Preview(tools, folder).early(encoded(film, folder, range(1))):
            raise RuntimeError("the encode failed")
    assert not (folder / "preview").exists()


@pytest.mark.parametrize(("step", "early"), [(None, True), (1.2, False)])
async def test_it_is_early_where_it_is_known_which_rungs_stay(
    transcode: Transcode, clips: Clips, step: float | None, early: bool
) -> None:
    folder = (await transcode(clips["long"], min_rung_step=step)).folder
    copied = (folder / "preview/preview_000.ts").stat().st_mtime_ns
    assert (copied < (folder / "master.m3u8").stat().st_mtime_ns) is early
