"""A client of the event stream that connects again as a browser does, and keeps what it got."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, NamedTuple

import httpx

PATH = "/api/transcoding/events"
PATIENCE_S = 20.0


class Message(NamedTuple):
    """A server-sent event."""

    event: str
    id: int | None
    data: dict[str, Any]


def parse(text: str) -> Message | None:
    """One block of a stream; None for a comment, or what sets a time alone."""
    fields = dict(line.split(": ", 1) for line in text.splitlines() if not line.startswith(":"))
    if "event" not in fields:
        return None
    place = fields.get("id")
    return Message(fields["event"], int(place) if place else None, json.loads(fields["data"]))


@asynccontextmanager
async def streaming(
    url: str, token: str, last: int | None = None
) -> AsyncIterator[AsyncIterator[Message]]:
    """The messages of one connection."""
    headers = {"authorization": f"Bearer {token}"}
    headers |= {} if last is None else {"last-event-id": str(last)}
    async with (
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, trust_env=False) as http,
        http.stream("GET", PATH, headers=headers) as answer,
    ):
        if answer.is_error:
            await answer.aread()  # What is raised says why.
            raise httpx.HTTPStatusError(answer.text, request=answer.request, response=answer)
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _messages(answer)


async def _messages(answer: httpx.Response) -> AsyncIterator[Message]:
    rest = ""
    async for text in answer.aiter_text():
        *blocks, rest = (rest + text).split("\n\n")
        for block in blocks:
            if message := parse(block):
                yield message


class Reader:
    """Reads until it is told to stop; leaves and comes back as chance has it."""

    def __init__(self, url: str, token: str, seed: int) -> None:
        self._url = url
        self._token = token
        self._chance = random.Random(seed)  # noqa: S311 - not for secrets
        self.got: list[Message] = []
        self.connections = 0
        self.opened = asyncio.Event()

    @property
    def last(self) -> int | None:
        """What a browser sends as Last-Event-ID."""
        return next((each.id for each in reversed(self.got) if each.id is not None), None)

    @property
    def changes(self) -> list[tuple[int, str, str]]:
        """Place, item and type of each event it was told of."""
        return [
            (each.data["seq"], each.data["media"]["id"], each.data["type"])
            for each in self.got
            if each.event == "media"
        ]

    async def read(self) -> None:
        """Connect again and again, also where a process that ends or is full says to come later."""
        while True:
            try:
                await self._read_a_while()
            except httpx.HTTPStatusError as error:
                if error.response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                    raise
                await asyncio.sleep(0.05)
            except httpx.HTTPError:
                await asyncio.sleep(0.05)

    async def _read_a_while(self) -> None:
        leave_after = self._chance.randrange(1, 30)
        async with streaming(self._url, self._token, self.last) as messages:
            self.connections += 1
            async for message in messages:
                self.got.append(message)
                self.opened.set()
                leave_after -= 1
                if leave_after == 0:
                    return


async def until(messages: AsyncIterator[Message], event: str, count: int = 1) -> list[Message]:
    """The next so many messages of a kind."""
    found: list[Message] = []
    async with asyncio.timeout(PATIENCE_S):
        async for message in messages:
            found += [message] if message.event == event else []
            if len(found) == count:
                break
    return found
