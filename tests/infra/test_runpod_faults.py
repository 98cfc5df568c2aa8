"""RunPod over a network that breaks: which calls may have queued a job, and which have surely not.

There is no idempotency key. Whoever takes a lost answer for a no pays for a second job.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from domain.errors import (
    TranscoderError,
    TranscoderForbidden,
    TranscoderRejected,
    TranscoderUnavailable,
    TranscoderUnknown,
)
from infra.embedded.runpod_local import RunpodEndpoint
from infra.runpod_transcoder import MAX_RETRY_AFTER_S, RunpodTranscoder, open_transcoder
from infra.settings import Settings, load
from tests import factories as f
from tests.faults.fault import Action, Fault, Stage
from tests.faults.proxy import Proxy
from tests.faults.ways import proxied_url
from tests.infra.job import ACCEPTED, JOB
from tests.infra.raw_http import http_answer, raw_server
from tests.infra.variables import ENVIRON

SOON_S = 0.3
PATIENCE_S = 20.0


class Line:
    """The stand-in, behind a proxy."""

    def __init__(self, runpod: RunpodEndpoint, proxy: Proxy, url: str) -> None:
        self._runpod = runpod
        self.proxy = proxy
        self.settings = load(
            ENVIRON
            | {
                "RUNPOD_BASE_URL": url,
                "RUNPOD_ENDPOINT_ID": runpod.endpoint_id,
                "RUNPOD_API_KEY": runpod.api_key,
            }
        )

    async def queued(self) -> int:
        """How many jobs RunPod has, by a way that nothing breaks."""
        url = f"{self._runpod.base_url}/v2/{self._runpod.endpoint_id}/health"
        headers = {"authorization": f"Bearer {self._runpod.api_key}"}
        async with httpx.AsyncClient(trust_env=False) as http:
            jobs = (await http.get(url, headers=headers)).json()["jobs"]
        return int(jobs["inQueue"])

    async def submit(self, limit_s: float = PATIENCE_S) -> TranscoderError | None:
        """What submitting a job raises."""
        async with patient(self.settings, limit_s) as transcoder:
            return await refusal(transcoder)


@asynccontextmanager
async def patient(settings: Settings, limit_s: float) -> AsyncIterator[RunpodTranscoder]:
    """RunPod, which has so many seconds for a whole call."""
    headers = {"authorization": f"Bearer {settings.runpod_api_key.get_secret_value()}"}
    base = settings.runpod_base_url
    async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False) as client:
        yield RunpodTranscoder(client, settings, limit_s)


async def refusal(transcoder: RunpodTranscoder) -> TranscoderError | None:
    """What submitting a job raises."""
    try:
        await transcoder.submit(JOB, f.NOW)
    except TranscoderError as error:
        return error
    return None


@pytest.fixture
async def line(runpod: RunpodEndpoint) -> AsyncIterator[Line]:
    async with proxied_url(runpod.base_url) as (proxy, url):
        yield Line(runpod, proxy, url)


ANSWER_LOST = {
    "reset before the answer": Fault(Stage.TO_CLIENT, Action.RESET),
    "closed before the answer": Fault(Stage.TO_CLIENT, Action.CLOSE),
    "reset after the status line": Fault(Stage.TO_CLIENT, Action.RESET, after=17),
    "cut in the body": Fault(Stage.TO_CLIENT, Action.CLOSE, after=150),
}


@pytest.mark.parametrize("fault", ANSWER_LOST.values(), ids=ANSWER_LOST)
async def test_f02_lost_answer_is_told_as_a_job_that_may_be_queued(
    line: Line, fault: Fault
) -> None:
    before = await line.queued()
    line.proxy.arm(fault)
    assert type(await line.submit()) is TranscoderUnknown
    assert await line.queued() == before + 1


@pytest.mark.parametrize("limit_s", [SOON_S, PATIENCE_S], ids=["our limit", "httpx's timeout"])
async def test_f02_answer_that_never_comes_is_told_as_a_job_that_may_be_queued(
    line: Line, limit_s: float
) -> None:
    before = await line.queued()
    line.proxy.arm(Fault(Stage.TO_CLIENT, Action.BLACKHOLE))
    async with patient(line.settings, limit_s) as transcoder:
        transcoder._client.timeout = httpx.Timeout(SOON_S if limit_s > SOON_S else PATIENCE_S)
        assert type(await refusal(transcoder)) is TranscoderUnknown
    assert await line.queued() == before + 1


@pytest.mark.parametrize("after", [0, 1, 100, 400])
async def test_f02_request_that_breaks_on_its_way_may_have_arrived_for_all_we_know(
    line: Line, after: int
) -> None:
    before = await line.queued()
    line.proxy.arm(Fault(Stage.TO_SERVER, Action.RESET, after))
    assert type(await line.submit()) is TranscoderUnknown
    assert await line.queued() == before


async def test_f02_refused_connection_is_a_sure_no(line: Line) -> None:
    await line.proxy.refuse()
    assert type(await line.submit()) is TranscoderUnavailable


async def test_f02_connection_that_is_not_made_in_time_is_a_sure_no(line: Line) -> None:
    # A server that accepts and lets the TLS handshake wait.
    line.proxy.arm(Fault(Stage.CONNECT, Action.BLACKHOLE))
    url = line.settings.runpod_base_url.replace("http:", "https:")
    async with httpx.AsyncClient(
        base_url=url,
        timeout=httpx.Timeout(PATIENCE_S, connect=SOON_S),
        verify=ssl.create_default_context(),
        trust_env=False,
    ) as client:
        raised = await refusal(RunpodTranscoder(client, line.settings))
    assert type(raised) is TranscoderUnavailable
    assert "ConnectTimeout" in str(raised)


async def test_f02_call_that_waited_in_vain_for_its_turn_is_a_sure_no(line: Line) -> None:
    line.proxy.arm(Fault(Stage.TO_SERVER, Action.HOLD))
    async with httpx.AsyncClient(
        base_url=line.settings.runpod_base_url,
        timeout=httpx.Timeout(PATIENCE_S, pool=SOON_S),
        limits=httpx.Limits(max_connections=1),
        trust_env=False,
    ) as client:
        transcoder = RunpodTranscoder(client, line.settings)
        first = asyncio.create_task(refusal(transcoder))
        await asyncio.wait_for(line.proxy.fired.wait(), PATIENCE_S)
        raised = await refusal(transcoder)
        line.proxy.release()
        await first
    assert type(raised) is TranscoderUnavailable
    assert "PoolTimeout" in str(raised)


async def test_f02_other_calls_queue_nothing_and_are_merely_unavailable(line: Line) -> None:
    async with patient(line.settings, PATIENCE_S) as transcoder:
        for call in (transcoder.status("j"), transcoder.cancel("j"), transcoder.ping()):
            line.proxy.arm(Fault(Stage.TO_CLIENT, Action.RESET))
            with pytest.raises(TranscoderUnavailable) as raised:
                await call
            assert type(raised.value) is TranscoderUnavailable


ANSWERS: dict[str, tuple[bytes, type[TranscoderError]]] = {
    "429": (http_answer(429), TranscoderUnavailable),
    "500": (http_answer(500), TranscoderUnavailable),
    "502": (http_answer(502, b"<html>"), TranscoderUnavailable),
    "503": (http_answer(503), TranscoderUnavailable),
    "504": (http_answer(504), TranscoderUnknown),
    "400": (http_answer(400, b"{}"), TranscoderRejected),
    "401": (http_answer(401), TranscoderForbidden),
    "403": (http_answer(403), TranscoderForbidden),
    "garbage": (b"\x16\x03\x01 this is not HTTP\r\n\r\n", TranscoderUnknown),
    "200 without sense": (http_answer(200, b"<html>"), TranscoderUnknown),
    "200 without an id": (http_answer(200, b'{"status":"IN_QUEUE"}'), TranscoderUnknown),
    "200 with a useless id": (http_answer(200, b'{"id":"../health"}'), TranscoderUnknown),
    "half an answer": (ACCEPTED[: len(ACCEPTED) // 2], TranscoderUnknown),
    "all but a byte": (ACCEPTED[:-1], TranscoderUnknown),
}


@pytest.mark.parametrize(("answer", "kind"), ANSWERS.values(), ids=ANSWERS)
async def test_f03_every_answer_to_run_becomes_its_own_error(
    answer: bytes, kind: type[TranscoderError]
) -> None:
    async with raw_server(answer) as server:
        settings = load(ENVIRON | {"RUNPOD_BASE_URL": server.url})
        async with open_transcoder(settings) as transcoder:
            raised = await refusal(transcoder)
    assert type(raised) is kind
    assert "rpa_sesame" not in str(raised)
    assert len(server.requests) == 1


async def test_f03_answer_cut_anywhere_is_never_taken_for_a_no(line: Line) -> None:
    line.proxy.arm(Fault(Stage.TO_CLIENT, Action.CLOSE, after=10**6))
    assert await line.submit() is None
    whole = line.proxy.passed[Stage.TO_CLIENT]
    for after in range(0, whole, whole // 12):
        line.proxy.arm(Fault(Stage.TO_CLIENT, Action.CLOSE, after))
        assert type(await line.submit()) is TranscoderUnknown, after


def in_s(seconds: float) -> str:
    """A moment from now, as HTTP writes it."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


