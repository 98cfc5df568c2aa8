"""From the announcement of a file to its first attempt."""

from datetime import timedelta
from uuid import uuid4

import pytest

from domain.errors import (
    AccessDenied,
    IdempotencyKeyReused,
    InvalidTransition,
    StorageUnavailable,
    TranscoderRejected,
    TranscoderUnavailable,
    UploadMismatch,
    UploadMissing,
    UploadRefused,
)
from domain.events import MediaType
from domain.failure import ErrorCode
from domain.lifecycle import Status
from domain.ports import FoundObject
from domain.use_cases import Registration
from tests import factories as f
from tests.domain.world import MAX_BYTES, UPLOAD_WINDOW, World, wanted


async def test_a_registration_answers_where_to_upload(world: World) -> None:
    registered = await world.registered()
    assert registered.item.status is Status.UPLOADING
    assert registered.item.deadline == f.NOW + UPLOAD_WINDOW
    assert registered.item.input_key == f"{f.CREATOR}/originals/{registered.media_id}/holiday.mp4"
    assert registered.upload is not None
    assert registered.upload.url.endswith(registered.item.input_key)
    assert registered.upload.headers["content-type"] == "video/mp4"
    assert registered.upload.headers["content-length"] == str(f.SIZE)
    assert world.types(registered.media_id) == ["registered"]


async def test_two_registrations_are_two_items(world: World) -> None:
    assert (await world.registered()).media_id != (await world.registered()).media_id


async def test_sound_is_registered_as_audio(world: World) -> None:
    registered = await world.uploads.register(wanted("audio/mpeg"), world.creator)
    assert registered.item.media_type is MediaType.AUDIO


async def test_the_same_key_and_request_is_the_same_item(world: World) -> None:
    first = await world.uploads.register(wanted(idempotency_key="k1"), world.creator)
    world.database.advance(timedelta(minutes=5))
    again = await world.uploads.register(wanted(idempotency_key="k1"), world.creator)
    assert again == first
    assert len(world.database.streams) == 1


async def test_a_repeated_registration_after_the_upload_has_nothing_to_upload(world: World) -> None:
    first = await world.uploads.register(wanted(idempotency_key="k1"), world.creator)
    assert first.upload is not None
    world.storage.put(first.upload)
    await world.uploads.complete(first.media_id, f.CREATOR, world.creator)
    again = await world.uploads.register(wanted(idempotency_key="k1"), world.creator)
    assert (again.media_id, again.upload) == (first.media_id, None)
    assert again.item.status is Status.TRANSCODING


@pytest.mark.parametrize(
    "other",
    [
        wanted(idempotency_key="k1", size=f.SIZE + 1),
        wanted(idempotency_key="k1", content_type="video/webm"),
        wanted(idempotency_key="k1")._replace(file_name="other.mp4"),
    ],
)
async def test_the_same_key_with_another_request_is_refused(
    world: World, other: Registration
) -> None:
    await world.uploads.register(wanted(idempotency_key="k1"), world.creator)
    with pytest.raises(IdempotencyKeyReused):
        await world.uploads.register(other, world.creator)
    assert len(world.database.streams) == 1


async def test_two_creators_may_use_the_same_key(world: World) -> None:
    mine = await world.uploads.register(wanted(idempotency_key="k1"), world.creator)
    theirs = wanted(idempotency_key="k1")._replace(creator_id="creator-2")
    other = await world.uploads.register(theirs, f.context("creator:creator-2"))
    assert other.media_id != mine.media_id
    assert other.item.creator_id == "creator-2"


@pytest.mark.parametrize("size", [1, MAX_BYTES])
async def test_a_size_at_the_limit_is_accepted(world: World, size: int) -> None:
    registered = await world.uploads.register(wanted(size=size), world.creator)
    assert registered.item.declared_size == size


@pytest.mark.parametrize("size", [0, -1, MAX_BYTES + 1])
async def test_a_size_beyond_the_limit_is_refused(world: World, size: int) -> None:
    with pytest.raises(UploadRefused, match=str(size)):
        await world.uploads.register(wanted(size=size), world.creator)
    assert world.database.streams == {}


