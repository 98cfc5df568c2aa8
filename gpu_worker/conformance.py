"""Checks what was produced against the HLS rules players rely on, before anybody plays it.

Numbers in brackets: Apple, "HLS Authoring Specification for Apple Devices".
"""

from collections.abc import Sequence
from pathlib import Path

from gpu_worker.codecs import Avc, begins_with_idr
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.playlist import MediaPlaylist

PROFILE_HIGH = 100
MAX_LEVEL = 52
LARGEST_DRIFT_SECONDS = 0.25
"""How far sound and picture may differ in length: AAC frames do not fit video frames."""


def check_video(
    folder: Path,
    videos: Sequence[MediaPlaylist],
    audios: Sequence[MediaPlaylist],
    avcs: Sequence[Avc],
) -> None:
    """Raise `output_invalid` for the first rule that video renditions break.

    Equal boundaries [8.22], equal lengths [8.3], an IDR first [7.4], High to level 5.2 [1.4].
    """
    for video in videos:
        if _boundaries(video) != _boundaries(videos[0]):
            _refuse(f"the segments of {video.name} end elsewhere than those of {videos[0].name}")
        for segment in video.segments:
            if not begins_with_idr((folder / segment.uri).read_bytes()):
                _refuse(f"{segment.uri} does not begin with an IDR picture")
    for audio in audios:
        if abs(audio.seconds - videos[0].seconds) > LARGEST_DRIFT_SECONDS:
            _refuse(
                f"{audio.name} lasts {audio.seconds:.2f} s, the picture {videos[0].seconds:.2f}"
            )
    for avc in avcs:
        if avc.profile != PROFILE_HIGH or avc.level > MAX_LEVEL:
            _refuse(f"a rendition is {avc.codecs}, not H.264 High of level 5.2 or below")


def _boundaries(playlist: MediaPlaylist) -> list[int]:
    """The length of each segment in milliseconds."""
    return [round(segment.seconds * 1000) for segment in playlist.segments]


def _refuse(what: str) -> None:
    raise JobFailed(
        WorkerErrorCode.OUTPUT_INVALID,
        "The converted video did not pass our playback checks; a retry may help.",
        what,
    )
