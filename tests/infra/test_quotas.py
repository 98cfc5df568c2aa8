"""How much one creator may upload: counted where nobody can slip through between."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest

from domain.errors import QuotaExceeded, QuotaUsedUp, UploadRefused
from domain.use_cases import Registration
from infra.bootstrap import Services
from infra.postgres.pool import Pool
from infra.postgres.queries import sql
from infra.settings import SettingsInvalid, load
from tests import factories as f
from tests.infra.conftest import OpenWith
from tests.infra.variables import ENVIRON

AT_ONCE = 16


async def register(
    services: Services, size: int = 100, key: str | None = None, creator: str = f.CREATOR
) -> str:
    """Register a file; `in`, or the refusal's class."""
    wanted = Registration(creator, "a.mp4", "video/mp4", size, key)
    try:
        await services.uploads.register(wanted, f.context())
    except QuotaExceeded as refusal:
        return type(refusal).__name__
    return "in"


async def test_sixteen_at_once_do_not_pass_a_quota_of_five(
    open_with: OpenWith, owner: Pool
) -> None:
    async with open_with(QUOTA_UPLOADING="5") as services:
        told = Counter(await asyncio.gather(*(register(services) for _ in range(AT_ONCE))))
        assert told == {"in": 5, "QuotaUsedUp": AT_ONCE - 5}
        assert await owner.fetchval("SELECT count(*) FROM media_items") == 5
        assert await register(services, creator="creator-2") == "in", "others have their own"
        media_id = await owner.fetchval(
            "SELECT id FROM media_items WHERE creator_id = $1", f.CREATOR
        )
        await services.uploads.abandon(media_id, f.CREATOR, f.context())
        assert [await register(services) for _ in range(2)] == ["in", "QuotaUsedUp"]


async def test_a_second_registration_waits_for_the_first_to_be_counted(
    open_with: OpenWith,
) -> None:
    async with open_with(QUOTA_UPLOADING="1") as services:
        assert services.uploads.quotas is not None
        async with services.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            reserve = sql("reserve_upload")
            limits = (1, None, None, None, None)
            await connection.fetch(reserve, f.MEDIA_ID, f.CREATOR, 1, timedelta(days=9), *limits)
            second = asyncio.create_task(services.uploads.quotas.reserve(uuid4(), f.CREATOR, 1))
            await asyncio.sleep(0.3)
            assert not second.done(), "it does not count what is being counted"
            await transaction.commit()
        with pytest.raises(QuotaUsedUp):
            await second


async def test_the_same_request_again_is_no_second_item(open_with: OpenWith) -> None:
    async with open_with(QUOTA_ITEMS_DAY="1") as services:
        assert [await register(services, key="one") for _ in range(3)] == ["in"] * 3
        assert await register(services, key="two") == "QuotaUsedUp"


@pytest.mark.parametrize(
    ("quota", "told"),
    [
        ("QUOTA_ITEMS", ["in", "in", "QuotaExceeded"]),
        ("QUOTA_ITEMS_DAY", ["in", "in", "QuotaUsedUp"]),
        ("QUOTA_BYTES", ["in", "QuotaExceeded", "QuotaExceeded"]),
        ("QUOTA_BYTES_DAY", ["in", "QuotaUsedUp", "QuotaUsedUp"]),
    ],
)
async def test_each_quota_is_kept(
    open_with: OpenWith, owner: Pool, quota: str, told: list[str]
) -> None:
    most = "150" if "BYTES" in quota else "2"
    async with open_with(**{quota: most}) as services:
        assert [await register(services) for _ in told] == told
        await owner.execute("UPDATE media_items SET created_at = now() - interval '25 hours'")
        assert await register(services) == ("in" if quota.endswith("DAY") else "QuotaExceeded")


async def test_a_refusal_says_what_is_used_and_what_to_do(open_with: OpenWith, owner: Pool) -> None:
    async with open_with(QUOTA_ITEMS_DAY="1") as services:
        await register(services)
        await owner.execute("UPDATE media_items SET created_at = now() - interval '23 hours'")
        wanted = Registration(f.CREATOR, "b.mp4", "video/mp4", 1)
        with pytest.raises(QuotaUsedUp, match="1 files within 24 hours, and 1 are") as told:
            await services.uploads.register(wanted, f.context())
        assert told.value.retry_after_s is not None
        assert 3_500 < told.value.retry_after_s <= 3_600


async def test_a_registration_that_never_came_is_forgotten(
    open_with: OpenWith, owner: Pool
) -> None:
    async with open_with(QUOTA_UPLOADING="1") as services:
        assert services.uploads.quotas is not None
        await services.uploads.quotas.reserve(f.MEDIA_ID, f.CREATOR, 1)
        assert await register(services) == "QuotaUsedUp"
        long_ago = "UPDATE upload_reservations SET reserved_at = now() - interval '11 minutes'"
        await owner.execute(long_ago)
        assert await register(services) == "in"
        left = await owner.fetchval("SELECT count(*) FROM upload_reservations")
        assert left == 1, "the newest"


async def test_only_the_types_that_are_taken_are_registered(open_with: OpenWith) -> None:
    async with open_with(UPLOAD_TYPES="video/mp4 audio/*") as services:
        assert await register(services) == "in"
        with pytest.raises(UploadRefused, match="these are: video/mp4, audio/"):
            await services.uploads.register(
                Registration(f.CREATOR, "a.mov", "video/quicktime", 1), f.context()
            )


@pytest.mark.parametrize(
    ("name", "value"),
    [("UPLOAD_TYPES", "image/png"), ("UPLOAD_TYPES", "*/*"), ("QUOTA_ITEMS", "0")],
)
async def test_a_policy_that_is_none_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=name):
        load(ENVIRON | {name: value})
