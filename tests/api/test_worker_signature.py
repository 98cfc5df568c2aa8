"""Only what our worker signed is listened to; anything else leaves no trace."""

import base64
import time
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks import Webhook

from gpu_worker.signature import sign
from tests.api.gpu import WEBHOOK, failure
from tests.api.studio import Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")

OTHER_SECRET = f"whsec_{base64.b64encode(b'x' * 32).decode()}"


async def counts(studio: Studio) -> list[int]:
    """How many rows every table has that a webhook may write to."""
    tables = ("events", "webhook_inbox", "progress", "outbox", "vendor_jobs", "media_items")
    pool = studio.service.services.pool
    return [await pool.fetchval(f"SELECT count(*) FROM {table}") for table in tables]  # noqa: S608


NOW = int(time.time())
UNSIGNED = {
    "no headers": {},
    "no signature": {"webhook-id": "msg_1", "webhook-timestamp": str(NOW)},
    "no time": {"webhook-id": "msg_1", "webhook-signature": "v1,AAAA"},
    "forged": {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(NOW),
        "webhook-signature": "v1,AAAA v2,BBBB",
    },
    "odd": {"webhook-id": "msg_1", "webhook-timestamp": "now", "webhook-signature": "ü"},
}


@pytest.mark.parametrize("headers", UNSIGNED.values(), ids=UNSIGNED)
async def test_f08_what_is_not_signed_is_401_and_leaves_no_trace(
    studio: Studio, headers: dict[str, str]
) -> None:
    job = await studio.transcoding()
    before = await counts(studio)
    body = failure(job).to_json().encode()

    raw = {name: value.encode() for name, value in headers.items()}
    refused(await studio.service.http.post(WEBHOOK, content=body, headers=raw))
    assert await counts(studio) == before


@pytest.mark.parametrize(
    ("age_s", "secret"), [(310, None), (-310, None), (0, OTHER_SECRET)], ids=["old", "early", "key"]
)
async def test_f08_what_is_signed_wrongly_is_401_and_leaves_no_trace(
    studio: Studio, age_s: int, secret: str | None
) -> None:
    job = await studio.transcoding()
    before = await counts(studio)
    body = failure(job).to_json().encode()

    refused(await studio.gpu.deliver(body, age_s=age_s, secret=secret))
    assert await counts(studio) == before


async def test_a_signature_fits_one_body_only(studio: Studio) -> None:
    job = await studio.transcoding()
    body = failure(job).to_json().encode()
    headers = sign(studio.service.settings.webhook_keys[0], "msg_1", int(time.time()), body)

    refused(await studio.service.http.post(WEBHOOK, content=body + b" ", headers=headers))


def refused(answer: httpx.Response) -> None:
    """401, without a word on which check failed."""
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.json()["detail"] == "The signature does not verify."


async def test_the_standards_own_library_can_sign_for_us(studio: Studio) -> None:
    job = await studio.transcoding()
    body = failure(job).to_json()
    moment = datetime.now(UTC)
    signature = Webhook(studio.service.settings.webhook_keys[0]).sign("msg_std", moment, body)
    headers = {
        "webhook-id": "msg_std",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }

    answer = await studio.service.http.post(WEBHOOK, content=body, headers=headers)

    assert answer.json() == {"verdict": "failed"}


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"nonsense", b'{"jobId": "j", "status": "gone", "output": {}}']
)
async def test_f08_a_signed_body_that_is_no_report_is_422(studio: Studio, body: bytes) -> None:
    before = await counts(studio)

    answer = await studio.gpu.deliver(body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"]
    assert await counts(studio) == before


async def test_a_report_over_64_kib_is_413(studio: Studio) -> None:
    answer = await studio.gpu.deliver(b" " * 65_537)

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
