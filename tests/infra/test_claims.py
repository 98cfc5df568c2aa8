"""The bucket's word on who works on an attempt, as the service reads it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from moto.s3.models import s3_backends

from domain.errors import StorageUnavailable
from domain.media import attempt_id
from domain.ports import ClaimHolder
from gpu_worker.contract import Claim, claim_key
from infra.claims import MAX_CLAIM_BYTES, BucketClaims
from infra.embedded.object_store import ObjectStore
from infra.embedded.ports import free_port
from infra.object_storage import S3ObjectStorage, open_client, open_storage
from infra.settings import load
from tests import factories as f
from tests.conftest import SEAWEED_KEYS
from tests.infra.bucket import OpenBucket
from tests.infra.variables import ENVIRON

MOTO_ACCOUNT = "123456789012"


def claim(item: UUID, **changed: object) -> Claim:
    """A worker's claim of the item's first attempt."""
    whole = Claim(
        media_id=item,
        attempt=1,
        attempt_id=attempt_id(item, 1),
        job_id=f.job_id(),
        worker=f.WORKER,
        holder=uuid4(),
        renewals=3,
    )
    return whole.model_copy(update=changed)


class Place(NamedTuple):
    """One new item's claims in a bucket."""

    bucket: OpenBucket
    media_id: UUID

    async def keep(self, body: Claim | bytes) -> None:
        text = body.to_json().encode() if isinstance(body, Claim) else body
        await self.bucket.put({claim_key(f.CREATOR, self.media_id, 1): text})

    async def holder(self) -> ClaimHolder | None:
        claims = BucketClaims(self.bucket.storage)
        return await claims.holder(f.CREATOR, self.media_id, 1)


@pytest_asyncio.fixture
async def seaweed_place(seaweed: ObjectStore) -> AsyncIterator[Place]:
    keys = {
        "R2_ENDPOINT": seaweed.endpoint,
        "R2_BUCKET": seaweed.bucket,
        "R2_ACCESS_KEY_ID": SEAWEED_KEYS.access_key_id,
        "R2_SECRET_ACCESS_KEY": SEAWEED_KEYS.secret_access_key,
    }
    async with open_client(load(ENVIRON | keys)) as client:
        storage = S3ObjectStorage(client, seaweed.bucket, 60)
        yield Place(OpenBucket(storage, client, seaweed.bucket), uuid4())


@pytest_asyncio.fixture
async def place(s3_endpoint: str, bucket: str) -> AsyncIterator[Place]:
    async with open_client(load(ENVIRON | {"R2_ENDPOINT": s3_endpoint})) as client:
        yield Place(OpenBucket(S3ObjectStorage(client, bucket, 60), client, bucket), uuid4())


async def test_attempt_that_nobody_claimed_has_no_holder(place: Place) -> None:
    assert await place.holder() is None


async def test_claim_names_its_job_and_its_age_grows_until_it_is_renewed(place: Place) -> None:
    await place.keep(claim(place.media_id))
    first = await place.holder()
    assert first is not None
    assert (first.job_id, first.released) == (f.job_id(), False)
    backdate(place, 100)
    later = await place.holder()
    assert later is not None
    assert 100 <= later.age_s < 160
    await place.keep(claim(place.media_id, renewals=4))
    renewed = await place.holder()
    assert renewed is not None
    assert renewed.age_s < 60


def backdate(place: Place, seconds: int) -> None:
    """Make the claim older on the bucket's clock."""
    backend = s3_backends[MOTO_ACCOUNT]["aws"]
    stored = backend.get_object(place.bucket.name, claim_key(f.CREATOR, place.media_id, 1))
    stored.last_modified -= timedelta(seconds=seconds)


async def test_age_is_told_by_the_embedded_store_too(seaweed_place: Place) -> None:
    assert await seaweed_place.holder() is None
    await seaweed_place.keep(claim(seaweed_place.media_id, released=True))
    found = await seaweed_place.holder()
    assert found is not None
    assert (found.job_id, found.released) == (f.job_id(), True)
    assert 0 <= found.age_s < 60


async def test_claim_of_a_newer_worker_is_read(place: Place) -> None:
    newer = claim(place.media_id).to_json().replace("{", '{"gpu":"L4",', 1)
    await place.keep(newer.replace('"schemaVersion":1', '"schemaVersion":2').encode())
    found = await place.holder()
    assert found is not None
    assert found.job_id == f.job_id()


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"job_id": "../../v2/other"}, id="path"),
        pytest.param({"job_id": ""}, id="no job"),
        pytest.param({"job_id": "x" * 101}, id="long job"),
        pytest.param({"job_id": "job\n"}, id="line"),
        pytest.param({"media_id": uuid4()}, id="another item"),
        pytest.param({"attempt": 2}, id="another attempt"),
        pytest.param({"attempt": 0}, id="no attempt"),
    ],
)
async def test_claim_that_does_not_fit_is_held_by_nobody(
    place: Place, changed: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    await place.keep(claim(place.media_id, **changed))
    assert await place.holder() is None
    assert "claim media=" in caplog.text


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b"[" * 10_000, b" " * (MAX_CLAIM_BYTES + 1)]
)
async def test_object_that_is_no_claim_is_held_by_nobody_and_logged(
    place: Place, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await place.keep(body)
    assert await place.holder() is None
    assert f"malformed claim media={place.media_id} attempt=1" in caplog.text


async def test_bucket_that_does_not_answer_is_not_taken_for_an_unclaimed_attempt() -> None:
    closed = {"R2_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    async with open_storage(load(ENVIRON | closed)) as storage:
        with pytest.raises(StorageUnavailable):
            await BucketClaims(storage).holder(f.CREATOR, uuid4(), 1)
