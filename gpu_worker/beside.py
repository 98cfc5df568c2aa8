"""The rungs in another codec, HEVC or AV1, as they are beside those in H.264."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gpu_worker import fragmented
from gpu_worker.conformance import NOT_PLAYABLE
from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.fragmented import Codec
from gpu_worker.fragments import move, read_fragment, read_initialisation
from gpu_worker.ladder import PlannedRung
from gpu_worker.playlist import MediaPlaylist, read_media_playlist
from gpu_worker.transport import CLOCK_HZ, later_by, read_segment


def finish(
    folder: Path, codec: Codec, rungs: Sequence[PlannedRung], common: MediaPlaylist
) -> list[tuple[MediaPlaylist, str]]:
    """Each rung's rendition, with the codecs parameter, shown when the one all play is.

    ffmpeg counts the time of fragments from the first one; what matches must be stamped alike
    (RFC 8216, 6.2.4), and sound is in transport streams. Raises `output_invalid` where ffmpeg has
    not made what it was told to.
    """
    try:
        return _finished(folder, codec, rungs, common)
    except (OSError, ValueError) as error:
        raise JobFailed(WorkerErrorCode.OUTPUT_INVALID, NOT_PLAYABLE, str(error)) from error


def _finished(
    folder: Path, codec: Codec, rungs: Sequence[PlannedRung], common: MediaPlaylist
) -> list[tuple[MediaPlaylist, str]]:
    shown = int(read_segment(folder / common.segments[0].uri).presented.min())
    made = list[tuple[MediaPlaylist, str]]()
    for planned in rungs:
        playlist = replace(
            read_media_playlist(folder / f"{fragmented.name(planned, codec)}.m3u8"),
            initialisation=fragmented.initialisation(planned, codec),
        )
        head = read_initialisation(folder / str(playlist.initialisation))
        first = read_fragment(folder / playlist.segments[0].uri, head)
        late = later_by(shown, int(first.presented.min()))
        for segment in playlist.segments:
            move(folder / segment.uri, round(late * head.clock_hz / CLOCK_HZ))
        made.append((playlist, head.described.codecs))
    return made
