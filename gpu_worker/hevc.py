"""The rungs in HEVC, as they are beside those in H.264."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gpu_worker import fragmented
from gpu_worker.conformance import NOT_PLAYABLE
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.fragments import move, read_fragment, read_initialisation
from gpu_worker.ladder import PlannedRung
from gpu_worker.playlist import MediaPlaylist, read_media_playlist
from gpu_worker.transport import CLOCK_HZ, later_by, read_segment


def finish(
    folder: Path, rungs: Sequence[PlannedRung], beside: MediaPlaylist
) -> list[tuple[MediaPlaylist, str]]:
    """Each rung's rendition, with the codecs parameter, shown when the one `beside` it is.

    ffmpeg counts the time of fragments from the first one; what matches must be stamped alike
    (RFC 8216, 6.2.4), and sound is in transport streams. Raises `output_invalid` where ffmpeg has
    not made what it was told to.
    """
    try:
        return _finished(folder, rungs, beside)
    except (OSError, ValueError) as error:
        raise JobFailed(WorkerErrorCode.OUTPUT_INVALID, NOT_PLAYABLE, str(error)) from error


def _finished(
    folder: Path, rungs: Sequence[PlannedRung], beside: MediaPlaylist
) -> list[tuple[MediaPlaylist, str]]:
    shown = int(read_segment(folder / beside.segments[0].uri).presented.min())
    made = list[tuple[MediaPlaylist, str]]()
    for planned in rungs:
        playlist = replace(
            read_media_playlist(folder / f"{fragmented.name(planned)}.m3u8"),
            initialisation=fragmented.initialisation(planned),
        )
        head = read_initialisation(folder / str(playlist.initialisation))
        first = read_fragment(folder / playlist.segments[0].uri, head)
        late = later_by(shown, int(first.presented.min()))
        for segment in playlist.segments:
            move(folder / segment.uri, round(late * head.clock_hz / CLOCK_HZ))
        made.append((playlist, head.hevc.codecs))
    return made