@pytest.mark.parametrize(
    "content_type",
    [
        "image/png",
        "application/x-mpegurl",
        "text/plain",
        "",
        "video",
        "video/",
        "video/mp4\r\nx: y",
    ],
)
async def test_what_is_neither_video_nor_audio_is_refused(world: World, content_type: str) -> None:
    with pytest.raises(UploadRefused, match="neither video"):
        await world.uploads.register(wanted(content_type), world.creator)
    assert world.database.streams == {}


async def test_renewing_answers_a_fresh_upload_and_changes_nothing(world: World) -> None:
    registered = await world.registered()
    renewed = await world.uploads.renew(registered.media_id, f.CREATOR)
    assert renewed == registered
    assert world.types(registered.media_id) == ["registered"]


async def test_an_upload_that_is_over_is_not_renewed(world: World) -> None:
    media_id = await world.transcoding()
    with pytest.raises(InvalidTransition):
        await world.uploads.renew(media_id, f.CREATOR)


async def test_foreign_and_missing_items_are_denied_alike(world: World) -> None:
    media_id = await world.arrived()
    said = set()
    for of, creator in ((media_id, "creator-2"), (uuid4(), f.CREATOR)):
        with pytest.raises(AccessDenied) as renewing:
            await world.uploads.renew(of, creator)
        with pytest.raises(AccessDenied) as completing:
            await world.uploads.complete(of, creator, world.creator)
        said |= {str(renewing.value), str(completing.value)}
    assert len(said) == 1
    assert world.types(media_id) == ["registered"]


async def test_a_complete_upload_is_transcoded_at_once(world: World) -> None:
    media_id = await world.arrived()
    item = await world.uploads.complete(media_id, f.CREATOR, world.creator)
    assert (item.status, item.etag, item.runpod_job_id) == (
        Status.TRANSCODING,
        f.ETAG,
        "job-11-u1",
    )
    assert world.types(media_id) == [
        "registered",
        "upload_completed",
        "transcoding_requested",
        "transcoding_submitted",
    ]
    assert world.database.outbox == {}
    assert await world.watchlist.open_jobs(media_id) == ["job-11-u1"]


async def test_f23_completing_twice_sends_one_job(world: World) -> None:
    media_id = await world.transcoding()
    item = await world.uploads.complete(media_id, f.CREATOR, world.creator)
    assert item.version == 4
    assert len(world.transcoder.submitted) == 1


async def test_f21_completing_without_a_file_changes_nothing(world: World) -> None:
    media_id = (await world.registered()).media_id
    with pytest.raises(UploadMissing):
        await world.uploads.complete(media_id, f.CREATOR, world.creator)
    assert world.types(media_id) == ["registered"]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (FoundObject(f.SIZE - 1, f.ETAG, "video/mp4"), "size declared was 1048576.*found.*1048575"),
        (FoundObject(f.SIZE, f.ETAG, "text/html"), "content type declared was video/mp4"),
    ],
)
async def test_f22_a_file_that_is_not_what_was_declared_changes_nothing(
    world: World, found: FoundObject, said: str
) -> None:
    registered = await world.registered()
    world.storage.objects[registered.item.input_key] = found
    with pytest.raises(UploadMismatch, match=said):
        await world.uploads.complete(registered.media_id, f.CREATOR, world.creator)
    assert world.types(registered.media_id) == ["registered"]


async def test_a_bucket_that_does_not_answer_changes_nothing(world: World) -> None:
    media_id = await world.arrived()
    world.storage.down = True
    with pytest.raises(StorageUnavailable):
        await world.uploads.complete(media_id, f.CREATOR, world.creator)
    with pytest.raises(StorageUnavailable):
        await world.uploads.expire(media_id)
    assert world.types(media_id) == ["registered"]


