"""Why a media item failed: a closed set of codes, each with what a creator can do about it."""

from enum import StrEnum
from typing import NamedTuple


class ErrorCode(StrEnum):
    """Every reason for `failed`. Adding one is compatible; changing one's meaning is not."""

    INPUT_UNREADABLE = "input_unreadable"
    INPUT_UNSUPPORTED = "input_unsupported"
    INPUT_TOO_LARGE = "input_too_large"
    INPUT_CHANGED = "input_changed"
    NO_MEDIA_STREAM = "no_media_stream"
    ENCODE_FAILED = "encode_failed"
    WORKER_LOST = "worker_lost"
    TIMED_OUT = "timed_out"
    SUBMIT_REJECTED = "submit_rejected"
    SUBMIT_UNREACHABLE = "submit_unreachable"
    OUTPUT_INVALID = "output_invalid"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    UPLOAD_EXPIRED = "upload_expired"


class Advice(NamedTuple):
    """What a code means for the creator."""

    retryable: bool
    """Whether another attempt on the same file may end differently."""
    hint: str


ADVICE: dict[ErrorCode, Advice] = {
    ErrorCode.INPUT_UNREADABLE: Advice(
        False, "Check that the file plays on your own machine, export it again, and upload that."
    ),
    ErrorCode.INPUT_UNSUPPORTED: Advice(
        False, "Export the file as MP4 (H.264 with AAC sound), MP3 or WAV, and upload that."
    ),
    ErrorCode.INPUT_TOO_LARGE: Advice(
        False, "Upload a shorter, smaller or lower-resolution version of the file."
    ),
    ErrorCode.INPUT_CHANGED: Advice(False, "Upload the file again: its stored copy was replaced."),
    ErrorCode.NO_MEDIA_STREAM: Advice(
        False, "Register a file that has sound alone as audio/…, and one with a picture as video/…."
    ),
    ErrorCode.ENCODE_FAILED: Advice(
        True, "Retry once; if it fails again, export the file anew and upload that."
    ),
    ErrorCode.WORKER_LOST: Advice(True, "Retry: the machine that worked on the file went away."),
    ErrorCode.TIMED_OUT: Advice(True, "Retry; if it times out again, upload a shorter file."),
    ErrorCode.SUBMIT_REJECTED: Advice(
        True, "Nothing is wrong with the file. Retry once the operator has mended the set-up."
    ),
    ErrorCode.SUBMIT_UNREACHABLE: Advice(
        True, "Nothing is wrong with the file. Retry later: no machine could be reached."
    ),
    ErrorCode.OUTPUT_INVALID: Advice(True, "Retry: the result did not pass our checks."),
    ErrorCode.STORAGE_UNAVAILABLE: Advice(True, "Retry: the storage could not be reached."),
    ErrorCode.UPLOAD_EXPIRED: Advice(False, "Register the file anew and upload it."),
}


def advice(code: ErrorCode) -> Advice:
    """The advice for `code`."""
    return ADVICE[code]
