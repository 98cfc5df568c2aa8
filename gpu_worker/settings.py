"""Settings of the worker, parsed once from an environment that is handed in.

Plain models, not pydantic-settings: those read the process's own environment by themselves.
"""

import os
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from gpu_worker.contract_logs import LogFormat
from gpu_worker.ffmpeg import MAX_STREAMS
from gpu_worker.fragmented import Codec
from gpu_worker.sandbox import Wanted
from gpu_worker.signature import decode_secret

X264Preset = Literal["superfast", "veryfast", "faster", "fast", "medium", "slow", "slower"]
"""Without ultrafast, whose streams are not H.264 High whatever is asked for."""


def _processors() -> int:
    """How many this process may run on; on systems that do not tell, how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class EncodeSettings(BaseModel):
    """What turning one file into HLS needs; `transcode` runs on these alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    ffmpeg: str | None = None
    ffprobe: str | None = None
    encoder: Literal["auto", "libx264", "h264_nvenc"] = "auto"
    x264_preset: X264Preset = "faster"
    """Within 0.5 of the VMAF of constant bit rates at medium on every rung of hard content, for no
    more bytes and less than half of the CPU (bench/README.md)."""
    encode_processors: int = Field(default_factory=_processors, ge=1)
    """How many an encode by the CPU keeps busy; in a container that has a share of them, that."""
    work_dir: Path = Field(default_factory=lambda: Path(tempfile.gettempdir()))
    force_full_ladder: bool = False
    """All four rungs, even above the source."""
    hevc: bool = False
    """Each rung in HEVC as well, in fragmented MP4, capped at nine tenths of H.264's bit rate."""
    av1: bool = False
    """Each rung in AV1 as well, in fragmented MP4, capped at three quarters of H.264's bit rate."""
    min_rung_step: float | None = Field(default=None, ge=1, le=2)
    """A rung is left out when the one above takes less than so many times its bit rate."""
    storyboard: bool = True
    """Small pictures to find a place in a film with."""
    animated_preview: bool = True
    waveform_of_videos: bool = True
    loudness: Literal["off", "videos", "all"] = "videos"
    """What is measured: hardly any CPU beside the encode of a film, an eighth of that of sound."""
    loudness_target_lufs: float | None = Field(default=None, ge=-40, le=-5)
    """Sound is made as loud as that; unset, it stays as it is."""
    chunk_min_seconds: float = Field(default=20 * 60, ge=0)
    """Films of that length are made in chunks, which a job that was cut off need not make again;
    0: none is."""
    chunk_seconds: float = Field(default=5 * 60, ge=6)
    max_duration_seconds: float = Field(default=4 * 3600, gt=0)
    max_pixels: int = Field(default=8192 * 4320, gt=0)
    max_side_pixels: int = Field(default=8192, gt=0)
    max_input_bytes: int = Field(default=20 * 1024**3, gt=0)
    max_streams: int = Field(default=MAX_STREAMS, ge=1)
    """Tracks in one file; more are not looked at."""
    max_output_bytes: int = Field(default=24 * 1024**3, gt=0)
    """All that is made of one file: four hours at the ladder's caps are 17 GB."""
    max_memory_bytes: int = Field(default=8 * 1024**3, gt=0)
    """What one ffmpeg or ffprobe may use."""
    max_wall_seconds: float = Field(default=3600, gt=0)
    """Deadline of the whole job. RunPod's executionTimeout lies above it, so that we report."""
    max_cpu_seconds: int = Field(default=24 * 3600, gt=0)
    """RLIMIT_CPU of one ffmpeg, summed over its threads."""
    isolation: Wanted = "auto"
    """What must confine ffmpeg, or nothing is started; `optional`: whatever works, even nothing."""

    @property
    def beside(self) -> tuple[Codec, ...]:
        """The codecs beside H.264; of those that a player knows it takes which it likes."""
        wanted: dict[Codec, bool] = {"hevc": self.hevc, "av1": self.av1}
        return tuple(codec for codec, on in wanted.items() if on)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Settings from upper-case variables; an empty variable counts as unset.

        Raises pydantic's ValidationError, which names each wrong variable in lower case.
        """
        named = {name.lower(): value for name, value in environ.items() if value != ""}
        return cls.model_validate(
            {name: value for name, value in named.items() if name in cls.model_fields}
        )


class WorkerSettings(EncodeSettings):
    """What the worker needs on top: the bucket, the secret, and who it is."""

    r2_endpoint: str
    r2_bucket: str = "codex-media"
    r2_access_key_id: str
    r2_secret_access_key: SecretStr
    r2_region: str = "auto"
    webhook_secret: SecretStr
    runpod_pod_id: str = Field(default_factory=socket.gethostname)
    """RunPod sets this; it names the worker in reports."""
    upload_connections: int = Field(default=8, ge=1, le=64)
    progress_interval_seconds: float = Field(default=2, gt=0)
    callback_first_delay_seconds: float = Field(default=1, gt=0)
    """Pause before the first retry of a callback; each further one is twice as long."""
    log_format: LogFormat = "auto"
    log_level: str = "INFO"

    @field_validator("webhook_secret")
    @classmethod
    def _webhook_secret_decodes(cls, value: SecretStr) -> SecretStr:
        decode_secret(value.get_secret_value())
        return value
