"""All that is one item's in the bucket goes, and nothing of anybody else's."""

from uuid import uuid4

import pytest

from gpu_worker.contract import OutputLayout, chunks_prefix, claim_key
from infra import item_objects
from infra.item_objects import prefixes
from tests import factories as f
from tests.infra.bucket import OpenBucket

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER = uuid4()
LAYOUT = OutputLayout(f.CREATOR, f.MEDIA_ID)
OWN = (
    f"{f.CREATOR}/originals/{f.MEDIA_ID}/holiday.mp4",
    LAYOUT.master,
    LAYOUT.manifest,
    LAYOUT.preview,
    LAYOUT.extras,
    LAYOUT.animated,
    LAYOUT.thumbnail,
    LAYOUT.waveform,
    claim_key(f.CREATOR, f.MEDIA_ID, 1),
    claim_key(f.CREATOR, f.MEDIA_ID, 2),
    f"{chunks_prefix(f.CREATOR, f.MEDIA_ID)}1/plan",
    *(f"{LAYOUT.prefix}1080p_{number:03}.ts" for number in range(40)),
)
FOREIGN = (
    f"{f.CREATOR}/originals/{OTHER}/holiday.mp4",
    f"creator-2/originals/{f.MEDIA_ID}/holiday.mp4",
    f"{f.CREATOR}/originals/{f.MEDIA_ID}-b/holiday.mp4",
    "probes/write",
)


async def keys(bucket: OpenBucket) -> set[str]:
    return {found.key async for found in bucket.storage.listing("")}


async def test_all_that_is_an_items_is_removed_and_nothing_else(open_bucket: OpenBucket) -> None:
    await open_bucket.put(dict.fromkeys((*OWN, *FOREIGN), b"x"))
    for key in (OWN[0], FOREIGN[0]):
        await open_bucket.client.create_multipart_upload(Bucket=open_bucket.name, Key=key)
    objects = open_bucket.storage.of_items()
    assert await objects.clear(f.CREATOR, f.MEDIA_ID) == len(OWN) + 1
    assert await keys(open_bucket) == set(FOREIGN)
    left = await open_bucket.client.list_multipart_uploads(Bucket=open_bucket.name)
    assert [each["Key"] for each in left["Uploads"]] == [FOREIGN[0]]
    assert await objects.clear(f.CREATOR, f.MEDIA_ID) == 0


async def test_one_turn_removes_a_part_of_very_many(
    open_bucket: OpenBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_objects, "MOST", 20)
    await open_bucket.put(dict.fromkeys(OWN, b"x"))
    objects, turns = open_bucket.storage.of_items(), []
    while removed := await objects.clear(f.CREATOR, f.MEDIA_ID):
        turns.append(removed)
    assert sum(turns) == len(OWN)
    assert max(turns) <= 20 + item_objects.AT_ONCE


async def test_every_prefix_ends_with_the_item() -> None:
    assert all(prefix.endswith(f"/{f.MEDIA_ID}/") for prefix in prefixes(f.CREATOR, f.MEDIA_ID))
    assert len(set(prefixes(f.CREATOR, f.MEDIA_ID))) == 6
