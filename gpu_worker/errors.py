"""How a job fails.

JobFailed            typed, reported to the service: code, a sentence for the creator
Superseded           another run has the attempt: this one stops, and reports nothing
ChunkLost            another run makes this chunk of a film: it is left to that
ProcessFailed        ffmpeg or ffprobe ended with an error; the caller decides what it means
ProcessTimedOut      ffmpeg or ffprobe was killed on its deadline
ToolMissing          no ffmpeg or ffprobe on this machine
IsolationMissing     nothing on this machine confines them
"""

from gpu_worker.contract import RETRYABLE_CODES, WorkerError, WorkerErrorCode

MAX_STDERR_TAIL = 4000


class JobFailed(Exception):
    """The job ends here. `sentence` is for the creator, `stderr_tail` for operators."""

    def __init__(self, code: WorkerErrorCode, sentence: str, stderr_tail: str = "") -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.sentence = sentence
        self.stderr_tail = stderr_tail[-MAX_STDERR_TAIL:]

    def to_wire(self) -> WorkerError:
        """This failure as it goes over the wire."""
        return WorkerError(
            code=self.code,
            message=self.sentence[:500],
            retryable=self.code in RETRYABLE_CODES,
            stderr_tail=self.stderr_tail,
        )


class Superseded(Exception):
    """Another run has the attempt, or there is a newer one; `holder_job_id` is its job."""

    def __init__(self, holder_job_id: str) -> None:
        super().__init__(f"superseded by job {holder_job_id}")
        self.holder_job_id = holder_job_id


class ChunkLost(Exception):
    """Another run makes the chunk `number`, or the bucket was silent for a whole lease."""

    def __init__(self, number: int) -> None:
        super().__init__(f"chunk {number} is another run's by now")
        self.number = number


class ProcessFailed(Exception):
    """A child process ended with `returncode` (negative: the signal that killed it)."""

    def __init__(self, program: str, returncode: int, stderr_tail: str) -> None:
        super().__init__(f"{program} ended with {returncode}: {stderr_tail[-300:]}")
        self.returncode = returncode
        self.stderr_tail = stderr_tail


class ProcessTimedOut(Exception):
    """A child process was killed after `wall_s` seconds."""

    def __init__(self, program: str, wall_s: float, stderr_tail: str) -> None:
        super().__init__(f"{program} was killed after {wall_s:.0f} s")
        self.wall_s = wall_s
        self.stderr_tail = stderr_tail


class ToolMissing(Exception):
    """`program` is neither set, nor on PATH, nor in an installed package."""

    def __init__(self, program: str) -> None:
        super().__init__(
            f"{program} was not found. Install it, or set {program.upper()} to its path."
        )
        self.program = program


class IsolationMissing(Exception):
    """What ISOLATION asks for does not work here."""

    def __init__(self, wanted: str, works: str) -> None:
        super().__init__(
            f"ISOLATION={wanted} is not to be had: of bubblewrap, seccomp and Landlock, {works} "
            "works here. It takes bubblewrap, or seccomp with Landlock (Linux 5.13), to keep a "
            "hostile file from this machine's files and network. To run without, "
            "set ISOLATION=optional."
        )
