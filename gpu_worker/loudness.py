"""How loud the sound is, as ffmpeg's ebur128 filter measures it, and what to add to it.

Pure but for reading the filter's own file. Sources: ITU-R BS.1770-5 (loudness, true peak); EBU
R 128 and Tech 3342 (loudness range).
"""

import math
from pathlib import Path

from gpu_worker.contract_extras import Loudness

MEASURED = "loudness.txt"
SILENCE_LUFS = -70.0
"""The absolute gate: below it nothing counts."""
MOST_TRUE_PEAK_DBTP = -1.0
"""What R 128 allows; an AAC encoder overshoots."""
TAIL_BYTES = 4096
KEY = "lavfi.r128."


def filters(seconds: str) -> str:
    """Measures what comes in up to then; ten times a second a line for each figure so far.

    The summary that ffmpeg logs is no way: it is of a level below the errors that we read.
    """
    measure = "ebur128=peak=true:metadata=1"
    return f"atrim=end={seconds},{measure},ametadata=mode=print:file={MEASURED}"


def read(path: Path) -> Loudness:
    """The last figures in the filter's file, which is removed.

    Raises ValueError when there is none, as of a track that nothing could be decoded of.
    """
    if not path.is_file():
        raise ValueError("the sound was not measured")
    with path.open("rb") as content:
        content.seek(0, 2)
        content.seek(-min(content.tell(), TAIL_BYTES), 2)
        lines = content.read().decode("ascii", "replace").splitlines()
    path.unlink()
    # A line that was cut at the front has no such beginning.
    pairs = (line.removeprefix(KEY).partition("=") for line in lines if line.startswith(KEY))
    last = {name: float(value) for name, _, value in pairs}
    peaks = [value for name, value in last.items() if name.startswith("true_peaks_ch")]
    if not peaks or not last.keys() >= {"I", "LRA"}:
        raise ValueError("the sound was not measured")
    silent = last["I"] <= SILENCE_LUFS
    peak = max(peaks)
    return Loudness(
        integrated_lufs=None if silent else round(last["I"], 1),
        range_lu=None if silent else round(last["LRA"], 1),
        true_peak_dbtp=round(20 * math.log10(peak), 1) if peak > 0 else None,
    )


def gain_db(measured: Loudness, target_lufs: float) -> float:
    """What makes it as loud as wanted, or as far as its true peak allows; nothing for silence.

    One gain for the whole: nothing is compressed.
    """
    if measured.integrated_lufs is None or measured.true_peak_dbtp is None:
        return 0.0
    wanted = target_lufs - measured.integrated_lufs
    return round(min(wanted, MOST_TRUE_PEAK_DBTP - measured.true_peak_dbtp), 1)
