"""The output gate on real objects: only a manifest that the bucket bears out counts."""

import hashlib
import json
import threading
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.commands import Outputs
from domain.errors import StorageUnavailable
from domain.events import MediaType
from domain.media import attempt_id
from domain.ports import OutputsInvalid
from gpu_worker.contract import ManifestObject
from infra.embedded.object_store import ObjectStore
from infra.object_storage import S3ObjectStorage, open_client, open_storage
from infra.output_gate import MAX_MANIFEST_BYTES, BucketOutputGate
from infra.settings import load
from tests import factories as f
from tests.conftest import SEAWEED_KEYS
from tests.faulty_store import Refusal, Request, faulty_store
from tests.infra.bucket import OpenBucket
from tests.infra.outputs import (
    ATTEMPT_ID,
    AUDIO_OBJECTS,
    LAYOUT,
    OBJECTS,
    RENDITION,
    audio_manifest,
    listed,
    manifest,
)
from tests.infra.variables import ENVIRON

PATIENCE_S = 20

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def judged(
    bucket: OpenBucket,
    of: MediaType = MediaType.VIDEO,
    attempt: UUID = ATTEMPT_ID,
    gate: BucketOutputGate | None = None,
) -> Outputs | OutputsInvalid | None:
    """What the gate says of what is in the bucket."""
    gate = gate or BucketOutputGate(bucket.storage)
    return await gate.inspect(f.MEDIA_ID, f.CREATOR, of, attempt)


async def reason(bucket: OpenBucket) -> str:
    """Why the gate refuses what is in the bucket."""
    found = await judged(bucket)
    assert isinstance(found, OutputsInvalid), found
    return found.reason


async def store(bucket: OpenBucket, body: str | bytes, objects: Mapping[str, bytes]) -> bytes:
    """Put the objects, and the manifest last."""
    encoded = body.encode() if isinstance(body, str) else body
    await bucket.put({**objects, LAYOUT.manifest: encoded})
    return encoded


async def test_outputs_that_fit_their_manifest_are_taken_over(open_bucket: OpenBucket) -> None:
    body = await store(open_bucket, manifest(encoder_note="no GPU").to_json(), OBJECTS)
    assert await judged(open_bucket) == f.video_outputs("no GPU")._replace(
        manifest_sha256=hashlib.sha256(body).hexdigest()
    )


async def test_audio_outputs_have_a_waveform_and_no_poster(open_bucket: OpenBucket) -> None:
    body = await store(open_bucket, audio_manifest().to_json(), AUDIO_OBJECTS)
    assert await judged(open_bucket, MediaType.AUDIO) == f.audio_outputs()._replace(
        manifest_sha256=hashlib.sha256(body).hexdigest()
    )


async def test_outputs_without_a_manifest_are_not_finished(open_bucket: OpenBucket) -> None:
    await open_bucket.put(OBJECTS)
    assert await judged(open_bucket) is None


async def test_manifest_of_another_attempt_does_not_count(open_bucket: OpenBucket) -> None:
    await store(open_bucket, manifest().to_json(), OBJECTS)
    assert await judged(open_bucket, attempt=attempt_id(f.MEDIA_ID, 2)) is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"schemaVersion": 3}', id="newer"),
        pytest.param(manifest(duration_seconds=-1).to_json().encode(), id="negative duration"),
        pytest.param(
            manifest().to_json().replace('s":12.5', 's":Infinity').encode(),
            id="endless",
        ),
        pytest.param(
            manifest().to_json().replace('"width":1280', '"width":4294967296').encode(),
            id="width that no column holds",
        ),
        pytest.param(
            manifest(encoder_note="n").to_json().replace('"n"', '"\\u0000"').encode(),
            id="note with NUL",
        ),
    ],
)
async def test_malformed_manifest_is_invalid(open_bucket: OpenBucket, body: bytes) -> None:
    await store(open_bucket, body, OBJECTS)
    assert "malformed" in await reason(open_bucket)


async def test_oversized_manifest_is_invalid(open_bucket: OpenBucket) -> None:
    await store(open_bucket, b" " * (MAX_MANIFEST_BYTES + 1), {})
    assert f"more than {MAX_MANIFEST_BYTES} bytes" in await reason(open_bucket)


@pytest.mark.parametrize("key", OBJECTS, ids=lambda key: key.rpartition("/")[2])
async def test_f15_object_that_is_missing_is_named(open_bucket: OpenBucket, key: str) -> None:
    left = {other: body for other, body in OBJECTS.items() if other != key}
    await store(open_bucket, manifest().to_json(), left)
    assert f"{key} is missing" in await reason(open_bucket)


