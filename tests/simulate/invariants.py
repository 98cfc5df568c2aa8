"""What must hold when a schedule is over: I1 to I10, and that everything has come to an end."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain.events import (
    Erased,
    StoredEvent,
    TranscodingCompleted,
    TranscodingFailed,
    TranscodingRequested,
    TranscodingSubmitted,
    UploadExpired,
)
from domain.failure import ErrorCode
from domain.lifecycle import Status
from domain.media import MediaItem, fold
from domain.read_model import project_history
from tests.simulate.creators import Plan
from tests.simulate.processes import Host, Life
from tests.simulate.service import compose
from tests.simulate.watch import FINAL, consecutive

if TYPE_CHECKING:
    from tests.simulate.world import World


def left_to_do(world: "World") -> str | None:  # noqa: PLR0911 - one line a table
    """What somebody still has to do; None when everything has come to an end."""
    tables = world.database
    for media_id, row in tables.rows.items():
        if Status(row["status"]) not in FINAL:
            return f"{media_id} is {row['status']}"
    if tables.breakers:
        return f"dispatch is paused: {sorted(tables.breakers)}"
    if tables.outbox:
        return f"the outbox holds {sorted(tables.outbox)}"
    if waiting := [e.message.row_id for e in tables.inbox.values() if e.verdict is None]:
        return f"the messages {waiting} have no verdict"
    if being_removed := [key for key, entry in tables.erasures.items() if not entry.finished]:
        return f"objects of {being_removed} are being removed"
    if open_jobs := sorted(job_id for job_id, job in tables.jobs.items() if not job.closed):
        return f"the jobs {open_jobs} are watched"
    return None


async def check(world: "World") -> None:
    """Look at everything; what does not hold is `world.broken`."""
    if not world.broken and (left := left_to_do(world)):
        world.breaks("convergence", left)
    _projection(world)
    _outputs(world)
    _creators(world)
    _erased(world)
    _acknowledged(world)
    _secrets(world)
    _failures(world)
    for text in world.journal.unforeseen:
        world.breaks("surprise", text)
    if not world.broken:
        await _redelivery(world)


def _projection(world: "World") -> None:
    for media_id, stream in world.database.streams.items():
        history = [stored.event for stored in stream]
        if world.database.rows[media_id] != project_history(media_id, history):
            world.breaks("I1", f"the row of {media_id} is not what its events make")
        if not consecutive([stored.version for stored in stream]):
            world.breaks("I1", f"the versions of {media_id} have a gap")


def _outputs(world: "World") -> None:
    for media_id, row in world.database.rows.items():
        if row["status"] == Status.READY:
            world.watch.outputs_stand(media_id)


def _creators(world: "World") -> None:
    for media_id, row in world.database.rows.items():
        for name, value in row.items():
            if name.endswith("_key") and value and not _is_own(str(value), row, media_id):
                world.breaks("I4", f"{name} of {media_id} is {value}")


def _is_own(key: str, row: Any, media_id: UUID) -> bool:
    return key.startswith(f"{row['creator_id']}/") and str(media_id) in key


def _erased(world: "World") -> None:
    """I10: nothing is left of an erased item but its history, which says nothing of a person."""
    for media_id, stream in world.database.streams.items():
        if not isinstance(stream[-1].event, Erased):
            continue
        world.count("erased")
        if left := [key for key in world.bucket.objects if str(media_id) in key]:
            world.breaks("I10", f"{media_id} was erased, and {left} are there")
        if any(stored.personal for stored in stream):
            world.breaks("I10", f"{media_id} was erased, and its names are there")


def _acknowledged(world: "World") -> None:
    for one in world.watch.acknowledged:
        if one.message is not None:
            if one.message not in world.database.inbox:
                world.breaks("I5", f"the message {one.message} was answered 200 and is gone")
            continue
        item = None if one.media_id is None else world.item(one.media_id)
        if item is not None and item.status is Status.ERASED:
            continue
        if (
            item is None
            or (one.what == "erase")
            or (one.what == "complete" and item.etag is None)
            or (one.what == "retry" and item.attempt < 2)
        ):
            world.breaks("I5", f"{one.what} of {one.media_id} was answered 200 and is gone")


def _secrets(world: "World") -> None:
    database = world.database
    texts = [world.journal.logged()]
    texts += [stored.payload_json for stream in database.streams.values() for stored in stream]
    texts += [entry.last_error or "" for entry in database.outbox.values()]
    texts += [entry.verdict or "" for entry in database.inbox.values()]
    everything = "\n".join(texts)
    for secret in world.secrets:
        if secret in everything:
            world.breaks("I9", f"a secret of {len(secret)} characters was told")


def _failures(world: "World") -> None:
    """Every failure has a code that fits what happened; every other item is ready."""
    for media_id, stream in world.database.streams.items():
        attempt = 0
        for stored in stream:
            event = stored.event
            if isinstance(event, TranscodingRequested):
                attempt = event.attempt
            code = event.error_code if isinstance(event, TranscodingFailed) else None
            code = ErrorCode.UPLOAD_EXPIRED if isinstance(event, UploadExpired) else code
            if code is not None:
                world.counts[f"failed: {code}"] += 1
                if not _fits(world, media_id, attempt, code):
                    world.breaks("failure", f"{media_id} {attempt} failed with {code} for nothing")
        if isinstance(stream[-1].event, TranscodingCompleted):
            world.counts["ready"] += 1


def _fits(  # noqa: PLR0911 - one line a code
    world: "World", media_id: UUID, attempt: int, code: ErrorCode
) -> bool:
    creator, weather = world.items_by_id[media_id], world.weather

    def happened(why: str) -> int:
        return world.excuses[str(media_id), attempt, why]

    unknown = _made(world, media_id, attempt) - _jobs(world, media_id, attempt)
    restored = bool(world.restores)  # Jobs that it does not know of any more are lost to it.
    away = any(weather.lasted(name) for name in ("runpod", "bucket", "full", "key"))
    match code:
        case ErrorCode.INPUT_UNREADABLE:
            return creator.plan is Plan.BROKEN
        case ErrorCode.INPUT_CHANGED:
            return happened("replaced") > 0
        case ErrorCode.ENCODE_FAILED:
            return happened("encoder") > 0
        case ErrorCode.WORKER_LOST:
            return restored or happened("lost") + happened("spent") + unknown >= 2
        case ErrorCode.TIMED_OUT:
            return restored or happened("overtime") > 0 or unknown > 0 or away
        case ErrorCode.SUBMIT_REJECTED:
            return happened("refused") > 0
        case ErrorCode.SUBMIT_UNREACHABLE:
            return restored or unknown >= 2 or away
        case ErrorCode.OUTPUT_INVALID:
            return happened("foreign") + happened("decay") > 0
        case ErrorCode.STORAGE_UNAVAILABLE:
            return happened("bucket") + happened("stopped") > 0
        case ErrorCode.UPLOAD_EXPIRED:
            return creator.plan in {Plan.NEVER, Plan.WRONG_SIZE}
        case _:
            return False


def _made(world: "World", media_id: UUID, attempt: int) -> int:
    calls = world.database.calls.get((media_id, attempt))
    return 0 if calls is None else calls.made


def _jobs(world: "World", media_id: UUID, attempt: int) -> int:
    return sum(
        isinstance(stored.event, TranscodingSubmitted) and stored.event.attempt == attempt
        for stored in world.database.streams[media_id]
    )


async def _redelivery(world: "World") -> None:
    """I8: every message that ever was, again, under its own id and under new ones."""
    before = _state(world)
    services = compose(world, Life(Host("redelivery")))
    messages = [
        (channel, message_id, entry.message)
        for (channel, message_id), entry in world.database.inbox.items()
    ]
    for channel, message_id, message in messages:
        for again in (message_id, f"again-{message_id}"):
            await services.desk.take_in(
                channel, again, message.media_id, message.attempt, message.body
            )
    while await services.desk.process_once():
        pass
    for media_id, stream in world.database.streams.items():
        await _press_again(world, services, media_id, stream)
    if _state(world) != before:
        world.breaks("I8", "messages that were delivered again changed something")
    for text in world.journal.unforeseen:
        world.breaks("surprise", text)


async def _press_again(
    world: "World", services: Any, media_id: UUID, stream: list[StoredEvent]
) -> None:
    item: MediaItem | None = fold(stored.event for stored in stream)
    if item is not None and item.etag is not None:
        await services.uploads.complete(media_id, item.creator_id, stream[0].context)
    await services.outcomes.expire(media_id)
    await services.uploads.expire(media_id)


def _state(world: "World") -> Any:
    tables = world.database
    return (
        {media_id: len(stream) for media_id, stream in tables.streams.items()},
        dict(tables.rows),
        dict(tables.outbox),
        {job_id: job.closed for job_id, job in tables.jobs.items()},
        dict(tables.breakers),
        len(world.watch.owners),
        {key: stored.etag for key, stored in world.bucket.objects.items()},
        {key: e.verdict for key, e in tables.inbox.items() if not key[1].startswith("again-")},
    )
