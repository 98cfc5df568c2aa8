"""What is told of every request: in the log, in the answer, in the metrics."""

import asyncio
import logging
import re
from uuid import uuid4

import asyncpg
import pytest
from botocore.client import BaseClient
from prometheus_client.parser import text_string_to_metric_families

from gpu_worker.contract import Timing
from gpu_worker.contract_logs import bound
from gpu_worker.contract_trace import below, parse, tracing
from gpu_worker.signature import sign
from infra.loops import dispatch_once
from infra.settings import load
from tests.api.gpu import WEBHOOK, completion
from tests.api.observing import logged
from tests.api.service import Service, running
from tests.api.studio import Studio
from tests.api.test_playback import token

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN = f"00-{TRACE}-00f067aa0ba902b7-01"


async def test_a_request_is_one_line_with_its_ids_and_no_path(studio: Studio) -> None:
    media_id = (await studio.register()).media.id
    with logged() as lines:
        await studio.get(
            f"/api/transcoding/status/{media_id}", x_request_id="mine.1", traceparent=GIVEN
        )
    (line,) = lines.of("api.access")
    assert (line["method"], line["route"], line["status"]) == (
        "GET",
        "/api/transcoding/status/{media_id}",
        200,
    )
    assert (line["request_id"], line["trace_id"]) == ("mine.1", TRACE)
    assert line["media_id"] == str(media_id)
    assert 0 < line["duration_ms"] < 10_000
    assert f"status/{media_id}" not in str(lines.of("api"))


@pytest.mark.parametrize("given", ["", "has space", "x" * 65, "-x", 'a"b', "a\u00e9"])
async def test_a_request_id_is_ours_where_none_or_a_strange_one_came(
    studio: Studio, given: str
) -> None:
    headers = [(b"x-request-id", given.encode())]
    answer = await studio.service.http.get("/livez", headers=headers)
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


async def test_tokens_in_paths_are_in_no_line(studio: Studio, service: Service) -> None:
    media_id = (await studio.register()).media.id
    play, hook = token(studio, media_id), token(studio, media_id, "webhook")
    with logged(logging.DEBUG) as lines:
        await service.http.get(f"/api/playback/{play}/master.m3u8?secret={play}")
        await service.http.post(f"{WEBHOOK}/{hook}", content=b"{}")
        await service.http.post(f"{WEBHOOK}/{hook}x", content=b"{}")
        await service.http.get(f"/nowhere/{play}")
        await service.http.request("TRACE", f"/api/media/{play}")
        mine = lines.of("api")
    routes = [line["route"] for line in mine if line["logger"] == "api.access"]
    assert routes == [
        "/api/playback/{token}/{path:path}",
        "/api/transcoding/webhook/{token}",
        "/api/transcoding/webhook/{token}",
        "(no route)",
        "/api/media/{media_id}",
    ]
    assert play not in str(mine)
    assert hook not in str(mine)
    assert mine[1]["media_id"] == str(media_id), "the token's bearer is about an item"


async def test_probes_are_told_at_debug_alone(service: Service) -> None:
    with logged() as lines:
        await service.http.get("/livez")
    assert not lines.of("api.access")


async def test_a_bug_is_logged_with_the_id_that_its_answer_has(
    environ: dict[str, str], s3: BaseClient
) -> None:
    async with running(load(environ)) as broken:
        owner = await asyncpg.connect(environ["DATABASE_URL"])
        await owner.execute("ALTER TABLE media_items RENAME TO elsewhere")
        await owner.close()
        with logged() as lines:
            answer = await Studio(broken, s3, "alice").get("/api/media", x_request_id="bug-1")
    assert answer.status_code == 500
    assert answer.json()["requestId"] == answer.headers["x-request-id"] == "bug-1"
    (told,) = lines.of("api.observed")
    assert (told["request_id"], told["level"]) == ("bug-1", "ERROR")
    assert "UndefinedTableError" in told["exception"]
    (line,) = lines.of("api.access")
    assert line["status"] == 500