@pytest.mark.parametrize(
    "key", [f"{LAYOUT.prefix}720p_000.ts", LAYOUT.thumbnail], ids=["segment", "poster"]
)
async def test_f15_object_of_another_size_is_named_with_both_sizes(
    open_bucket: OpenBucket, key: str
) -> None:
    declared = len(OBJECTS[key])
    await store(open_bucket, manifest().to_json(), OBJECTS | {key: b"short"[: declared - 1]})
    assert key in await reason(open_bucket)
    assert f"the manifest says {declared} bytes" in await reason(open_bucket)


FOREIGN = "creator-2/hls/0190a1b2-0000-4000-8000-000000000001/master.m3u8"


def without(key: str) -> tuple[ManifestObject, ...]:
    """The list of objects without one."""
    return tuple(found for found in listed(OBJECTS) if found.key != key)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"media_id": uuid4()}, "another item", id="another item"),
        pytest.param({"type": "audio"}, "another item", id="another type"),
        pytest.param({"hls_master_key": FOREIGN}, "not this item's", id="foreign master"),
        pytest.param({"hls_preview_key": LAYOUT.master}, "not this item's", id="wrong preview"),
        pytest.param({"thumbnail_key": FOREIGN}, "not this item's", id="foreign poster"),
        pytest.param({"waveform_key": FOREIGN}, "not this item's", id="foreign waveform"),
        pytest.param(
            {"objects": (*listed(OBJECTS), *listed({FOREIGN: b""}))},
            "lists objects that are not this item's",
            id="foreign object",
        ),
        pytest.param({"objects": ()}, "does not list", id="lists nothing"),
        pytest.param(
            {"objects": without(LAYOUT.master)}, f"not list {LAYOUT.master}", id="master unlisted"
        ),
        pytest.param(
            {"objects": without(LAYOUT.thumbnail)},
            f"not list {LAYOUT.thumbnail}",
            id="poster unlisted",
        ),
        pytest.param(
            {"objects": without(RENDITION.playlist_key)},
            f"not list {RENDITION.playlist_key}",
            id="rendition unlisted",
        ),
        pytest.param(
            {"objects": (*listed(OBJECTS), *listed({LAYOUT.master: b"two sizes"}))},
            f"{LAYOUT.master} has",
            id="one object of two sizes",
        ),
    ],
)
async def test_f12_manifest_that_names_what_it_must_not_is_refused(
    open_bucket: OpenBucket, changed: dict[str, Any], said: str
) -> None:
    await store(open_bucket, manifest(**changed).to_json(), OBJECTS | {FOREIGN: b""})
    assert said in await reason(open_bucket)


async def test_field_that_a_newer_worker_adds_is_ignored(open_bucket: OpenBucket) -> None:
    newer = json.loads(manifest().to_json()) | {"dolbyVision": True}
    await store(open_bucket, json.dumps(newer), OBJECTS)
    assert isinstance(await judged(open_bucket), Outputs)


SEGMENT = f"{LAYOUT.prefix}720p_000.ts"
CHANGED = b"G" * 187 + b"H"


def of_version_1() -> str:
    """The manifest as older workers write it: without MD5."""
    older = json.loads(manifest().to_json()) | {"schemaVersion": 1}
    for found in older["objects"]:
        del found["md5"]
    return json.dumps(older)


VERSIONS = pytest.mark.parametrize(
    "text", [manifest().to_json(), of_version_1()], ids=["with MD5", "version 1"]
)


@VERSIONS
async def test_i3_f15_one_changed_byte_is_found_and_named(
    open_bucket: OpenBucket, text: str
) -> None:
    await store(open_bucket, text, OBJECTS | {SEGMENT: CHANGED})
    assert await reason(open_bucket) == (
        f"The object {SEGMENT} is not the one that the manifest describes."
    )


@VERSIONS
async def test_i3_two_objects_in_each_others_place_are_found(
    open_bucket: OpenBucket, text: str
) -> None:
    swapped = {LAYOUT.master: b"#EXTM3U MASTER", SEGMENT: CHANGED}
    manifest_of = json.loads(text)
    for found in manifest_of["objects"]:
        body = (OBJECTS | swapped)[found["key"]]
        found["size"] = len(body)
    await store(open_bucket, json.dumps(manifest_of), OBJECTS | swapped)
    said = await reason(open_bucket)
    assert LAYOUT.master in said or SEGMENT in said


