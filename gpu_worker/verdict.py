"""What it means for a job that ffmpeg failed, once there is no other way to convert the file."""

import signal

from gpu_worker.contract import WorkerErrorCode
from gpu_worker.errors import JobFailed, ProcessFailed
from gpu_worker.process import TOO_MUCH_MEMORY

CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL})
"""What a program brings upon itself: the same file brings it about again."""

OUT_OF_MEMORY = ("Cannot allocate memory", "malloc of size")
"""What ffmpeg and x264 say when they get no more."""


def job_failed(failure: ProcessFailed) -> JobFailed:
    """The file's doing where ffmpeg crashed on it: no GPU had a hand in the last try."""
    if -failure.returncode in CRASHES:
        return JobFailed(
            WorkerErrorCode.INPUT_UNSUPPORTED,
            "Our converter breaks off on this file; please export it again, e.g. as MP4.",
            f"{failure}",
        )
    if any(sign in failure.stderr_tail for sign in OUT_OF_MEMORY):
        return JobFailed(WorkerErrorCode.INPUT_TOO_LARGE, TOO_MUCH_MEMORY, failure.stderr_tail)
    return JobFailed(
        WorkerErrorCode.ENCODE_FAILED,
        "Converting this file failed on our side; a retry may help.",
        failure.stderr_tail,
    )
