"""Who asks too often is told when to come back, and nobody else notices."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from prometheus_client import Counter

from api.security_rates import _of
from infra import rates
from infra.embedded.ports import free_port
from infra.figures.process import RATE_STORE_FAILED
from infra.rates import MOST_KEPT, OwnMemory, Pace, Rates
from infra.settings import Settings, SettingsInvalid, load
from tests.api.again import surrounded
from tests.api.service import Service
from tests.api.studio import VIDEO, Studio
from tests.infra.variables import ENVIRON

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOW = {
    "rate_reads": "3/minute",
    "rate_registrations": "2/minute",
    "rate_sign_ins": "2/minute",
    "rate_webhooks": "2/minute",
    "rate_anonymous": "2/minute",
}


@pytest_asyncio.fixture(loop_scope="session")
async def limited(service: Service) -> AsyncIterator[Service]:
    """The service with low limits, and nobody counted yet."""
    async with surrounded(service, **LOW) as here:
        yield here


def settings_of(**changed: object) -> Settings:
    return load(ENVIRON).model_copy(update=changed)


def refused(answer: httpx.Response) -> None:
    """It is 429 and says when to come back."""
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert ";r=0;t=" in answer.headers["ratelimit"]


async def test_one_user_is_limited_and_another_is_not(
    limited: Service, studio: Studio, stranger: Studio
) -> None:
    own, other = studio.auth(), stranger.auth()
    for _ in range(3):
        assert (await limited.http.get("/api/media", headers=own)).status_code == 200
    refused(await limited.http.get("/api/media", headers=own))
    assert (await limited.http.get("/api/media", headers=other)).status_code == 200
    answer = await limited.http.post("/api/media", json=VIDEO.request(), headers=own)
    assert answer.status_code == 201, "registrations are counted apart"
    assert answer.headers["ratelimit-policy"] == '"registrations";q=2;w=60'
    assert answer.headers["ratelimit"] == '"registrations";r=1'


async def test_tokens_that_are_none_and_webhooks_are_limited_by_address(limited: Service) -> None:
    guess = {"authorization": "Bearer a.b.c"}
    answers = [await limited.http.get("/api/media", headers=guess) for _ in range(3)]
    assert [each.status_code for each in answers[:2]] == [401, 401]
    refused(answers[2])
    hooks = [await limited.http.post("/api/transcoding/webhook", content=b"{}") for _ in range(3)]
    assert [each.status_code for each in hooks[:2]] == [401, 401]
    refused(hooks[2])
    probes = [await limited.http.get("/livez") for _ in range(3)]
    refused(probes[2])


async def test_a_good_token_passes_from_where_others_guess(
    limited: Service, studio: Studio
) -> None:
    for _ in range(5):
        await limited.http.get("/api/media", headers={"authorization": "Bearer a.b.c"})
    assert (await limited.http.get("/api/media", headers=studio.auth())).status_code == 200


async def test_limits_can_be_left_out(service: Service, studio: Studio) -> None:
    async with surrounded(service, **LOW, rate_limits=False) as here:
        answers = [await here.http.get("/api/media", headers=studio.auth()) for _ in range(5)]
    assert {each.status_code for each in answers} == {200}
    one = Rates(settings_of(rate_reads="off"))
    assert await one.hit(Pace.READS, "alice") is None
    assert await one.hit(Pace.WRITES, "alice") is not None


@pytest.mark.parametrize("limit", ["many", "10", "10/fortnight", "-1/minute", "/minute"])
async def test_a_limit_that_is_none_is_named(limit: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"RATE_READS: .*600/minute"):
        load(ENVIRON | {"RATE_READS": limit})


async def test_a_window_ends() -> None:
    few = Rates(settings_of(rate_reads="2/second"))
    first = [await few.hit(Pace.READS, "alice") for _ in range(3)]
    assert [each and each.remaining for each in first] == [1, 0, 0]
    assert [each and each.retry_after_s for each in first] == [None, None, 1]
    await asyncio.sleep(1.01)
    again = await few.hit(Pace.READS, "alice")
    assert again is not None
    assert again.retry_after_s is None


async def test_memory_holds_the_newest_callers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_KEPT >= 10_000
    monkeypatch.setattr(rates, "MOST_KEPT", 3)
    memory = OwnMemory()
    for name in ("a", "b", "c", "a", "d"):
        await memory.incr(name, 60)
    assert [await memory.get(name) for name in "abcd"] == [0, 1, 1, 1]
    assert await memory.reset() == 3


def failures(counter: Counter) -> float:
    return next(iter(counter.collect())).samples[0].value


async def test_a_store_that_is_away_stops_nobody_and_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = load(ENVIRON | {"RATE_LIMIT_STORE": f"redis://:sesame-rates@127.0.0.1:{free_port()}/0"})
    counted, before, began = Rates(away), failures(RATE_STORE_FAILED), time.monotonic()
    standings = [await counted.hit(Pace.READS, "alice") for _ in range(20)]
    assert time.monotonic() - began < 5
    assert [each and each.remaining for each in standings[:2]] == [5999, 5998]
    assert failures(RATE_STORE_FAILED) == before + 1
    (told,) = [each.getMessage() for each in caplog.records if each.name == "infra.rates"]
    assert "each process counts for itself" in told
    assert "sesame" not in caplog.text
    await counted.aclose()


async def test_a_store_that_hangs_is_waited_for_half_a_second() -> None:
    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        counted = Rates(load(ENVIRON | {"RATE_LIMIT_STORE": f"redis://127.0.0.1:{port}"}))
        began = time.monotonic()
        assert await counted.hit(Pace.READS, "alice") is not None
        assert time.monotonic() - began < 4
        await counted.aclose()


@pytest.mark.parametrize("url", ["memory://", "http://127.0.0.1", ""])
async def test_a_store_that_is_none_is_named(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="RATE_LIMIT_STORE"):
        Rates(load(ENVIRON | {"RATE_LIMIT_STORE": url or "x"}))


async def test_an_ipv6_site_is_one_caller() -> None:
    assert _of("2001:db8:1:2:aaaa::1") == _of("2001:db8:1:2:bbbb::9") != _of("2001:db8:1:3::1")
    assert _of("::ffff:192.0.2.7") == _of("192.0.2.7") != _of("192.0.2.8")
    assert _of("no address") == "no address"
