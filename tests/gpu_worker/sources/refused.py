"""What must be refused, and with which code."""

import random
import struct

from gpu_worker.contract import WorkerErrorCode
from tests.gpu_worker.sources.pictures import X265
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


def _dolby_vision(content: bytes) -> bytes:
    """With the configuration box of Dolby Vision profile 5 ("Dolby Vision Streams Within the ISO
    Base Media File Format", section 3.1), in all boxes around it. The index lies last.
    """
    # Version 1.0, profile 5, level 1, with RPU and base layer, which is compatible with nothing.
    record = struct.pack(">BBH20x", 1, 0, 5 << 9 | 1 << 3 | 0b101)
    box = struct.pack(">I4s", 8 + len(record), b"dvcC") + record
    at = content.index(b"hvcC") - 4
    end = at + int.from_bytes(content[at : at + 4])
    made = bytearray(content[:end] + box + content[end:])
    for name in (b"hvc1", b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        outer = content.rindex(name, 0, at) - 4
        size = int.from_bytes(content[outer : outer + 4]) + len(box)
        made[outer : outer + 4] = size.to_bytes(4)
    return bytes(made)


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
    Source(
        "Dolby Vision, profile 5",
        "clip.mp4",
        Picture(X265, pixels="yuv420p10le", signal="pq"),
        spoil=_dolby_vision,
        outcome=UNSUPPORTED,
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
