"""ffmpeg as it is on a machine with a GPU: the outside world, of which tests choose what works.

What is asked of the GPU, libx264 and the CPU's filters do.
"""

import sys
from pathlib import Path

from gpu_worker.sandbox import UNCONFINED
from gpu_worker.tools import Tools

DECODE, ENCODE = "decode", "encode"
SOURCE = "source"
"""The GPU decodes the worker's own clip, and not what is uploaded."""
LATE = "late"
"""As SOURCE, and it fails at the end: each segment is there, as long as it will be, and another."""
HOLD = "hold"
"""As LATE, when `go` is there beside the program."""
BESIDE = "beside"
"""The GPU encodes H.264 and nothing else."""
MAIN = "main"
"""The GPU's encoder makes streams of another profile than the one it is asked for."""
NO_DECODER = "hardware accelerator failed to decode picture"
NO_ENCODER = "No capable devices found"
NO_CODEC = "Codec not supported"

PROGRAM = """#!{python}
import os, re, subprocess, sys, time
from pathlib import Path
REAL, BROKEN, GO = {real!r}, {broken!r}, {go!r}
DROPPED = {{
    "-hwaccel", "-hwaccel_output_format", "-extra_hw_frames", "-tune", "-multipass", "-rc",
    "-rc-lookahead", "-bf", "-b_ref_mode", "-spatial-aq", "-forced-idr", "-no-scenecut",
    "-strict_gop", "-b:v",
}}
WORDS = {{"p5": "superfast", "high": "main" if BROKEN == "main" else "high"}}
FILTERS = (
    (r":format=nv12:passthrough=0", ",format=yuv420p"), (r":interp_algo=bicubic", ""),
    (r"(scale|yadif)_cuda", r"\\1"), (r"hwdownload,", ""),
)

def fail(reason):
    sys.exit(f"[fake @ 0x5] {{reason}}")

def on_cpu(argv):
    words = iter(argv)
    for word in words:
        if word in DROPPED:
            next(words)
        elif word == "-filter_complex":
            graph = next(words)
            for old, new in FILTERS:
                graph = re.sub(old, new, graph)
            yield from (word, graph)
        elif word == "h264_nvenc":
            # With more threads no two runs are the same.
            yield from ("libx264", "-sc_threshold", "0", "-threads", "1")
        elif word == "-cq":
            yield from ("-crf", next(words))
        else:
            yield WORDS.get(word, word)

argv = sys.argv[1:]
if "h264_nvenc" not in argv:
    os.execv(REAL, [REAL, *argv])
own = any(word.endswith("/clip.mp4") for word in argv)
if BROKEN == "beside" and any(word in argv for word in ("hevc_nvenc", "av1_nvenc")):
    fail({no_codec!r})
if BROKEN == "encode":
    fail({no_encoder!r})
if "-hwaccel" in argv and (BROKEN == "decode" or BROKEN == "source" and not own):
    fail({no_decoder!r})
if "-hwaccel" in argv and BROKEN in ("late", "hold") and not own:
    # In a folder of its own: no segment may be seen, and taken, before it is another.
    making = Path("making")
    making.mkdir()
    subprocess.run([REAL, *on_cpu(argv)], check=True, cwd=making)
    for path in sorted(making.iterdir()):
        if path.suffix == ".ts":
            content = bytearray(path.read_bytes())
            content[-1] ^= 1
            path.write_bytes(content)
        os.replace(path, path.name)
    making.rmdir()
    while BROKEN == "hold" and not Path(GO).exists():
        time.sleep(0.02)
    fail({no_decoder!r})
os.execv(REAL, [REAL, *on_cpu(argv)])
"""


def with_gpu(tools: Tools, folder: Path, broken: str | None = None) -> Tools:
    """`tools` whose ffmpeg finds a GPU; what is `broken` there does not work."""
    program = folder / "ffmpeg"
    program.write_text(
        PROGRAM.format(
            python=sys.executable,
            real=tools.ffmpeg,
            broken=broken,
            go=str(folder / "go"),
            no_decoder=NO_DECODER,
            no_encoder=NO_ENCODER,
            no_codec=NO_CODEC,
        )
    )
    program.chmod(0o755)
    # In no sandbox: it is a script, of a Python that lies anywhere.
    return Tools(str(program), tools.ffprobe, UNCONFINED)
