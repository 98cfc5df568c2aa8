"""Segments that are in the bucket before their output is whole."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gpu_worker import manifest
from gpu_worker.bucket import unavailable
from gpu_worker.early import EarlyUpload, Finished, finished_segments
from gpu_worker.objects import describe
from tests.gpu_worker.claims import identity_of
from tests.gpu_worker.clips import Clips
from tests.gpu_worker.conftest import Transcode
from tests.gpu_worker.outputs import KEYS, LAYOUT, MEDIA_ID, Output, Room, open_room, output_of

PATIENCE_S = 30.0
MASTER, SEGMENT = KEYS


@pytest.fixture
async def room(s3_endpoint: str, bucket: str) -> AsyncIterator[Room]:
    async with open_room(s3_endpoint, bucket) as opened:
        yield opened


def puts_of(room: Room) -> list[str]:
    """The keys of all PUTs from now on."""
    keys: list[str] = []

    def note(params: dict[str, str], **_: object) -> None:
        keys.append(params["Key"])

    room.client.meta.events.register("provide-client-params.s3.PutObject", note)
    return keys


async def at_once() -> None:
    """Nobody has to be waited for."""


async def one_segment(output: Output) -> AsyncIterator[Finished]:
    yield Finished(SEGMENT, (output.tree / SEGMENT).read_bytes)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.01)


async def test_what_was_uploaded_early_is_not_uploaded_again(room: Room, tmp_path: Path) -> None:
    made, uploader, puts = output_of(tmp_path, "job-1"), room.uploader(), puts_of(room)
    async with EarlyUpload(uploader, 1, at_once, one_segment(made)):
        await until(lambda: SEGMENT in uploader.sent)
        assert set(room.contents()) == {SEGMENT}
    await uploader.publish(made.tree, made.manifest, lambda _share: None)
    assert puts == [SEGMENT, MASTER, LAYOUT.manifest]
    assert room.contents() == {
        **{key: (made.tree / key).read_bytes() for key in KEYS},
        LAYOUT.manifest: made.body,
    }


async def test_a_segment_that_changed_since_is_uploaded_again(room: Room, tmp_path: Path) -> None:
    made, uploader = output_of(tmp_path, "job-1"), room.uploader()
    body = (made.tree / SEGMENT).read_bytes()
    (made.tree / SEGMENT).write_bytes(b"half of it")
    async with EarlyUpload(uploader, 1, at_once, one_segment(made)):
        await until(lambda: SEGMENT in uploader.sent)
    (made.tree / SEGMENT).write_bytes(body)
    await uploader.publish(made.tree, made.manifest, lambda _share: None)
    assert room.read(SEGMENT) == body


async def test_manifest_reads_again_what_grew_since_it_was_uploaded(
    transcode: Transcode, clips: Clips, tmp_path: Path
) -> None:
    package = await transcode(clips["wav"], "audio")
    identity, tree = identity_of(MEDIA_ID, "job-1"), tmp_path / "tree"
    package.folder.rename(manifest.make_room(tree, identity.layout))
    whole = {item.key: item for item in manifest.build(tree, package, identity, 1.0).objects}
    known = {key: describe(key, b"half of it") for key in whole}
    built = manifest.build(tree, package, identity, 1.0, known)
    assert {item.key: item for item in built.objects} == whole


async def test_what_the_bucket_refused_is_left_for_the_end(room: Room, tmp_path: Path) -> None:
    refusals = [unavailable(TimeoutError("the bucket sleeps"))]

    def check() -> None:
        if refusals:
            raise refusals.pop()

    made, uploader = output_of(tmp_path, "job-1"), room.uploader(check)
    async with EarlyUpload(uploader, 1, at_once, one_segment(made)):
        await until(lambda: not refusals)
    assert room.contents() == {}
    assert await uploader.publish(made.tree, made.manifest, lambda _share: None) == made.published


@pytest.mark.parametrize("attempt", [1, 2])
async def test_nothing_is_uploaded_early_over_a_finished_output(
    room: Room, tmp_path: Path, attempt: int
) -> None:
    first, second = output_of(tmp_path, "job-1", attempt), output_of(tmp_path, "job-2")
    await room.uploader().publish(first.tree, first.manifest, lambda _share: None)
    before = room.contents()
    async with EarlyUpload(room.uploader(), 1, at_once, one_segment(second)):
        pass
    assert room.contents() == before


async def test_nothing_is_uploaded_while_an_older_run_may_still_write(
    room: Room, tmp_path: Path
) -> None:
    made, gone, asked = output_of(tmp_path, "job-1"), asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        asked.set()
        await gone.wait()

    early = EarlyUpload(room.uploader(), 1, wait, one_segment(made))
    async with early:
        await asked.wait()
        assert room.contents() == {}
        gone.set()
    assert set(room.contents()) == {SEGMENT}


async def test_an_encode_that_fails_cancels_what_is_under_way(room: Room, tmp_path: Path) -> None:
    made = output_of(tmp_path, "job-1")

    async def for_ever() -> None:
        await asyncio.Event().wait()

    async def fail() -> None:
        async with EarlyUpload(room.uploader(), 1, for_ever, one_segment(made)):
            raise RuntimeError("the encode failed")

    with pytest.raises(RuntimeError, match="the encode"):
        await asyncio.wait_for(fail(), PATIENCE_S)
    assert room.contents() == {}


async def test_a_mistake_of_ours_ends_the_job_instead_of_being_left_for_the_end(room: Room) -> None:
    async def of_no_known_kind() -> AsyncIterator[Finished]:
        yield Finished(f"{LAYOUT.prefix}720p_000.what", lambda: b"body")

    async def work() -> None:
        async with EarlyUpload(room.uploader(), 1, at_once, of_no_known_kind()):
            pass

    with pytest.raises(ExceptionGroup):
        await asyncio.wait_for(work(), PATIENCE_S)


async def test_segments_are_told_once_each_and_to_the_last(tmp_path: Path) -> None:
    folder, encoded = tmp_path / "p", asyncio.Event()
    told = finished_segments(tmp_path, "p/", encoded)
    first = asyncio.ensure_future(anext(told))
    await asyncio.sleep(0)
    folder.mkdir()
    (folder / "720p_001.ts.tmp").write_bytes(b"half")
    (folder / ".720p.ts").write_bytes(b"what the preview is made of")
    (folder / "720p_000.ts").write_bytes(b"whole")
    assert (await first).key == "p/720p_000.ts"
    assert (await first).read() == b"whole"
    (folder / "720p_001.ts.tmp").rename(folder / "720p_001.ts")
    (folder / "preview").mkdir()
    (folder / "preview/preview_000.ts").write_bytes(b"copied")
    encoded.set()
    assert [found.key async for found in told] == ["p/720p_001.ts", "p/preview/preview_000.ts"]


async def test_no_link_is_followed_out_of_the_folder(room: Room, tmp_path: Path) -> None:
    secret, folder, encoded = tmp_path / "secret.ts", tmp_path / LAYOUT.prefix, asyncio.Event()
    secret.write_bytes(b"of somebody else")
    folder.mkdir(parents=True)
    (folder / "preview").symlink_to(tmp_path)
    (folder / "720p_000.ts").symlink_to(secret)
    os.mkfifo(folder / "720p_001.ts")
    (folder / "720p_002.ts").write_bytes(b"ours")
    encoded.set()
    segments = finished_segments(tmp_path, LAYOUT.prefix, encoded)
    async with asyncio.timeout(PATIENCE_S), EarlyUpload(room.uploader(), 1, at_once, segments):
        pass
    assert room.contents() == {f"{LAYOUT.prefix}720p_002.ts": b"ours"}


async def test_ffmpeg_changes_no_segment_that_has_its_name(
    transcode: Transcode, clips: Clips, tmp_path: Path
) -> None:
    seen, encoded = dict[Path, bytes](), threading.Event()

    def look() -> None:
        while not encoded.wait(0.002):
            for path in tmp_path.glob("*/[!.]*.ts"):
                if path not in seen:
                    seen[path] = path.read_bytes()

    looking = asyncio.create_task(asyncio.to_thread(look))
    try:
        await transcode(clips["ladder"])
    finally:
        encoded.set()
        await looking
    assert len(seen) >= 8
    assert {path.name: describe(path.name, path.read_bytes()) for path in seen} == {
        path.name: describe(path.name, body) for path, body in seen.items()
    }
