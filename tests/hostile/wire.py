"""Hostile bytes over sockets to a real `codex-media serve`."""

import asyncio
import random
import re
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from infra.embedded.ports import free_port, listens
from tests.api.gpu import WEBHOOK
from tests.hostile.attack import MIB
from tests.hostile.kinds import Hostile
from tests.hostile.messages import hostile
from tests.hostile.scene import Scene
from tests.infra.embedded.processes import eventually

START_S = 60.0
ANSWER_S = 30.0
HANG_UP_S = 0.3
"""How long half a request waits for an answer before its client goes away."""
AT_ONCE = 8
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
HEAD = f"POST {WEBHOOK} HTTP/1.1\r\nHost: service.test\r\nConnection: close\r\n"


@dataclass
class Server:
    """A served application in a process of its own."""

    process: Process
    port: int
    log: Path
    rss_mib: list[float] = field(default_factory=list)

    def weigh(self) -> None:
        """Note its memory."""
        self.rss_mib.append(psutil.Process(self.process.pid).memory_info().rss / MIB)


@asynccontextmanager
async def serving(environ: Mapping[str, str], folder: Path) -> AsyncIterator[Server]:
    """`codex-media serve` on a free port; what it logs lies in `folder`."""
    port, log = free_port(), folder / "serve.log"
    argv = [sys.executable, "-m", "api.cli", "serve", "--port", str(port)]
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *argv,
            env={"PATH": "/nowhere", "PYTHONPATH": ":".join(sys.path), **environ},
            stdout=DEVNULL,
            stderr=stderr,
        )
        try:
            assert await eventually(lambda: listens(port), START_S), log.read_text("utf-8")
            yield Server(process, port, log)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


class Payload(NamedTuple):
    """Bytes to send, and whether they are a request that must be answered."""

    data: bytes
    whole: bool


def _http(message: Hostile, chance: random.Random) -> Payload:
    lines = [f"POST {message.path} HTTP/1.1", "Host: service.test", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in message.headers]
    wrong = 0
    if not message.cut:
        wrong = chance.choice([0] * 9 + [-1, 1, 1000])
        lines.append(f"Content-Length: {max(0, len(message.body) + wrong)}")
    head = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass")
    return Payload(head + message.body, whole=wrong <= 0 and not message.cut)


NO_HTTP = [
    b"",
    b"\x00" * 100,
    b"\r\n\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"POST\r\n\r\n",
    b"POST  HTTP/1.1\r\n\r\n",
    f"{HEAD}Content-Length: -1\r\n\r\n".encode(),
    f"{HEAD}Content-Length: 9{'9' * 40}\r\n\r\n{{}}".encode(),
    f"{HEAD}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}x".encode(),
    f"{HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
    f"{HEAD}Transfer-Encoding: chunked\r\n\r\nZZ\r\n{{}}\r\n0\r\n\r\n".encode(),
    f"{HEAD}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{{}}".encode(),
    f"{HEAD}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n".encode(),
    f"{HEAD}webhook-id: a\x00b\r\nContent-Length: 2\r\n\r\n{{}}".encode(),
    f"{HEAD}webhook-id: a\r\n\tb\r\nContent-Length: 2\r\n\r\n{{}}".encode(),
    f"{HEAD}X: {'y' * 200_000}\r\n\r\n".encode(),
    HEAD.encode() + b"X: y\r\n" * 5000 + b"\r\n",
    f"POST {WEBHOOK}/{'t' * 100_000} HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    f"POST {WEBHOOK}/%00%ff%c0%ae HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode(),
    f"{HEAD}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{{}}".encode(),
    f"{HEAD}Upgrade: websocket\r\nContent-Length: 2\r\n\r\n{{}}".encode(),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


def hostile_bytes(scene: Scene, chance: random.Random) -> Payload:
    """A hostile message as HTTP, now and then with a wrong length, or bytes that are no HTTP."""
    if chance.random() < 0.3:
        return Payload(chance.choice(NO_HTTP), whole=False)
    return _http(hostile(scene, chance), chance)


async def bombard(server: Server, scene: Scene, count: int, seed: int) -> Counter[str]:
    """Send so many; how often each status was answered, or `closed` where nothing was."""
    chance = random.Random(seed)  # noqa: S311 - it must be repeatable
    answers: Counter[str] = Counter()
    server.weigh()
    for done in range(0, count, AT_ONCE):
        payloads = [hostile_bytes(scene, chance) for _ in range(min(AT_ONCE, count - done))]
        for answer in await asyncio.gather(*(_send(server.port, each) for each in payloads)):
            answers.update(answer)
        server.weigh()
    return answers


async def _send(port: int, payload: Payload) -> list[str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = bytearray()
    try:
        writer.write(payload.data)
        async with asyncio.timeout(ANSWER_S if payload.whole else HANG_UP_S):
            while part := await reader.read(65_536):
                said += part
    except ConnectionError:
        pass  # it hung up on us, as it may
    except TimeoutError:
        assert not payload.whole, f"no answer: {payload.data[:300]!r}"
    finally:
        writer.close()
    return [match.decode() for match in STATUS.findall(said)] or ["closed"]
