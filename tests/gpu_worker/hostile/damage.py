"""Files whose numbers are wrong: lengths, rates, sizes, counts."""

import gzip
import math
import random
import struct
import zlib
from collections.abc import Iterator

from tests.gpu_worker.hostile import boxes
from tests.gpu_worker.hostile.boxes import box, full, patched, sized, u16, u32
from tests.gpu_worker.hostile.files import Hostile

MOST = 2**32 - 1


def damaged(good: dict[str, bytes]) -> Iterator[Hostile]:
    """All of them, in groups."""
    yield from (Hostile("no media", name, content) for name, content in _no_media().items())
    for container in ("mp4", "mkv", "ts", "avi"):
        film = good[container]
        for percent in (1, 20, 50, 80, 99):
            cut = film[: len(film) * percent // 100]
            yield Hostile("cut off", f"{container}-{percent}%", cut)
    yield from (Hostile("boxes", name, film) for name, film in _boxes(good["mp4"]).items())
    yield from (Hostile("matroska", name, film) for name, film in _matroska(good["mkv"]).items())
    yield from (Hostile("avi", name, film) for name, film in _avi(good["avi"]).items())
    for name, sound in _sound(good).items():
        yield Hostile("sound", name, sound, "audio")
    yield from (Hostile("pictures", name, film) for name, film in _pictures(good).items())


def _noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311 - the same each time


def _no_media() -> dict[str, bytes]:
    noise = _noise(100_000)
    return {
        "empty": b"",
        "one-byte": b"\0",
        "zeros": bytes(500_000),
        "noise": noise,
        "noise-after-ftyp": box("ftyp", b"isom", u32(512), b"isom") + noise,
        "text": b"Shopping list: eggs, milk, bread.\n" * 50,
        "html": b"<!DOCTYPE html><video src='file:///etc/passwd'></video>",
        "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n%%EOF",
        "elf": b"\x7fELF\x02\x01\x01" + bytes(200),
        "gzip-bomb": gzip.compress(bytes(50_000_000)),
        "zip": b"PK\x03\x04" + bytes(100),
    }


def _boxes(film: bytes) -> dict[str, bytes]:
    nested = b""
    for _ in range(3000):
        nested = box("moov", nested)
    head = film[: film.index(b"moov") - 4]
    return {
        "size-most": sized(film, "moov", MOST),
        "size-0": sized(film, "trak", 0),
        "size-7": sized(film, "mdia", 7),
        "size-64-bit": sized(film, "mdat", 1),
        "nested": head + nested,
        "samples-most": patched(film, "stsz", boxes.FIRST_COUNT, u32(1, MOST)),
        "samples-3-million": patched(film, "stsz", boxes.FIRST_COUNT, u32(1, 3_000_000)),
        "frames-3-million": patched(film, "stts", boxes.FIRST_ENTRY, u32(3_000_000, 1)),
        "chunks-most": patched(film, "stco", boxes.FIRST_COUNT, u32(MOST)),
        "chunks-elsewhere": patched(film, "stco", boxes.FIRST_ENTRY, u32(MOST)),
        "times-most": patched(film, "stts", boxes.FIRST_COUNT, u32(MOST)),
        "no-time-passes": patched(film, "stts", boxes.FIRST_ENTRY, u32(15, 0)),
        "time-leaps": patched(film, "stts", boxes.FIRST_ENTRY, u32(15, 2**31 - 1)),
        "timescale-0": patched(film, "mdhd", boxes.MVHD_TIMESCALE, u32(0)),
        "timescale-1": patched(film, "mdhd", boxes.MVHD_TIMESCALE, u32(1)),
        "timescale-most": patched(film, "mdhd", boxes.MVHD_TIMESCALE, u32(MOST)),
        "duration-negative": patched(film, "mdhd", boxes.MVHD_DURATION, u32(2**31 + 5)),
        "duration-0": patched(
            patched(film, "mvhd", boxes.MVHD_DURATION, u32(0)), "mdhd", boxes.MVHD_DURATION, u32(0)
        ),
        "edit-negative": patched(film, "elst", boxes.FIRST_ENTRY, u32(MOST, 2**31 + 1)),
        "edit-far": patched(film, "elst", boxes.FIRST_ENTRY, u32(2**31 - 1, 2**31 - 2)),
        "matrix-wild": patched(film, "tkhd", boxes.TKHD_MATRIX, u32(*[0x7FFFFFFF] * 9)),
        "matrix-zero": patched(film, "tkhd", boxes.TKHD_MATRIX, bytes(36)),
        "codec-unknown": film.replace(b"avc1", b"evil"),
        "streams-1000": head + box("moov", *[_track(film)] * 1000),
        "tags-deep": film[:-1] + box("udta", full("meta", nested[:80_000])),
    }


def _track(film: bytes) -> bytes:
    at = film.index(b"trak") - 4
    return film[at : at + int.from_bytes(film[at : at + 4], "big")]


def _matroska(film: bytes) -> dict[str, bytes]:
    duration = film.index(b"\x44\x89\x88") + 3
    made = {
        f"duration-{name}": film[:duration] + struct.pack(">d", value) + film[duration + 8 :]
        for name, value in (
            ("infinite", math.inf), ("nan", math.nan), ("negative", -1e9), ("vast", 1e300),
        )
    }  # fmt: skip
    scale = film.index(b"\x2a\xd7\xb1\x83") + 4
    made["timescale-0"] = film[:scale] + bytes(3) + film[scale + 3 :]
    made["timescale-most"] = film[:scale] + b"\xff" * 3 + film[scale + 3 :]
    cluster = film.index(b"\x1f\x43\xb6\x75")
    made["unknown-sizes"] = film[: cluster + 4] + b"\x01" + b"\xff" * 7 + film[cluster + 12 :]
    made["nested"] = film[:cluster] + b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff" * 5000
    made["gap"] = film[:cluster] + film[cluster:].replace(b"\xe7\x81\x00", b"\xe7\x81\x7f")
    return made


def _avi(film: bytes) -> dict[str, bytes]:
    header = film.index(b"strh") + 8
    return {
        "rate-0": film[: header + 20] + bytes(8) + film[header + 28 :],
        "rate-most": film[: header + 20] + struct.pack("<2I", 1, MOST) + film[header + 28 :],
        "rate-least": film[: header + 20] + struct.pack("<2I", MOST, 1) + film[header + 28 :],
        "length-most": film[: header + 32] + struct.pack("<I", MOST) + film[header + 36 :],
        "index-wild": film[: film.index(b"idx1") + 8] + b"\xff" * 4000,
        "side-0": film.replace(struct.pack("<2I", 64, 48), struct.pack("<2I", 0, 0)),
        "side-most": film.replace(struct.pack("<2I", 64, 48), struct.pack("<2i", 2**31 - 1, -1)),
        "side-16384x16": film.replace(struct.pack("<2I", 64, 48), struct.pack("<2I", 16384, 16)),
    }


def wav(*, channels: int = 1, rate: int = 22050, bits: int = 16, said: int = 4000) -> bytes:
    """A RIFF wave whose header says this, and 4000 bytes of sound."""
    layout = struct.pack(
        "<HHIIHH", 1, channels, rate, min(MOST, rate * channels * 2), channels * 2 & 65535, bits
    )
    return (
        b"RIFF" + struct.pack("<I", said) + b"WAVEfmt " + struct.pack("<I", 16) + layout
        + b"data" + struct.pack("<I", said) + bytes(range(250)) * 16
    )  # fmt: skip


def _sound(good: dict[str, bytes]) -> dict[str, bytes]:
    mp3 = good["mp3"]
    return {
        "wav-said-0": wav(said=0),
        "wav-said-most": wav(said=MOST),
        "wav-65535-channels": wav(channels=65535),
        "wav-64-channels": wav(channels=64),
        "wav-0-channels": wav(channels=0),
        "wav-rate-most": wav(rate=2**31 - 1),
        "wav-rate-1": wav(rate=1),
        "wav-rate-0": wav(rate=0),
        "wav-65535-bits": wav(bits=65535),
        "id3-claims-256-mb": b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + mp3,
        "id3-many": (b"ID3\x04\0\0\0\0\x01\0" + b"TIT2\0\0\0\x7f\0\0\x03" + b"x" * 117) * 500 + mp3,
        "id3-picture": _id3_picture(_png(12000, 12000)) + mp3,
        "ogg-pages": good["ogg"][:58] + b"OggS\0\0" + b"\xff" * 8 + good["ogg"][72:],
        "flac-claims": good["flac"][:4] + b"\x00\xff\xff\xff" + good["flac"][8:],
        "m4a-size-most": sized(good["m4a"], "mdat", MOST),
    }


def _id3_picture(picture: bytes) -> bytes:
    frame = b"\0image/png\0\x03\0" + picture
    body = b"APIC" + u32(len(frame)) + u16(0) + frame
    size = bytes((len(body) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + body


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return u32(len(content)) + kind + content + u32(zlib.crc32(kind + content))

    rows = zlib.compressobj(9)
    line = bytes(width // 8 + 1)
    packed = b"".join(rows.compress(line) for _ in range(height)) + rows.flush()
    head = u32(width, height) + b"\x01\0\0\0\0"
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


def _pictures(good: dict[str, bytes]) -> dict[str, bytes]:
    film = good["mov"]
    jpeg = film.index(b"\xff\xc0\x00\x11\x08") + 5

    def side(width: int, height: int) -> bytes:
        """Motion JPEG, whose every picture says its own size: in the first, and in the header."""
        edited = film[:jpeg] + u16(height, width) + film[jpeg + 4 :]
        return patched(edited, "jpeg", boxes.SAMPLE_ENTRY_SIZE, u16(width, height))

    return {
        "png-16000": _png(16000, 16000),
        "gif": b"GIF89a" + struct.pack("<2H", 65535, 65535) + bytes(20) + b"\x3b",
        "side-0": side(0, 0),
        "side-16384x16": side(16384, 16),
        "side-65500": side(65500, 65500),
        "side-8192x4": side(8192, 4),
        "side-1x1": side(1, 1),
        "side-changes": film[:jpeg] + u16(4000, 4000) + film[jpeg + 4 :],
        "annex-b-noise": b"\0\0\0\x01\x67" + _noise(3000),
        "hevc-noise": b"\0\0\0\x01\x40\x01" + _noise(4000),
    }
