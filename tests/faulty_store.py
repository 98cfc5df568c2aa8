"""A proxy before an S3 server that refuses requests, loses answers, or holds requests back."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

TIMEOUT_S = 30
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length"}


class Request(NamedTuple):
    """What a client asks; `path` is `/BUCKET/KEY` without the query."""

    method: str
    path: str


class Refusal(NamedTuple):
    """An S3 error to answer instead of asking the store."""

    status: int
    code: str

    @property
    def body(self) -> bytes:
        return f"<Error><Code>{self.code}</Code><Message>no</Message></Error>".encode()


class Fault(Enum):
    """What else may happen to a request."""

    ANSWER_LOST = "the store has it, the client never hears"


Rule = Callable[[Request], Refusal | Fault | None]


@dataclass
class FaultyStore:
    """Asks `rule` about every request, in that request's own thread: it may block there."""

    url: str
    rule: Rule = lambda _request: None
    seen: list[Request] = field(default_factory=list)
    dropped: frozenset[str] = frozenset()
    """Headers, in lower case, that the store never gets to see."""

    def puts(self, part: str) -> list[str]:
        """The paths of PUTs so far that hold `part`."""
        return [path for method, path in list(self.seen) if method == "PUT" and part in path]


@contextmanager
def faulty_store(upstream: str) -> Iterator[FaultyStore]:
    """A proxy before the store at `upstream`, which must not check signatures."""
    store = FaultyStore("")
    address = urlsplit(upstream).netloc

    class Forward(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            request = Request(self.command, self.path.partition("?")[0])
            store.seen.append(request)
            verdict = store.rule(request)
            if isinstance(verdict, Refusal):
                self._answer(verdict.status, [("date", self.date_time_string())], verdict.body)
                return
            with closing(http.client.HTTPConnection(address, timeout=TIMEOUT_S)) as behind:
                kept = {k: v for k, v in self.headers.items() if k.lower() not in store.dropped}
                behind.request(self.command, self.path, body, kept)
                answer = behind.getresponse()
                content = answer.read()
            if verdict is Fault.ANSWER_LOST:
                self.close_connection = True
                return
            headers = [(k, v) for k, v in answer.getheaders() if k.lower() not in HOP_BY_HOP]
            length = answer.getheader("content-length") if self.command == "HEAD" else None
            self._answer(answer.status, headers, content, length)

        def _answer(
            self,
            status: int,
            headers: list[tuple[str, str]],
            body: bytes,
            length: str | None = None,
        ) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("content-length", length or str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def __getattr__(self, name: str) -> Callable[[], None]:
            """`do_GET` and its like."""
            if not name.startswith("do_"):
                raise AttributeError(name)
            return self._serve

        def log_message(self, *_: object) -> None:
            """Tests need no access log."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Clients that go away are part of the test."""

    server = Quiet(("127.0.0.1", 0), Forward)
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
