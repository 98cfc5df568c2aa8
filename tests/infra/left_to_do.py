"""Items with something left to do, and what became of them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.failure import ErrorCode
from domain.media import MediaItem, fold
from infra.bootstrap import Services
from infra.embedded.ports import free_port
from infra.loops import dispatch_once
from tests import factories as f
from tests.infra import lives
from tests.infra.lives import Life, append, live

AWAY = {"RUNPOD_BASE_URL": f"http://127.0.0.1:{free_port()}"}
"""A transcoder that does not answer."""


async def item_of(services: Services, media_id: UUID = f.MEDIA_ID) -> MediaItem:
    """The item as its history makes it."""
    item = fold(stored.event for stored in await services.store.load(media_id))
    assert item is not None
    return item


async def failure_of(services: Services, media_id: UUID = f.MEDIA_ID) -> ErrorCode | None:
    """Why the item failed; None unless it did."""
    failure = (await item_of(services, media_id)).failure
    return None if failure is None else failure.code


def from_now(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def waiting(seconds_left: float) -> Life:
    """An item whose attempt needs a job and must end in so many seconds."""
    requested = f.transcoding_requested().model_copy(update={"deadline": from_now(seconds_left)})
    return (*lives.REGISTERED, (f.upload_completed(), requested))


def announced(seconds_left: float) -> Life:
    """An item whose file must arrive in so many seconds."""
    return ((f.registered().model_copy(update={"upload_deadline": from_now(seconds_left)}),),)


async def watched(services: Services, job_id: str, seconds_left: float = 3600) -> None:
    """An item whose one job is due to be asked about."""
    await live(services.store, waiting(seconds_left))
    await append(services.store, [f.transcoding_submitted(1, job_id)])
    await services.watchlist.hurry(f.MEDIA_ID, 1)


async def real_job(services: Services) -> str:
    """An item whose job is queued at the stand-in and due to be asked about."""
    await live(services.store, waiting(3600))
    assert await dispatch_once(services)
    await services.watchlist.hurry(f.MEDIA_ID, 1)
    job_id = (await item_of(services)).runpod_job_id
    assert job_id is not None
    return job_id