async def test_one_upload_is_one_trace_whoever_acts_on_it(studio: Studio) -> None:
    with logged() as lines:
        media_id = await studio.uploaded()
        await studio.complete(media_id)
        job = await studio.job(media_id)
        await studio.gpu.start(job)
        await studio.gpu.finish(job)
        native = token(studio, media_id, "webhook")
        await studio.service.http.post(f"{WEBHOOK}/{native}", content=b"{}")
    history = (await studio.get(f"/api/media/{media_id}/events")).json()["events"]
    traces = {parse(event["traceparent"]) for event in history}
    (trace_id,) = {trace.trace_id for trace in traces if trace}
    assert len(traces) == 4, "register, complete, started and completed: a span each"
    (said,) = (line for line in lines.of("domain") if "says completed" in line["message"])
    assert (said["trace_id"], said["media_id"], said["attempt"], said["job_id"]) == (
        trace_id,
        str(media_id),
        1,
        job.job_id,
    )
    completed = [line for line in lines.of("api.access") if line["route"].endswith("/complete")]
    assert completed[0]["trace_id"] == trace_id
    hooks = [line for line in lines.of("api.access") if line["route"].endswith("{token}")]
    assert hooks[0]["trace_id"] == trace_id, "though RunPod names none"


async def test_a_loop_goes_on_with_the_trace_of_the_item(studio: Studio) -> None:
    services = studio.service.services
    media_id = await studio.uploaded()
    await services.pool.execute(
        "INSERT INTO breakers (name, reason, next_probe_at) VALUES ('bucket', 'x', 'infinity')"
    )
    try:
        await studio.post(f"/api/media/{media_id}/complete", traceparent=GIVEN)
    finally:
        await services.pool.execute("DELETE FROM breakers")
    with logged() as lines:
        while await dispatch_traced(studio):
            pass
    told = [line for line in lines.of("infra.loops") if line.get("media_id") == str(media_id)]
    assert [line["trace_id"] for line in told] == [TRACE]


async def dispatch_traced(studio: Studio) -> bool:
    """A step of the dispatcher, as its loop makes it."""
    with bound(loop="dispatcher"), tracing(below(None)):
        return await dispatch_once(studio.service.services)


async def samples(service: Service, name: str) -> dict[tuple[str, ...], float]:
    """A metric's samples by their labels' values, in the order of the labels' names."""
    text = (await service.http.get("/metrics")).text
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"codex_media_{name}"
    }


async def test_requests_are_counted_by_template_and_never_by_what_came(service: Service) -> None:
    for number in range(3):
        await service.http.get(f"/nowhere-{number}-{uuid4()}")
        await service.http.request(f"MADE{number}", "/livez")
    found = await samples(service, "request_seconds_count")
    assert found["GET", "(no route)", "4xx"] >= 3
    assert found["OTHER", "/livez", "4xx"] >= 3
    assert not [labels for labels in found if "nowhere" in str(labels) or "MADE" in str(labels)]


async def test_stages_of_a_finished_job_are_measured_once(studio: Studio) -> None:
    service, job = studio.service, await studio.transcoding()
    before = await samples(service, "stage_seconds_sum")
    webhooks = await samples(service, "webhooks_total")
    timing = Timing(stage_seconds={"encode": 3.5, "of_a_newer_worker": 1.0})
    done = completion(job)
    done = done.model_copy(update={"output": done.output.model_copy(update={"timing": timing})})
    studio.gpu.write(job)
    for _ in range(2):
        assert (await studio.gpu.report(done, "msg_once")).json() == {"verdict": "ready"}
    after = await samples(service, "stage_seconds_sum")
    told = {labels: after[labels] - before.get(labels, 0) for labels in after}
    assert {labels: grown for labels, grown in told.items() if grown} == {("video", "encode"): 3.5}
    grown = await samples(service, "webhooks_total")
    for verdict in ("ready", "repeated"):
        assert grown["worker", verdict] == webhooks.get(("worker", verdict), 0) + 1


async def test_runpod_calls_are_timed_by_their_result(studio: Studio) -> None:
    before = await samples(studio.service, "runpod_call_seconds_count")
    await studio.transcoding()
    await studio.service.services.transcoder.status("no-such-job")
    after = await samples(studio.service, "runpod_call_seconds_count")
    for labels in (("run", "ok"), ("status", "not_found")):
        assert after[labels] == before.get(labels, 0) + 1


async def test_a_client_that_leaves_is_counted_as_such(service: Service) -> None:
    before = (await samples(service, "request_seconds_count")).get(("POST", WEBHOOK, "left"), 0)

    async def receive() -> dict[str, object]:
        await asyncio.sleep(60)
        raise AssertionError

    async def send(_: object) -> None:
        raise AssertionError

    body = b"{}"
    signed = sign(service.settings.webhook_keys[0], "msg_left", 0, body)
    headers = [(name.encode(), value.encode()) for name, value in signed.items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": WEBHOOK,
        "raw_path": WEBHOOK.encode(),
        "query_string": b"",
        "headers": headers,
    }
    call = asyncio.create_task(service.app(scope, receive, send))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    after = await samples(service, "request_seconds_count")
    assert after["POST", WEBHOOK, "left"] == before + 1
