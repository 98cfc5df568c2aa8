"""The storyboard: small pictures at even distances, tiled on sheets, and WebVTT that finds them.

Pure: the plan, the filters, the text. Sources: WebVTT, 4 (cues); Media Fragments URI 1.0, 4.2.2
(`#xywh=`).
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from gpu_worker.contract_extras import StoryboardFacts
from gpu_worker.ladder import Size, within

LONG_SIDE = 160
SHORTEST_INTERVAL_SECONDS = 2
MOST_TILES = 400
"""Up to 13 minutes a picture comes every two seconds, in a film of two hours every 18."""
MOST_ACROSS = 10
SHEETS = "storyboard_%03d.jpg"
CUES = "storyboard.vtt"


@dataclass(frozen=True)
class Storyboard:
    """A picture every so many seconds, `columns` times `rows` of them on a sheet."""

    interval_seconds: int
    columns: int
    rows: int
    tile: Size

    @property
    def a_sheet(self) -> int:
        """Tiles on one sheet."""
        return self.columns * self.rows


def plan(canvas: Size, length_seconds: float) -> Storyboard:
    """The storyboard of a picture of so many seconds; a short one is a small sheet."""
    interval = max(SHORTEST_INTERVAL_SECONDS, math.ceil(length_seconds / MOST_TILES))
    tiles = max(1, math.ceil(length_seconds / interval))
    columns = min(MOST_ACROSS, tiles)
    rows = min(MOST_ACROSS, -(-tiles // columns))
    return Storyboard(interval, columns, rows, within(canvas, LONG_SIDE))


def chosen(board: Storyboard, length_seconds: str) -> str:
    """The filter that lets the pictures of a rendition through that are wanted: few are scaled."""
    return f"select=gte(t\\,selected_n*{board.interval_seconds})*lt(t\\,{length_seconds})"


def tiled(board: Storyboard, jpeg: str) -> str:
    """From those pictures to sheets."""
    size = f"{board.tile.width}:{board.tile.height}"
    return f"scale={size}:flags=area,setsar=1,{jpeg},tile={board.columns}x{board.rows}"


def output() -> list[str]:
    """The sheets as ffmpeg writes them. At a constant rate, the muxer's own, it would repeat one
    until the next is full."""
    return ["-fps_mode", "passthrough", "-c:v", "mjpeg", "-q:v", "4", "-f", "image2",
            "-start_number", "0", SHEETS]  # fmt: skip


def facts(board: Storyboard, seconds: float, frame_rate: Fraction) -> StoryboardFacts:
    """What there is of it when the renditions have `seconds`, fewer than planned perhaps."""
    last_picture = seconds - float(1 / frame_rate)
    # A thousandth: EXTINF is rounded.
    tiles = 1 + max(0, math.floor((last_picture + 0.001) / board.interval_seconds))
    return StoryboardFacts(
        interval_seconds=board.interval_seconds,
        tiles=tiles,
        columns=board.columns,
        rows=board.rows,
        tile_width=board.tile.width,
        tile_height=board.tile.height,
        sheets=tuple(SHEETS % number for number in range(-(-tiles // board.a_sheet))),
    )


def cues(told: StoryboardFacts, seconds: float) -> str:
    """WebVTT: each cue's text is the place of its picture on a sheet, relative to the file."""
    blocks = ["WEBVTT"]
    for number in range(told.tiles):
        sheet, place = divmod(number, told.columns * told.rows)
        down, across = divmod(place, told.columns)
        begin = number * told.interval_seconds
        end = seconds if number == told.tiles - 1 else begin + told.interval_seconds
        x, y = across * told.tile_width, down * told.tile_height
        blocks.append(
            f"{_timestamp(begin)} --> {_timestamp(end)}\n"
            f"{told.sheets[sheet]}#xywh={x},{y},{told.tile_width},{told.tile_height}"
        )
    return "\n\n".join(blocks) + "\n"


def _timestamp(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, thousandths = divmod(milliseconds, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}.{thousandths:03}"
