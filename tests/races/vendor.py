"""A light RunPod for races: fast, counts what it was asked, and says what a test wants."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.infra.raw_http import _content_length

PAUSE_S = 0.002
"""How long each answer takes: the window in which others may act."""


@dataclass
class Vendor:
    """The control API of one endpoint."""

    url: str = ""
    runs: Counter[str] = field(default_factory=Counter)
    """How often `/run` was accepted, by attempt id."""
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What `/status` says of a job."""

    def lose(self, job_id: str) -> None:
        """From now on the job is unknown."""
        del self.jobs[job_id]

    def end(self, job_id: str, status: str, **fields: object) -> None:
        """Let a job end."""
        self.jobs[job_id] |= {"status": status, **fields}

    def answer(self, call: str, argument: str, body: bytes) -> tuple[int, object]:
        """Status and body of the answer to a call."""
        if call == "run":
            return 200, self._run(json.loads(body))
        if call == "health":
            return 200, {"jobs": {}, "workers": {}}
        job = self.jobs.get(argument)
        if job is None:
            return 404, {"error": "no such job"}
        if call == "cancel" and job["status"] == "IN_QUEUE":
            job["status"] = "CANCELLED"
        return 200, job

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        self.runs[request["input"]["attemptId"]] += 1
        job_id = f"{uuid4()}-u1"
        self.jobs[job_id] = {"id": job_id, "status": "IN_QUEUE"}
        return self.jobs[job_id]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection with any number of requests."""
        try:
            while True:
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away, as it may
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        body = await reader.readexactly(_content_length(head))
        _, _, _, call, *argument = head.split(" ")[1].split("/")
        await asyncio.sleep(PAUSE_S)
        status, said = self.answer(call, "".join(argument), body)
        payload = json.dumps(said).encode()
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(payload)}\r\n\r\n".encode())
        writer.write(payload)
        await writer.drain()


@asynccontextmanager
async def running_vendor() -> AsyncIterator[Vendor]:
    """Serve on a free port of this machine."""
    vendor = Vendor()
    server = await asyncio.start_server(vendor.serve, "127.0.0.1", 0)
    vendor.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield vendor
        server.close()
