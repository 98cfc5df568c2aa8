"""A real HTTP receiver of callbacks."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@dataclass
class Post:
    """One callback as it arrived."""

    headers: dict[str, str]
    body: bytes

    @property
    def report(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


@dataclass
class Receiver:
    """Answers each status with its `answers` in turn, then with 200; keeps what it got."""

    url: str
    answers: dict[str, list[int]] = field(default_factory=dict)
    posts: list[Post] = field(default_factory=list)

    def of(self, status: str) -> list[Post]:
        return [post for post in self.posts if post.report["status"] == status]

    def statuses(self) -> list[str]:
        """What was reported, progress left out."""
        return [p.report["status"] for p in self.posts if p.report["status"] != "progress"]


@contextmanager
def receiver() -> Iterator[Receiver]:
    kept = Receiver(url="")

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = self.rfile.read(length)
            if len(body) < length:  # a progress report that the end of its job broke off
                return
            post = Post({k.lower(): v for k, v in self.headers.items()}, body)
            kept.posts.append(post)
            answers = kept.answers.get(post.report["status"])
            self.send_response(answers.pop(0) if answers else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests need no access log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    kept.url = f"http://127.0.0.1:{server.server_port}/api/transcoding/webhook"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
