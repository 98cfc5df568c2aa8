"""What must be refused, and with which code."""

import random

from gpu_worker.contract import WorkerErrorCode
from tests.gpu_worker.sources.source import Picture, Sound, Source

UNREADABLE = WorkerErrorCode.INPUT_UNREADABLE
UNSUPPORTED = WorkerErrorCode.INPUT_UNSUPPORTED
NOTHING_THERE = WorkerErrorCode.NO_MEDIA_STREAM
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x0a\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
KEY = "000102030405060708090a0b0c0d0e0f"


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _unknown_codec(content: bytes) -> bytes:
    return content.replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC")


def _scrambled(content: bytes, kept: float = 0.0) -> bytes:
    """Other bytes where the media data are, but for the first; the index stays."""
    start = content.index(b"mdat") + 4
    start += int((content.index(b"moov") - start) * kept)
    noise = random.Random(1).randbytes(len(content))  # noqa: S311 - reproducible
    end = content.index(b"moov") - 4
    return content[:start] + noise[start:end] + content[end:]


def _given(name: str, file: str, content: bytes, code: WorkerErrorCode) -> Source:
    return Source(name, file, None, (), content=lambda: content, outcome=code)


REFUSED = [
    Source("cut in half, index last", "clip.mp4", spoil=_half, outcome=UNREADABLE),
    Source("scrambled", "clip.mp4", spoil=_scrambled, outcome=UNREADABLE),
    Source(
        "scrambled for the most part",
        "clip.mp4",
        Picture("-c:v mpeg4 -g 1 -q:v 2", signal="bt601 untagged"),
        spoil=lambda content: _scrambled(content, kept=0.2),
        outcome=UNREADABLE,
    ),
    _given("text", "clip.mp4", b"Shopping list: eggs, milk, bread.\n" * 50, UNREADABLE),
    _given("empty", "clip.mp4", b"", UNREADABLE),
    _given("zeros", "clip.mp4", bytes(100_000), UNREADABLE),
    _given("animated GIF", "clip.gif", GIF, UNREADABLE),
    _given("playlist", "clip.m3u8", b"#EXTM3U\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n", UNREADABLE),
    Source(
        "sound as video",
        "clip.wav",
        None,
        (Sound("-c:a pcm_s16le"),),
        wanted="video",
        outcome=NOTHING_THERE,
    ),
    Source("picture as audio", "clip.mp4", sounds=(), wanted="audio", outcome=NOTHING_THERE),
    Source(
        "subtitles alone",
        "clip.srt",
        None,
        (),
        outcome=UNREADABLE,
        content=lambda: b"1\n00:00:00,000 --> 00:00:01,000\nHello\n",
    ),
    Source("unknown codec", "clip.mp4", spoil=_unknown_codec, outcome=UNSUPPORTED),
    Source(
        "encrypted",
        "clip.mp4",
        options=f"-encryption_scheme cenc-aes-ctr -encryption_key {KEY} -encryption_kid {KEY}",
        outcome=UNSUPPORTED,
    ),
    Source("too narrow", "clip.mp4", Picture(size=(640, 20)), outcome=UNSUPPORTED),
]
