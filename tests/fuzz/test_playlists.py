"""Playlists: what the player gets, and what the worker's own check makes of damaged ones."""

import asyncio
import re
import tempfile
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from api.playlists import NotAPlaylist, signed
from gpu_worker.produced import NotPlayable, load
from tests.fuzz.shapes import few

LINES = (
    "#EXTM3U",
    "#EXT-X-VERSION:6",
    "#EXT-X-TARGETDURATION:6",
    "#EXT-X-PLAYLIST-TYPE:VOD",
    "#EXT-X-INDEPENDENT-SEGMENTS",
    '#EXT-X-MAP:URI="init.mp4"',
    "#EXTINF:6.00000,",
    "#EXT-X-BYTERANGE:100@0",
    "720p_000.ts",
    "720p_001.m4s",
    "sheet-1.jpg#xywh=0,0,160,90",
    "WEBVTT",
    "00:00.000 --> 00:10.000",
    '#EXT-X-STREAM-INF:BANDWIDTH=1,AVERAGE-BANDWIDTH=1,CODECS="avc1",RESOLUTION=1x1,AUDIO="a"',
    '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="720p.m3u8"',
    '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="iframes.m3u8"',
    "720p.m3u8",
    "#EXT-X-ENDLIST",
    "",
)
damaged_lines = (
    st.sampled_from(LINES)
    | st.text(max_size=20)
    | st.builds(
        lambda line, cut, more: line[:cut] + more + line[cut:],
        st.sampled_from(LINES),
        st.integers(0, 80),
        st.text(alphabet='=,:"@/.#-0123456789\x00\u2028é', max_size=4),
    )
)
texts = st.lists(damaged_lines, max_size=12).map("\n".join)


async def _mark(name: str) -> str:
    return f"https://bucket.test/folder/{name}?signed"


@few
@given(texts.map(str.encode) | st.binary(max_size=200))
@example(b"a.ts\xe2\x80\xa8b.ts\r\nc.ts\n")
def test_a_player_gets_every_line_and_only_names_beside_the_playlist_signed(body: bytes) -> None:
    try:
        made = asyncio.run(signed(body, _mark))
    except NotAPlaylist:
        return
    before = [line.removesuffix("\r") for line in body.decode().removesuffix("\n").split("\n")]
    after = made.removesuffix("\n").split("\n")
    assert len(after) == len(before)
    for old, new in zip(before, after, strict=True):
        if new != old:
            name, _, part = old.partition("#")
            assert re.fullmatch(r"[A-Za-z0-9_-]+\.[a-z0-9]+", name)
            assert new == f"https://bucket.test/folder/{name}?signed" + (f"#{part}" if part else "")


@few
@given(texts, texts)
def test_the_workers_check_says_what_is_not_playable_and_raises_nothing_else(
    master: str, media: str
) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "preview").mkdir()
        for name, text in (("master.m3u8", master), ("720p.m3u8", media), ("iframes.m3u8", media)):
            (folder / name).write_text(f"#EXTM3U\n{text}", "utf-8")
        (folder / "preview/preview.m3u8").write_text(f"#EXTM3U\n{media}", "utf-8")
        (folder / "720p_000.ts").write_bytes(b"no transport stream")
        try:
            load(folder)
        except NotPlayable as reason:
            assert made not in str(reason)
