"""What is sent to RunPod with a job: the contract's input, a policy, a webhook, and no secret."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from domain.ports import TranscodingJob
from infra.capability import Capability, verify
from infra.runpod_transcoder import open_transcoder
from infra.settings import load
from tests import factories as f
from tests.infra.job import ACCEPTED, JOB
from tests.infra.raw_http import raw_server
from tests.infra.variables import ENVIRON, SECRETS

SETTINGS = load(ENVIRON)


async def sent(job: TranscodingJob, **changed: str) -> dict[str, Any]:
    """The body of `/run` for `job`, submitted at `f.NOW`."""
    async with raw_server(ACCEPTED) as server:
        settings = load(ENVIRON | changed | {"RUNPOD_BASE_URL": server.url})
        async with open_transcoder(settings) as transcoder:
            assert await transcoder.submit(job, f.NOW) == "eaebd6e7-u1"
    ((head, body),) = server.requests
    assert head.startswith("POST /v2/endpoint/run HTTP/1.1\r\n")
    assert "authorization: bearer rpa_sesame\r\n" in head.lower()
    found: dict[str, Any] = json.loads(body)
    return found


async def test_an_assistant_is_told_so_and_nobody_hears_of_its_end() -> None:
    body = await sent(JOB._replace(assist=True))
    assert body["input"]["assist"] is True
    assert "webhook" not in body


async def test_request_has_the_input_of_the_contract_and_no_secret() -> None:
    body = await sent(JOB)
    assert body["input"] == {
        "schemaVersion": 1,
        "mediaId": str(f.MEDIA_ID),
        "attempt": 1,
        "attemptId": str(JOB.attempt_id),
        "type": "video",
        "creatorId": f.CREATOR,
        "inputKey": JOB.input_key,
        "inputEtag": f.ETAG,
        "webhookUrl": "https://media.test/api/transcoding/webhook",
        "traceparent": f.TRACEPARENT,
    }
    text = json.dumps(body)
    secrets = {part for value in SECRETS.values() for part in (value, value.partition(":")[2])}
    assert not any(secret in text for secret in secrets if secret)
    token = urlsplit(body["webhook"]).path.rpartition("/")[2]
    assert token not in json.dumps(body["input"])


async def test_native_webhook_bears_a_token_for_this_attempt_that_outlives_it() -> None:
    before, _, token = (await sent(JOB))["webhook"].rpartition("/")
    assert before == "https://media.test/api/transcoding/webhook"
    deadline_s = int(JOB.deadline.timestamp())
    found = verify(SETTINGS.capability_keys, token, "webhook", deadline_s)
    assert found == Capability("webhook", f.MEDIA_ID, 1, deadline_s + 3600)


@pytest.mark.parametrize(
    ("left", "execution_ms", "ttl_ms"),
    [
        pytest.param(timedelta(hours=6), 7_200_000, 21_600_000, id="time enough"),
        pytest.param(timedelta(hours=1), 3_600_000, 3_600_000, id="less than a run may take"),
        pytest.param(timedelta(seconds=11), 11_000, 11_000, id="nearly over"),
        pytest.param(timedelta(seconds=1), 10_000, 10_000, id="less than RunPod takes"),
        pytest.param(timedelta(hours=-1), 10_000, 10_000, id="over"),
    ],
)
async def test_policy_lets_no_job_outlive_its_attempt(
    left: timedelta, execution_ms: int, ttl_ms: int
) -> None:
    body = await sent(JOB._replace(deadline=f.NOW + left))
    assert body["policy"] == {
        "executionTimeout": execution_ms,
        "ttl": ttl_ms,
        "lowPriority": False,
    }


async def test_absent_traceparent_is_left_out() -> None:
    assert "traceparent" not in (await sent(JOB._replace(traceparent=None)))["input"]
