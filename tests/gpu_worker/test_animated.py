"""The animated preview: what is in the file, read chunk by chunk."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu_worker import animated
from gpu_worker.contract import EXTRAS_NAME
from gpu_worker.contract_extras import AnimatedFacts, Extras
from gpu_worker.extras import ExtrasMade
from gpu_worker.ladder import Size
from gpu_worker.tools import Tools
from tests.gpu_worker import hls


def chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the chunks of a RIFF list."""
    at = 0
    while at < len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        yield name, content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def still(frame: bytes) -> bytes:
    """An ANMF chunk's picture as a WebP of its own."""
    picture = frame[16:]
    return b"RIFF" + struct.pack("<I", 4 + len(picture)) + b"WEBP" + picture


def test_moments_of_the_film_each_for_half_a_second(
    good: Path, tools: Tools, tmp_path: Path
) -> None:
    content = (good / "animated.webp").read_bytes()
    told = Extras.model_validate_json((good / EXTRAS_NAME).read_bytes()).animated
    assert told is not None
    assert (told.bytes, told.width, told.height) == (len(content), 320, 180)
    assert len(content) < 200_000
    assert content[:4] + content[8:12] == b"RIFFWEBP"
    found = list(chunks(content[12:]))
    frames = [body for name, body in found if name == b"ANMF"]
    assert len(frames) == 12
    assert [int.from_bytes(frame[12:15], "little") for frame in frames] == [500] * 12
    (forever,) = (body[4:6] for name, body in found if name == b"ANIM")
    assert forever == b"\x00\x00"
    whole = frames[0][6:9] + frames[0][9:12]
    assert whole == (319).to_bytes(3, "little") + (179).to_bytes(3, "little")
    (tmp_path / "first.webp").write_bytes(still(frames[0]))
    # After the input: decoded from the beginning, since seeking in a transport stream is rough.
    at = ["-i", str(good / "480p_000.ts"), "-ss", "0.59"]
    first = hls.picture(tools, ["-i", str(tmp_path / "first.webp")], 320, 180)
    assert hls.psnr_db(first, hls.picture(tools, at, 320, 180)) > 26


@pytest.mark.parametrize("size", [0, animated.MOST_BYTES + 1])
def test_one_that_is_no_good_is_removed_and_told(tmp_path: Path, size: int) -> None:
    (tmp_path / "animated.webp").write_bytes(bytes(size))
    made = ExtrasMade(tmp_path)
    assert made.attempt("animated preview", lambda: made.animated(Size(1920, 1080))) is None
    assert made.notes == [f"animated preview: it has {size} bytes"]
    assert list(tmp_path.iterdir()) == []


def test_its_shape_is_that_of_the_picture() -> None:
    assert animated.facts(9, Size(608, 1080)) == AnimatedFacts(bytes=9, width=180, height=320)
