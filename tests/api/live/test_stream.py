"""The event stream over HTTP: nothing missed, nothing twice, nothing of anybody else's."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest

from api.live import stream, subscription
from infra.bootstrap import Services
from infra.embedded.ports import free_port
from infra.figures.process import STREAMS_DROPPED
from infra.postgres import live as live_reads
from infra.postgres.pool import Pool
from infra.settings import Settings, load
from tests.api.listening import serving
from tests.api.live.reader import PATH, PATIENCE_S, Reader, streaming, until
from tests.api.live.stage import live, sealed_of, sealing
from tests.api.service import running
from tests.api.slow_client import SlowClient
from tests.conftest import Tokens
from tests.infra.embedded.processes import eventually
from tests.infra.lives import REGISTERED, SUBMITTED

WRITERS, LIVES = 4, 6
CREATORS = ("alice", "bob")
QUICK_S = 5.0
"""Far less than streams would hold up a server that waits for them."""


@pytest.fixture
def url(environ: dict[str, str]) -> str:
    """Where the service will listen."""
    environ["PUBLIC_APP_URL"] = f"http://127.0.0.1:{free_port()}"
    return environ["PUBLIC_APP_URL"]


@pytest.fixture
def listening(url: str, settings: Settings) -> Iterator[str]:
    """The service on its port."""
    with serving(settings, int(urlsplit(url).port or 0)):
        yield url


async def test_nothing_is_missed_or_told_twice_over_reconnects_and_a_restart(
    url: str, environ: dict[str, str], services: Services, token: Tokens
) -> None:
    port = int(urlsplit(url).port or 0)
    readers = [Reader(url, token(name), seed) for seed, name in enumerate(CREATORS * 2)]

    async def write(creator: str) -> None:
        for _ in range(LIVES):
            await live(services, creator)

    async with sealing(services):
        for part in range(2):
            with serving(load(environ), port):
                reading = [asyncio.create_task(each.read()) for each in readers]
                await asyncio.gather(*(each.opened.wait() for each in readers))
                async with asyncio.TaskGroup() as group:
                    for number in range(WRITERS):
                        group.create_task(write(CREATORS[number % 2]))
                expected = {name: await all_sealed(services, name, part) for name in CREATORS}
                if part:
                    for each, task, name in zip(readers, reading, CREATORS * 2, strict=True):
                        assert await eventually(has(each, task, len(expected[name])), PATIENCE_S)
                ending = time.monotonic()
            assert time.monotonic() - ending < QUICK_S
            for task in reading:
                task.cancel()
            ended = await asyncio.gather(*reading, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended
    for each, name in zip(readers, CREATORS * 2, strict=True):
        assert each.connections > 3
        assert each.changes == expected[name]


async def all_sealed(services: Services, creator: str, part: int) -> list[tuple[int, str, str]]:
    """The creator's events once every one that was written has its place."""
    count = (part + 1) * WRITERS // len(CREATORS) * LIVES * 6

    async def done() -> bool:
        return len(await sealed_of(services, creator)) == count

    assert await eventually(done, PATIENCE_S)
    return await sealed_of(services, creator)


def has(reader: Reader, reading: asyncio.Task[None], count: int) -> Callable[[], bool]:
    """Whether the reader has so many. Raises what ended it, if anything did."""

    def full() -> bool:
        if reading.done():
            reading.result()
        return len(reader.changes) >= count

    return full


async def test_a_lost_notification_and_a_lost_listener_lose_nothing(
    listening: str, services: Services, token: Tokens, owner: Pool
) -> None:
    async with streaming(listening, token("alice")) as messages, sealing(services):
        await until(messages, "open")
        await live(services, "alice", REGISTERED)
        assert len(await until(messages, "media")) == 1
        cut = await owner.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'codex-media listener' AND datname = current_database()"
        )
        assert len(cut) == 1, "one listener a process"
        await live(services, "alice", REGISTERED)
        assert len(await until(messages, "media")) == 1


async def test_the_first_message_says_where_the_stream_begins(
    listening: str, services: Services, token: Tokens
) -> None:
    async with sealing(services):
        await live(services, "alice")
        assert await eventually(lambda: sealed(services, 6), PATIENCE_S)
    for last in (None, 7, 10**17):  # Beyond the ledger: another one's, or a restored one's.
        async with streaming(listening, token("alice"), last) as messages:
            (first,) = await until(messages, "open")
            assert (first.id, first.data) == (6, {"seq": 6})
    async with streaming(listening, token("alice"), 2) as messages:
        assert [each.id for each in await until(messages, "media", 4)] == [3, 4, 5, 6]
    whole = [change async for page in services.live.changes_of("alice", 0, 6) for change in page]
    assert [change.version for change in whole] == [1, 2, 3, 4, 5, 6]


