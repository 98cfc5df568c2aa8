"""Waveform data as BBC audiowaveform 1.10 computes it, from PCM as it streams by.

Format: audiowaveform's "Data Format" page, JSON version 2, 8 bits. Memory grows by two bytes for
each pixel, 40 a second, and not with the PCM.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gpu_worker.ends import progress_seconds
from gpu_worker.ffmpeg import VideoPass

PIXELS_PER_SECOND = 20


class Waveform:
    """Minimum and maximum of every pixel of one channel, mixed down from all.

    Feed it signed 16-bit little-endian interleaved PCM in chunks cut anywhere.
    """

    def __init__(self, sample_rate_hz: int, channels: int) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.channels = channels
        self.samples_per_pixel = max(1, sample_rate_hz // PIXELS_PER_SECOND)
        self.samples = 0
        self._rest = b""
        self._data = bytearray()

    @property
    def seconds(self) -> float:
        """How much PCM has been taken in."""
        return self.samples / self.sample_rate_hz

    def feed(self, pcm: bytes) -> None:
        """Take in the next bytes."""
        pixel_bytes = 2 * self.channels * self.samples_per_pixel
        pending = self._rest + pcm
        whole = len(pending) // pixel_bytes * pixel_bytes
        self._rest = pending[whole:]
        if whole:
            self._emit(np.frombuffer(pending[:whole], dtype="<i2"))

    def finish(self) -> None:
        """Emit the last pixel, which is rarely a full one."""
        frame_bytes = 2 * self.channels
        whole = len(self._rest) // frame_bytes * frame_bytes
        if whole:
            last = np.frombuffer(self._rest[:whole], dtype="<i2")
            self._emit(last)
        self._rest = b""

    def write(self, path: Path) -> None:
        """Write the JSON document to `path`."""
        data = np.frombuffer(bytes(self._data), dtype=np.int8).tolist()
        document = {
            "version": 2,
            "channels": 1,
            "sample_rate": self.sample_rate_hz,
            "samples_per_pixel": self.samples_per_pixel,
            "bits": 8,
            "length": len(data) // 2,
            "data": data,
        }
        path.write_text(json.dumps(document, separators=(",", ":")))

    def _emit(self, interleaved: npt.NDArray[np.int16]) -> None:
        """Pixels of samples, shape (frames * channels,): whole ones, or a single short one."""
        frames = interleaved.reshape(-1, self.channels).astype(np.int32).sum(axis=1)
        self.samples += len(frames)
        mono = _divide_towards_zero(frames, self.channels)
        pixels = mono.reshape(-1, min(self.samples_per_pixel, len(mono)))
        extremes = np.stack([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
        self._data += _divide_towards_zero(extremes, 256).astype(np.int8).tobytes()


class Heard:
    """What the pass over a film writes to stdout: PCM of its sound, or progress where it has none.

    Both tell how far the pass is.
    """

    def __init__(self, job: VideoPass, on_progress: Callable[[float], None]) -> None:
        self._length_seconds = job.length_seconds
        self._on_progress = on_progress
        self._waveform: Waveform | None = None
        if job.audio is not None and job.waveform_rate_hz is not None:
            self._waveform = Waveform(job.waveform_rate_hz, job.audio.channels)

    def take(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        if self._waveform is None:
            done = progress_seconds(chunk)
        else:
            self._waveform.feed(chunk)
            done = self._waveform.seconds
        if done is not None:
            self._on_progress(min(1.0, done / self._length_seconds))

    def write(self, folder: Path) -> None:
        """Write `waveform.json` if there is to be one. ValueError when nothing was heard."""
        if self._waveform is None:
            return
        self._waveform.finish()
        if not self._waveform.samples:
            raise ValueError("no sound could be decoded")
        self._waveform.write(folder / "waveform.json")


def _divide_towards_zero(values: npt.NDArray[np.int32], by: int) -> npt.NDArray[np.int32]:
    """C's integer division; numpy's rounds down."""
    quotient: npt.NDArray[np.int32] = np.sign(values) * (np.abs(values) // by)
    return quotient
