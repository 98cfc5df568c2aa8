"""How good renditions are: VMAF against the source, at the size of each rendition."""

import json
import subprocess
from pathlib import Path

from gpu_worker.ladder import RUNGS, Rung

# Where one says its colours and the other does not, ffmpeg converts one of them to compare them.
_SAME = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"


def vmaf(ffmpeg: str, source: Path, segments: dict[str, list[Path]]) -> dict[str, float]:
    """Mean VMAF of each rung, 0 to 100, from every third frame; `segments` are by rung."""
    return {rung.name: vmaf_of(ffmpeg, source, segments[rung.name], rung) for rung in RUNGS}


def vmaf_of(ffmpeg: str, source: Path, segments: list[Path], rung: Rung) -> float:
    """The same of one rung. Transport streams may be several files, others are one."""
    report = segments[0].with_suffix(".vmaf.json")
    joined = "concat:" + "|".join(str(path) for path in segments)
    made = joined if len(segments) > 1 else str(segments[0])
    graph = (
        f"[1:v]{_SAME},scale=-2:{rung.short_side}:flags=bicubic,setpts=PTS-STARTPTS[source];"
        f"[0:v]{_SAME},setpts=PTS-STARTPTS[made];"
        f"[made][source]libvmaf=n_threads=2:n_subsample=3:log_fmt=json:log_path={report}"
    )
    argv = [ffmpeg, "-v", "error", "-i", made, "-i", str(source), "-filter_complex", graph]
    subprocess.run([*argv, "-f", "null", "-"], check=True, timeout=1200)
    return float(json.loads(report.read_text())["pooled_metrics"]["vmaf"]["mean"])


def size_bytes(segments: dict[str, list[Path]]) -> int:
    """Bytes of all segments, sound included where it is in them."""
    return sum(path.stat().st_size for paths in segments.values() for path in paths)