async def sealed(services: Services, count: int) -> bool:
    """Whether the ledger has so many."""
    return await services.live.size() == count


async def test_what_is_far_back_is_read_the_other_way_and_is_the_same(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sealing(services):
        for creator in ("alice", "bob", "alice"):
            await live(services, creator)
        assert await eventually(lambda: sealed(services, 18), PATIENCE_S)
    near = await services.live.changes(4, 17, ["alice"])
    monkeypatch.setattr(live_reads, "NEAR", 0)
    monkeypatch.setattr(live_reads, "PAGE", 3)
    pages = [page async for page in services.live.changes_of("alice", 4, 17)]
    assert [change for page in pages for change in page] == near
    assert len(pages) > 1


async def test_progress_is_told_to_its_creator_with_what_is_left(
    listening: str, services: Services, token: Tokens
) -> None:
    media_id = await live(services, "alice", SUBMITTED)
    await live(services, "bob", SUBMITTED)
    await services.progress.save(media_id, 1, 10.0, "encode", "720p")
    async with (
        streaming(listening, token("alice")) as mine,
        streaming(listening, token("bob")) as others,
    ):
        (first,) = await until(mine, "progress")
        assert first.id is None
        told = first.data
        assert (told["mediaId"], told["percent"], told["stage"]) == (str(media_id), 10, "encode")
        assert (told["rung"], told["secondsLeft"], told["queuePosition"]) == ("720p", None, None)
        for percent in (20.0, 30.0):
            await services.progress.save(media_id, 1, percent, "encode", "720p")
        async with asyncio.timeout(PATIENCE_S):
            async for each in mine:
                if each.data["percent"] == 30:
                    break
        await until(others, "open")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await until(others, "progress")


@pytest.mark.parametrize("reads_on", [True, False])
async def test_a_client_that_does_not_read_is_dropped(
    settings: Settings, token: Tokens, monkeypatch: pytest.MonkeyPatch, reads_on: bool
) -> None:
    monkeypatch.setattr(subscription, "MAX_WAITING", 8)
    monkeypatch.setattr(stream, "SEND_TIMEOUT_S", 60.0 if reads_on else 0.3)
    before = STREAMS_DROPPED.labels("slow")._value.get()
    client = SlowClient(PATH, {"authorization": f"Bearer {token('alice')}"})
    async with asyncio.timeout(PATIENCE_S), running(settings) as service:
        reading = asyncio.create_task(client.read(service.app))
        await client.started.wait()
        if reads_on:
            (held,) = service.app.state.hub._open["alice"]
            async with sealing(service.services):
                await asyncio.gather(*(live(service.services, "alice") for _ in range(3)))
                assert await eventually(lambda: held.ended is not None, PATIENCE_S)
            client.go_on.set()
        body = await reading
        assert not service.app.state.hub._open
    assert body.count(b"event: media") <= 8
    assert STREAMS_DROPPED.labels("slow")._value.get() == before + 1


async def told(url: str, line: str) -> bool:
    """Whether the metrics have this line."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        return line in (await http.get("/metrics")).text.splitlines()


async def test_streams_are_few_and_end_with_their_tokens(
    url: str, environ: dict[str, str], token: Tokens
) -> None:
    environ["STREAMS_PER_CREATOR"], environ["STREAMS_PER_PROCESS"] = "3", "4"
    with serving(load(environ), int(urlsplit(url).port or 0)):
        await few_streams(url, token)


async def few_streams(listening: str, token: Tokens) -> None:
    """No more than the limits at once; each is given back when its token ends."""
    async with (
        asyncio.timeout(PATIENCE_S),
        httpx.AsyncClient(base_url=listening, trust_env=False) as http,
    ):
        short = token("alice", life=timedelta(seconds=2.5))
        async with (
            streaming(listening, short) as ending,
            streaming(listening, token("alice")),
            streaming(listening, token("alice")),
        ):
            refused = await http.get(PATH, headers={"authorization": f"Bearer {token('alice')}"})
            assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
            assert refused.headers["retry-after"]
            async with streaming(listening, token("bob")):
                refused = await http.get(PATH, headers={"authorization": f"Bearer {token('eve')}"})
                assert (refused.status_code, refused.json()["code"]) == (503, "streams_full")
            assert [each.event async for each in ending] == ["open"]
        again = await http.get(PATH, headers={"authorization": f"Bearer {short}"})
        assert again.status_code == 401
        assert await eventually(lambda: told(listening, "codex_media_streams_open 0.0"), 5.0)
