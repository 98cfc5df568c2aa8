"""What each kind of event sets in its item's row: the verifier's own reading of a history.

A row is made by what each event sets, one after the other. The service folds with `domain.media`;
that both make the same row of any history is a test, and here a second opinion.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic_core import from_json

Payload = Any
"""JSON: a rule raises LookupError or TypeError where it is not of the kind's shape."""
Columns = dict[str, object]
Record = tuple[bytes, ...]
"""An event's record in events.txt: its first line is 0, and line N of the event's text is N."""
Upcast = Callable[[bytes, bytes, bytes], bytes]
"""Kind, schema version and payload → the payload in the shape that the rules read."""

FIRST = b"media.registered"
"""The kind that each stream begins with, and no other event is of."""


class Rule(NamedTuple):
    """What a kind of event sets, read from payloads of one schema version."""

    schema_version: bytes
    columns: Callable[[Payload], Columns]


EMPTY: Columns = {
    "size": None,
    "etag": None,
    "hls_master_playlist_key": None,
    "hls_preview_key": None,
    "thumbnail_key": None,
    "waveform_key": None,
    "duration_seconds": None,
    "width": None,
    "height": None,
    "transcoding_error": None,
    "transcoding_attempts": 0,
    "runpod_job_id": None,
    "encoder": None,
    "encoder_note": None,
}
"""What the first event does not set."""


def _registered(payload: Payload) -> Columns:
    return {
        "status": "uploading",
        "creator_id": payload["creatorId"],
        "media_type": payload["mediaType"],
        "file_name": payload["fileName"],
        "content_type": payload["contentType"],
        "declared_size": payload["declaredSize"],
        "r2_key": payload["inputKey"],
        "deadline_at": payload["uploadDeadline"],
    }


def _upload_completed(payload: Payload) -> Columns:
    return {"status": "uploaded", "size": payload["size"], "etag": payload["etag"]}


def _upload_expired(_payload: Payload) -> Columns:
    error = {
        "code": "upload_expired",
        "message": "The file was not uploaded in time.",
        "retryable": False,
    }
    return {"status": "failed", "transcoding_error": error, "deadline_at": None}


def _transcoding_requested(payload: Payload) -> Columns:
    return {
        "status": "transcoding",
        "transcoding_attempts": payload["attempt"],
        "runpod_job_id": None,
        "deadline_at": payload["deadline"],
    }


def _transcoding_submitted(payload: Payload) -> Columns:
    return {"runpod_job_id": payload["runpodJobId"]}


def _transcoding_started(_payload: Payload) -> Columns:
    return {}


def _transcoding_completed(payload: Payload) -> Columns:
    return {
        "status": "ready",
        "hls_master_playlist_key": payload["hlsMasterPlaylistKey"],
        "hls_preview_key": payload["hlsPreviewKey"],
        "thumbnail_key": payload["thumbnailKey"],
        "waveform_key": payload["waveformKey"],
        "duration_seconds": payload["durationSeconds"],
        "width": payload["width"],
        "height": payload["height"],
        "encoder": payload["encoder"],
        "encoder_note": payload["encoderNote"],
        "deadline_at": None,
    }


def _transcoding_failed(payload: Payload) -> Columns:
    error = {
        "code": payload["errorCode"],
        "message": payload["message"],
        "retryable": payload["retryable"],
    }
    return {"status": "failed", "transcoding_error": error, "deadline_at": None}


def _retry_requested(_payload: Payload) -> Columns:
    return {"status": "uploaded", "transcoding_error": None}


RULES: dict[bytes, Rule] = {
    FIRST: Rule(b"1", _registered),
    b"media.upload_completed": Rule(b"1", _upload_completed),
    b"media.upload_expired": Rule(b"1", _upload_expired),
    b"media.transcoding_requested": Rule(b"1", _transcoding_requested),
    b"media.transcoding_submitted": Rule(b"1", _transcoding_submitted),
    b"media.transcoding_started": Rule(b"1", _transcoding_started),
    b"media.transcoding_completed": Rule(b"1", _transcoding_completed),
    b"media.transcoding_failed": Rule(b"1", _transcoding_failed),
    b"media.retry_requested": Rule(b"1", _retry_requested),
}


class Unfoldable(Exception):
    """The event at `seq` makes no row."""

    def __init__(self, seq: int, what: str) -> None:
        super().__init__(what)
        self.seq = seq


class Stream:
    """A stream so far: its newest event, and what its row is made of."""

    __slots__ = ("_kept", "hash", "seq", "shown", "version")

    def __init__(self) -> None:
        self.version = self.seq = 0
        self.hash = b""
        self.shown = False
        self._kept = b""  # one piece of memory: a long ledger's streams are far from any cache

    def fold(self, seq: int, record: Record, upcast: Upcast) -> None:
        """Take the event that makes the stream's version; `Unfoldable` if it makes no row."""
        kind, payload = record[5], record[15]
        if (kind == FIRST) is not (self.version == 1):
            raise Unfoldable(seq, f"it is {_text(kind)} as version {self.version}")
        rule = RULES.get(kind)
        if rule is None or record[6] != rule.schema_version:
            payload = _current(seq, record, upcast)
        self._kept += b"%d\n%b\n%b\n%b\n" % (seq, kind, record[13], payload)

    def row(self, media_id: str) -> Columns:
        """The row that the events make; `Unfoldable` where one cannot be read."""
        row = {**EMPTY, "id": media_id, "version": self.version}
        lines = self._kept.split(b"\n")
        for seq, kind, at, payload in zip(*[iter(lines)] * 4, strict=False):
            try:
                row |= RULES[kind].columns(from_json(payload, allow_inf_nan=False))
            except (ValueError, LookupError, TypeError) as error:
                raise Unfoldable(int(seq), f"its payload is malformed ({error!r})") from error
            row["updated_at"] = _text(at)
        row["created_at"] = _text(lines[2])
        return row

    @property
    def first_seq(self) -> int:
        """The place of its first event."""
        return int(self._kept.partition(b"\n")[0])


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _current(seq: int, record: Record, upcast: Upcast) -> bytes:
    try:
        return upcast(record[5], record[6], record[15])
    except ValueError as error:
        raise Unfoldable(seq, str(error)) from error


def upcast_payload(
    kind: bytes, schema_version: bytes, payload: bytes, upcast: Callable[..., Any] | None = None
) -> bytes:
    """Today's shape of a payload, as the service reads it; ValueError for what it does not know."""
    # Loading the domain takes half a second, and most ledgers hold no event of an older shape.
    from domain import upcasting  # noqa: PLC0415

    try:
        stored = json.loads(payload)
        today = (upcast or upcasting.upcast)(kind.decode(), int(schema_version), stored)
    except (upcasting.EventTooNew, upcasting.UpcasterMissing, LookupError, TypeError) as error:
        raise ValueError(str(error)) from error
    return json.dumps(today).encode()
