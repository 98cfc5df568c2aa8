"""The row of `media_items`, column by column."""

import pytest

from domain.events import Event, MediaType
from domain.lifecycle import Status
from domain.media import fold
from domain.read_model import MediaRow, project_history
from tests import factories as f

NO_OUTPUTS = {
    "hls_master_playlist_key": None,
    "hls_preview_key": None,
    "thumbnail_key": None,
    "waveform_key": None,
    "duration_seconds": None,
    "width": None,
    "height": None,
    "encoder": None,
    "encoder_note": None,
}
REGISTERED = {
    "id": str(f.MEDIA_ID),
    "creator_id": f.CREATOR,
    "media_type": "video",
    "file_name": "holiday.mp4",
    "content_type": "video/mp4",
    "declared_size": f.SIZE,
    "r2_key": f"{f.CREATOR}/originals/{f.MEDIA_ID}/holiday.mp4",
}


def row(*history: Event) -> MediaRow:
    projected = project_history(f.MEDIA_ID, history)
    assert projected is not None
    return projected


def test_an_empty_history_has_no_row() -> None:
    assert project_history(f.MEDIA_ID, []) is None


def test_an_uploading_item() -> None:
    assert row(*f.uploading()) == REGISTERED | NO_OUTPUTS | {
        "status": "uploading",
        "size": None,
        "etag": None,
        "transcoding_error": None,
        "transcoding_attempts": 0,
        "runpod_job_id": None,
        "deadline_at": "2026-11-03T09:00:00+00:00",
        "version": 1,
    }


def test_a_ready_video() -> None:
    completed = f.transcoding_completed(outputs=f.video_outputs("libx264 instead of h264_nvenc"))
    assert row(*f.transcoding(), completed) == REGISTERED | {
        "status": "ready",
        "size": f.SIZE,
        "etag": f.ETAG,
        "hls_master_playlist_key": f"{f.CREATOR}/hls/{f.MEDIA_ID}/master.m3u8",
        "hls_preview_key": f"{f.CREATOR}/hls/{f.MEDIA_ID}/preview/preview.m3u8",
        "thumbnail_key": f"{f.CREATOR}/thumbnails/media/{f.MEDIA_ID}/auto-generated.jpg",
        "waveform_key": None,
        "duration_seconds": 12.5,
        "width": 1280,
        "height": 720,
        "encoder": "libx264",
        "encoder_note": "libx264 instead of h264_nvenc",
        "transcoding_error": None,
        "transcoding_attempts": 1,
        "runpod_job_id": f.job_id(),
        "deadline_at": None,
        "version": 5,
    }


def test_a_ready_audio_has_a_waveform_and_no_picture() -> None:
    began = f.registered(MediaType.AUDIO, "song.mp3", "audio/mpeg")
    outputs = f.transcoding_completed(outputs=f.audio_outputs())
    projected = row(began, *f.transcoding()[1:], outputs)
    assert projected["media_type"] == "audio"
    assert projected["waveform_key"] == f"{f.CREATOR}/waveforms/{f.MEDIA_ID}/waveform.json"
    assert projected["thumbnail_key"] is None
    assert (projected["width"], projected["height"]) == (None, None)


def test_a_failed_item_carries_code_sentence_and_advice() -> None:
    assert row(*f.failed(2)) == REGISTERED | NO_OUTPUTS | {
        "status": "failed",
        "size": f.SIZE,
        "etag": f.ETAG,
        "transcoding_error": {
            "code": "encode_failed",
            "message": "The encoder stopped.",
            "retryable": True,
        },
        "transcoding_attempts": 2,
        "runpod_job_id": f.job_id(2),
        "deadline_at": None,
        "version": 9,
    }


def test_a_retry_clears_error_and_job() -> None:
    projected = row(*f.failed(), f.retry_requested(), f.transcoding_requested(2))
    assert projected["status"] == "transcoding"
    assert projected["transcoding_error"] is None
    assert projected["transcoding_attempts"] == 2
    assert projected["runpod_job_id"] is None
    assert projected["deadline_at"] == "2026-11-02T11:00:00+00:00"


@pytest.mark.parametrize(
    "history", [f.uploading(), f.uploaded(), f.transcoding(), f.ready(), f.failed(), f.expired()]
)
def test_every_state_fills_the_same_columns(history: tuple[Event, ...]) -> None:
    item = fold(history)
    assert item is not None
    projected = row(*history)
    assert set(projected) == set(MediaRow.__annotations__)
    assert Status(projected["status"]) is item.status