RETRY_AFTER: dict[str, tuple[str | Callable[[], str] | None, tuple[float, float] | None]] = {
    "seconds": ("7", (7, 7)),
    "none": ("0", (0, 0)),
    "too long": ("86400", (MAX_RETRY_AFTER_S, MAX_RETRY_AFTER_S)),
    "absurd": ("9" * 400, (MAX_RETRY_AFTER_S, MAX_RETRY_AFTER_S)),
    "a date": (lambda: in_s(200), (1, 200)),
    "a date that is over": (lambda: in_s(-200), (0, 0)),
    "a date too far": (lambda: in_s(10**6), (MAX_RETRY_AFTER_S, MAX_RETRY_AFTER_S)),
    "absent": (None, None),
    "empty": ("", None),
    "negative": ("-5", None),
    "a fraction": ("1.5", None),
    "words": ("in a while", None),
    "foreign digits": ("\u00b2", None),
}


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("text", "expected"), RETRY_AFTER.values(), ids=RETRY_AFTER)
async def test_f03_pause_that_runpod_asks_for_is_carried_within_bounds(
    status: int, text: str | Callable[[], str] | None, expected: tuple[float, float] | None
) -> None:
    text = text() if callable(text) else text
    headers = [] if text is None else [f"Retry-After: {text}"]
    async with raw_server(http_answer(status, b"", *headers)) as server:
        settings = load(ENVIRON | {"RUNPOD_BASE_URL": server.url})
        async with open_transcoder(settings) as transcoder:
            raised = await refusal(transcoder)
    assert type(raised) is TranscoderUnavailable
    if expected is None:
        assert raised.retry_after_s is None
    else:
        assert raised.retry_after_s is not None
        assert expected[0] <= raised.retry_after_s <= expected[1]