async def test_manifest_of_version_1_is_borne_out_by_reading(open_bucket: OpenBucket) -> None:
    await store(open_bucket, of_version_1(), OBJECTS)
    assert isinstance(await judged(open_bucket), Outputs)


async def test_manifest_of_version_2_without_an_md5_is_malformed(open_bucket: OpenBucket) -> None:
    text = of_version_1().replace('"schemaVersion": 1', '"schemaVersion": 2')
    await store(open_bucket, text, OBJECTS)
    assert "malformed" in await reason(open_bucket)


async def put_in_parts(bucket: OpenBucket, key: str, body: bytes) -> None:
    """Store `body` so that its ETag is no MD5."""
    at = {"Bucket": bucket.name, "Key": key}
    upload = await bucket.client.create_multipart_upload(**at)
    one = {"UploadId": upload["UploadId"], "PartNumber": 1}
    part = await bucket.client.upload_part(**at, **one, Body=body)
    done = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    await bucket.client.complete_multipart_upload(
        **at, UploadId=upload["UploadId"], MultipartUpload=done
    )


@pytest.mark.parametrize("key", [SEGMENT, LAYOUT.thumbnail], ids=["segment", "poster"])
async def test_object_whose_etag_is_no_md5_is_read(open_bucket: OpenBucket, key: str) -> None:
    await store(open_bucket, manifest().to_json(), OBJECTS)
    await put_in_parts(open_bucket, key, OBJECTS[key])
    assert isinstance(await judged(open_bucket), Outputs)
    await put_in_parts(open_bucket, key, OBJECTS[key][:-1] + b"?")
    assert f"{key} is not the one" in await reason(open_bucket)


async def test_bucket_that_does_not_answer_a_read_says_nothing_of_the_outputs(
    open_bucket: OpenBucket, s3_endpoint: str
) -> None:
    await store(open_bucket, of_version_1(), OBJECTS)
    with faulty_store(s3_endpoint) as faulty:
        refusal = Refusal(403, "AccessDenied")
        faulty.rule = lambda request: refusal if request.path.endswith("_000.ts") else None
        settings = load(ENVIRON | {"R2_ENDPOINT": faulty.url, "R2_BUCKET": open_bucket.name})
        async with open_storage(settings) as storage:
            with pytest.raises(StorageUnavailable, match="AccessDenied"):
                await judged(open_bucket, gate=BucketOutputGate(storage))


async def test_reading_that_takes_too_long_goes_on_where_it_was(
    open_bucket: OpenBucket, s3_endpoint: str
) -> None:
    await store(open_bucket, of_version_1(), OBJECTS)
    stuck = threading.Event()
    with faulty_store(s3_endpoint) as faulty:

        def hold_one(request: Request) -> None:
            if request.path.endswith("/720p_000.ts"):
                stuck.wait(PATIENCE_S)

        faulty.rule = hold_one
        settings = load(ENVIRON | {"R2_ENDPOINT": faulty.url, "R2_BUCKET": open_bucket.name})
        async with open_storage(settings) as storage:
            gate = BucketOutputGate(storage, reading_limit_s=2)
            with pytest.raises(StorageUnavailable, match="in time"):
                await judged(open_bucket, gate=gate)
            stuck.set()
            faulty.seen.clear()
            assert isinstance(await judged(open_bucket, gate=gate), Outputs)
    read = {path.rpartition("/")[2] for method, path in faulty.seen if method == "GET"}
    assert read == {open_bucket.name, "manifest.json", "720p_000.ts"}


async def test_outputs_in_the_embedded_store_are_borne_out_by_their_etags(
    seaweed: ObjectStore,
) -> None:
    settings = load(
        ENVIRON
        | {
            "R2_ENDPOINT": seaweed.endpoint,
            "R2_BUCKET": seaweed.bucket,
            "R2_ACCESS_KEY_ID": SEAWEED_KEYS.access_key_id,
            "R2_SECRET_ACCESS_KEY": SEAWEED_KEYS.secret_access_key,
        }
    )
    async with open_client(settings) as client:
        storage = S3ObjectStorage(client, seaweed.bucket, 60)
        bucket = OpenBucket(storage, client, seaweed.bucket)
        await store(bucket, manifest().to_json(), OBJECTS)
        impatient = BucketOutputGate(storage, reading_limit_s=0)  # no ETag is in doubt
        assert isinstance(await judged(bucket, gate=impatient), Outputs)
        await bucket.put({SEGMENT: CHANGED})
        assert SEGMENT in await reason(bucket)