async def test_a_transcoder_out_of_reach_does_not_fail_the_upload(world: World) -> None:
    media_id = await world.arrived()
    world.transcoder.refusal = TranscoderUnavailable("RunPod answered 503.")
    item = await world.uploads.complete(media_id, f.CREATOR, world.creator)
    assert (item.status, item.runpod_job_id) == (Status.TRANSCODING, None)
    entry = world.database.outbox[media_id, 1]
    assert entry.last_error == "RunPod answered 503."
    assert f.NOW + timedelta(seconds=2) <= entry.next_try_at <= f.NOW + timedelta(seconds=4)


async def test_a_postponed_attempt_is_sent_when_it_is_due(world: World) -> None:
    media_id = await world.arrived()
    world.transcoder.refusal = TranscoderUnavailable("RunPod answered 503.")
    await world.uploads.complete(media_id, f.CREATOR, world.creator)
    world.transcoder.refusal = None
    assert await world.dispatched() is None
    world.database.advance(timedelta(seconds=4))
    item = await world.dispatched()
    assert item is not None
    assert item.runpod_job_id == "job-11-u1"
    assert world.database.outbox == {}


async def test_a_transcoder_that_says_no_fails_the_attempt(world: World) -> None:
    media_id = await world.arrived()
    world.transcoder.refusal = TranscoderRejected("RunPod answered 401: wrong key.")
    item = await world.uploads.complete(media_id, f.CREATOR, world.creator)
    assert item.status is Status.FAILED
    assert item.failure is not None
    assert item.failure.code is ErrorCode.SUBMIT_REJECTED
    assert item.failure.message == "RunPod answered 401: wrong key."
    assert world.types(media_id)[-1] == "transcoding_failed"
    assert world.database.outbox == {}


async def test_completing_an_expired_upload_is_refused(world: World) -> None:
    registered = await world.registered()
    world.database.advance(UPLOAD_WINDOW)
    await world.uploads.expire(registered.media_id)
    assert registered.upload is not None
    world.storage.put(registered.upload)
    with pytest.raises(InvalidTransition):
        await world.uploads.complete(registered.media_id, f.CREATOR, world.creator)


async def test_f25_an_upload_that_never_came_expires(world: World) -> None:
    media_id = (await world.registered()).media_id
    world.database.advance(UPLOAD_WINDOW)
    await world.uploads.expire(media_id)
    item = await world.item(media_id)
    assert item.status is Status.FAILED
    assert item.failure is not None
    assert item.failure.code is ErrorCode.UPLOAD_EXPIRED
    assert (await world.store.load(media_id))[-1].context.actor == "system:sweeper"


async def test_an_upload_that_is_not_what_was_declared_expires(world: World) -> None:
    registered = await world.registered()
    world.storage.objects[registered.item.input_key] = FoundObject(1, f.ETAG, "video/mp4")
    world.database.advance(UPLOAD_WINDOW)
    await world.uploads.expire(registered.media_id)
    assert (await world.item(registered.media_id)).status is Status.FAILED


async def test_an_upload_before_its_deadline_does_not_expire(world: World) -> None:
    media_id = (await world.registered()).media_id
    world.database.advance(UPLOAD_WINDOW - timedelta(microseconds=1))
    await world.uploads.expire(media_id)
    assert world.types(media_id) == ["registered"]


async def test_f25_a_file_that_came_without_a_word_is_completed_at_the_deadline(
    world: World,
) -> None:
    media_id = await world.arrived()
    world.database.advance(UPLOAD_WINDOW)
    await world.uploads.expire(media_id)
    item = await world.item(media_id)
    assert (item.status, item.runpod_job_id) == (Status.TRANSCODING, "job-11-u1")
    stored = await world.store.load(media_id)
    assert {event.context.actor for event in stored[1:]} == {"system:sweeper", "system:dispatcher"}


async def test_expiring_an_upload_that_is_over_changes_nothing(world: World) -> None:
    media_id = await world.transcoding()
    world.database.advance(UPLOAD_WINDOW)
    await world.uploads.expire(media_id)
    assert (await world.item(media_id)).version == 4
