"""What a program that has ended left in its folder."""

import shutil
from pathlib import Path

from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed
from gpu_worker.playlist import MediaPlaylist, read_media_playlist
from gpu_worker.probe import UNREADABLE
from gpu_worker.sound import AudioPlan
from gpu_worker.transport import read_segment


def has_output(folder: Path) -> bool:
    """Whether any segment has something in it."""
    return any(path.stat().st_size > 0 for path in folder.glob("*.ts"))


def empty(folder: Path) -> None:
    """Remove all of it."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def produced_audio(
    folder: Path, audio: AudioPlan | None, prefix: str = "audio-"
) -> dict[int, MediaPlaylist]:
    """The audio renditions by their kilobits a second."""
    rates = () if audio is None else audio.kbps
    return {kbps: produced(folder, f"{prefix}{kbps}k") for kbps in rates}


def produced(folder: Path, name: str) -> MediaPlaylist:
    """A rendition ffmpeg has finished; without any segment nothing of the input was decodable."""
    try:
        made = read_media_playlist(folder / f"{name}.m3u8")
    except (OSError, ValueError) as error:
        raise JobFailed(WorkerErrorCode.INPUT_UNREADABLE, UNREADABLE, str(error)) from error
    if made.seconds <= 0:
        raise JobFailed(WorkerErrorCode.INPUT_UNREADABLE, UNREADABLE, f"{name} lasts no time")
    return made


def codecs_of(folder: Path, video: MediaPlaylist) -> str:
    """RFC 6381's name of its pictures, which it must have."""
    try:
        return read_segment(folder / video.segments[0].uri).codecs
    except ValueError as error:  # sound and no picture in it
        raise JobFailed(WorkerErrorCode.INPUT_UNREADABLE, UNREADABLE, str(error)) from error
