"""RunPod's native webhook: a hint that makes us ask, never a fact."""

import json
import time
from uuid import UUID

import httpx
import pytest

from infra.capability import Capability, Purpose, mint
from infra.settings import CapabilityKey
from tests.api.gpu import WEBHOOK, Job
from tests.api.studio import Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")


def token(
    studio: Studio,
    media_id: UUID,
    purpose: Purpose = "webhook",
    life_s: int = 60,
    key: CapabilityKey | None = None,
) -> str:
    """A token for the item's first attempt, as it stands in the URL given to RunPod."""
    known = key or studio.service.settings.capability_keys[0]
    return mint(known, Capability(purpose, media_id, 1, int(time.time()) + life_s))


async def deliver(studio: Studio, url_token: str, body: bytes = b"{}") -> httpx.Response:
    """Post as RunPod does."""
    return await studio.service.http.post(f"{WEBHOOK}/{url_token}", content=body)


async def waits_s(studio: Studio, job: Job) -> float:
    """Seconds until the reconciler asks about the job."""
    seconds: float = await studio.service.services.pool.fetchval(
        "SELECT extract(epoch FROM next_poll_at - clock_timestamp())::float8 "
        "FROM vendor_jobs WHERE job_id = $1",
        job.job_id,
    )
    return seconds


async def work_off(studio: Studio) -> None:
    """Let the inbox come to its verdicts."""
    while await studio.service.services.desk.process_once():
        pass


async def verdicts(studio: Studio, job: Job) -> list[str]:
    """What became of the messages about the item."""
    rows = await studio.service.services.pool.fetch(
        "SELECT verdict FROM webhook_inbox WHERE channel = 'runpod' AND media_id = $1 ORDER BY id",
        job.media_id,
    )
    return [row["verdict"] for row in rows]


async def test_a_hint_makes_us_ask_soon(studio: Studio) -> None:
    job = await studio.transcoding()
    assert await waits_s(studio, job) > 5

    answer = await deliver(studio, token(studio, job.media_id), b'{"status": "COMPLETED"}')
    await work_off(studio)

    assert (answer.status_code, answer.json()) == (200, {"verdict": "accepted"})
    assert await verdicts(studio, job) == ["asking"]
    assert await waits_s(studio, job) <= 0


async def test_f09_the_body_is_kept_and_not_believed(studio: Studio) -> None:
    job = await studio.transcoding()
    body = json.dumps(
        {"id": job.job_id, "status": "COMPLETED", "output": {"mediaId": str(job.media_id)}}
    ).encode()

    await deliver(studio, token(studio, job.media_id), body)
    await work_off(studio)

    status = await studio.status(job.media_id)
    assert (status.status, status.version) == ("transcoding", 4)
    assert await verdicts(studio, job) == ["asking"]


async def test_a_failure_that_only_the_body_tells_is_not_believed(studio: Studio) -> None:
    job = await studio.transcoding()

    await deliver(studio, token(studio, job.media_id), b'{"status": "FAILED", "error": "x"}')
    await work_off(studio)

    assert (await studio.status(job.media_id)).status == "transcoding"


@pytest.mark.parametrize("body", [b"", b"nonsense", b"\x00\xff", b"[" * 5000])
async def test_any_body_is_a_hint(studio: Studio, body: bytes) -> None:
    job = await studio.transcoding()

    answer = await deliver(studio, token(studio, job.media_id), body)
    await work_off(studio)

    assert answer.json() == {"verdict": "accepted"}
    assert await verdicts(studio, job) == ["asking"]


async def test_f06_the_same_hint_twice_is_kept_once(studio: Studio) -> None:
    job = await studio.transcoding()
    url_token = token(studio, job.media_id)
    body = f'{{"id": "{job.job_id}"}}'.encode()

    answers = [(await deliver(studio, url_token, body)).json() for _ in range(3)]
    await work_off(studio)
    answers.append((await deliver(studio, url_token, body)).json())

    assert answers == [*[{"verdict": "accepted"}] * 3, {"verdict": "asking"}]
    assert await verdicts(studio, job) == ["asking"]


async def test_f07_a_hint_after_the_end_changes_nothing(studio: Studio) -> None:
    job = await studio.ready()

    answer = await deliver(studio, token(studio, job.media_id))
    await work_off(studio)

    assert answer.status_code == 200
    assert await verdicts(studio, job) == ["stale"]
    assert (await studio.status(job.media_id)).status == "ready"


def _flipped(text: str) -> str:
    return text[:-1] + ("A" if text[-1] != "A" else "B")


async def test_f08_a_token_that_is_not_ours_is_401_and_leaves_no_trace(studio: Studio) -> None:
    job = await studio.transcoding()
    good, known = token(studio, job.media_id), studio.service.settings.capability_keys[0]
    purpose, media, attempt, expiry, key_id, mac = good.split(".")
    count = "SELECT count(*) FROM webhook_inbox"
    before = await studio.service.services.pool.fetchval(count)
    refused = {
        "forged": _flipped(good),
        "expired": token(studio, job.media_id, life_s=-1),
        "for playback": token(studio, job.media_id, "play"),
        "of another key": token(studio, job.media_id, key=CapabilityKey(key_id, b"x" * 32)),
        "of an unknown key": token(studio, job.media_id, key=CapabilityKey("zz", known.secret)),
        "for another attempt": ".".join((purpose, media, "2", expiry, key_id, mac)),
        "prolonged": ".".join((purpose, media, attempt, f"{expiry}0", key_id, mac)),
        "without a MAC": ".".join((purpose, media, attempt, expiry, key_id, "")),
        "nonsense": "nonsense",
        "not ASCII": "\u00e9.\u00e9",
    }

    for what, url_token in refused.items():
        answer = await deliver(studio, url_token)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), what
        assert answer.json()["detail"] == "The token does not verify.", what

    assert await studio.service.services.pool.fetchval(count) == before
    assert await waits_s(studio, job) > 5


async def test_a_body_over_a_mebibyte_is_413(studio: Studio) -> None:
    job = await studio.transcoding()
    url_token = token(studio, job.media_id)

    answer = await deliver(studio, url_token, b" " * (1024 * 1024 + 1))

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert (await deliver(studio, url_token, b" " * (1024 * 1024))).status_code == 200
