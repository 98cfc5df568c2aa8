"""The ladder as a table of sources and what they get."""

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gpu_worker import ladder
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.ladder import Size

WIDE = [("480p", 854, 480), ("360p", 640, 360)]


def planned(width: int, height: int, *, force_full: bool = False) -> list[tuple[str, int, int]]:
    rungs = ladder.plan(Size(width, height), force_full=force_full)
    return [(p.rung.name, p.size.width, p.size.height) for p in rungs]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ((3840, 2160), [("1080p", 1920, 1080), ("720p", 1280, 720), *WIDE]),
        ((1280, 720), [("720p", 1280, 720), *WIDE]),
        ((1920, 800), [("720p", 1728, 720), ("480p", 1152, 480), ("360p", 864, 360)]),
        ((480, 480), [("480p", 480, 480), ("360p", 360, 360)]),
        ((176, 144), [("360p", 176, 144)]),
    ],
)  # fmt: skip
def test_rungs_of_a_source(source: tuple[int, int], expected: list[tuple[str, int, int]]) -> None:
    assert planned(*source) == expected


def test_a_portrait_source_gets_the_same_rungs_turned() -> None:
    turned = [(name, height, width) for name, width, height in planned(1920, 1080)]
    assert planned(1080, 1920) == turned


def test_forced_ladder_enlarges() -> None:
    assert planned(320, 180, force_full=True)[0] == ("1080p", 1920, 1080)


@given(width=st.integers(16, 8192), height=st.integers(16, 8192))
def test_sizes_are_even_keep_the_ratio_and_never_exceed_the_source(width: int, height: int) -> None:
    assume(max(width, height) <= 16 * min(width, height))  # the canvas refuses others
    for _, wide, high in planned(width, height):
        assert wide % 2 == high % 2 == 0
        assert wide <= width
        assert high <= height
        assert max(wide, high) <= ladder.MAX_LONG_SIDE
        assert abs(wide * height / (high * width) - 1) <= 2 / wide + 2 / high


@pytest.mark.parametrize("size", [Size(16384, 16), Size(2, 2)])
def test_a_picture_no_encoder_takes_is_unsupported(size: Size) -> None:
    with pytest.raises(JobFailed) as failure:
        ladder.canvas(size)
    assert failure.value.code is WorkerErrorCode.INPUT_UNSUPPORTED


@pytest.mark.parametrize(
    ("average", "nominal", "expected"),
    [
        ("25", "25", "25"),
        ("30000/1001", "60000/1001", "30000/1001"),  # interlaced: the nominal rate counts fields
        ("120", "120", "60"),
        ("240000/1001", "240000/1001", "60000/1001"),
        ("2980/100", "30", "30"),  # a phone's variable rate
        ("11", "90000", "24000/1001"),
        ("10", "10", "10"),
        ("1/10", "1/10", "1"),
        ("0", "0", "25"),
    ],
)
def test_output_rate(average: str, nominal: str, expected: str) -> None:
    assert ladder.output_rate(Fraction(average), Fraction(nominal)) == Fraction(expected)


@pytest.mark.parametrize(("source", "name"), [((1920, 1080), "720p"), ((854, 480), "480p")])
def test_preview_comes_from_720p_or_the_highest_below(source: tuple[int, int], name: str) -> None:
    assert ladder.preview_rung(ladder.plan(Size(*source))).rung.name == name
