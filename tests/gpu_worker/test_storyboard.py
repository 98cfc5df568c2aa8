"""The storyboard: how many pictures, where each lies, and that it is the right one."""

from fractions import Fraction
from pathlib import Path

import pytest

from gpu_worker import storyboard
from gpu_worker.contract import EXTRAS_NAME
from gpu_worker.contract_extras import Extras
from gpu_worker.extras import ExtrasMade
from gpu_worker.ladder import Size
from gpu_worker.storyboard import Storyboard
from gpu_worker.tools import Tools
from tests.gpu_worker import hls

WIDE = Size(1920, 1080)


@pytest.mark.parametrize(
    ("seconds", "interval", "columns", "rows"),
    [(0.2, 2, 1, 1), (14, 2, 7, 1), (47, 2, 10, 3), (800, 2, 10, 10), (7200, 18, 10, 10)],
)
def test_pictures_are_few_however_long_the_film(
    seconds: float, interval: int, columns: int, rows: int
) -> None:
    board = storyboard.plan(WIDE, seconds)
    assert board == Storyboard(interval, columns, rows, Size(160, 90))
    assert storyboard.facts(board, seconds, Fraction(25)).tiles <= storyboard.MOST_TILES


@pytest.mark.parametrize(
    ("canvas", "tile"),
    [
        (Size(1080, 1920), Size(90, 160)),
        (Size(1440, 1080), Size(160, 120)),
        (Size(48, 36), Size(48, 36)),
        (Size(3840, 240), Size(160, 10)),
    ],
)
def test_a_tile_has_the_shape_of_the_picture_and_is_never_larger(canvas: Size, tile: Size) -> None:
    assert storyboard.plan(canvas, 60).tile == tile


def test_a_file_that_is_cut_off_has_as_many_tiles_as_pictures_were_due() -> None:
    board = storyboard.plan(WIDE, 500)
    tiles = [storyboard.facts(board, s, Fraction(25)).tiles for s in (0.04, 2.0, 2.04, 4.03, 4.04)]
    assert tiles == [1, 1, 2, 2, 3]
    assert storyboard.facts(board, 201, Fraction(25)).sheets == (
        "storyboard_000.jpg",
        "storyboard_001.jpg",
    )


def test_cues_go_across_then_down_then_to_the_next_sheet() -> None:
    told = storyboard.facts(Storyboard(1800, 2, 2, Size(160, 90)), 7300.5, Fraction(25))
    assert storyboard.cues(told, 7300.5) == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:30:00.000\nstoryboard_000.jpg#xywh=0,0,160,90\n\n"
        "00:30:00.000 --> 01:00:00.000\nstoryboard_000.jpg#xywh=160,0,160,90\n\n"
        "01:00:00.000 --> 01:30:00.000\nstoryboard_000.jpg#xywh=0,90,160,90\n\n"
        "01:30:00.000 --> 02:00:00.000\nstoryboard_000.jpg#xywh=160,90,160,90\n\n"
        "02:00:00.000 --> 02:01:40.500\nstoryboard_001.jpg#xywh=0,0,160,90\n"
    )


def test_each_tile_is_the_picture_of_its_cue(good: Path, tools: Tools) -> None:
    extras = Extras.model_validate_json((good / EXTRAS_NAME).read_bytes())
    told = extras.storyboard
    assert told is not None
    assert (told.tiles, told.tile_width, told.tile_height, extras.notes) == (7, 160, 90, ())
    lines = (good / "storyboard.vtt").read_text().splitlines()
    assert lines[-2] == "00:00:12.000 --> 00:00:14.000"
    sheet = hls.picture(tools, ["-i", str(good / "storyboard_000.jpg")], 1120, 90)
    for number in range(7):
        segment, place = divmod(number * 2, 6)
        at = ["-ss", str(place), "-i", str(good / f"480p_{segment:03}.ts")]
        tile = sheet[:, number * 160 : (number + 1) * 160]
        assert hls.psnr_db(tile, hls.picture(tools, at, 160, 90)) > 27


def test_sheets_that_are_missing_are_told_in_a_note(tmp_path: Path) -> None:
    made = ExtrasMade(tmp_path)
    board = storyboard.plan(WIDE, 14)
    assert made.attempt("storyboard", lambda: made.storyboard(board, 14.0, Fraction(25))) is None
    written = made.write(Extras())
    assert written.notes == ("storyboard: 1 sheets were due, and there are 0",)
    assert Extras.model_validate_json((tmp_path / EXTRAS_NAME).read_bytes()) == written
    assert not (tmp_path / "storyboard.vtt").exists()
