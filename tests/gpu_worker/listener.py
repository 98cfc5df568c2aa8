"""A server on this machine that counts who calls."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Listener:
    """`calls`: how many connections were made."""

    port: int
    calls: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/secret.ts"


@contextmanager
def listening() -> Iterator[Listener]:
    """Answers every caller with 404."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = Listener(server.getsockname()[1])

        def answer() -> None:
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                kept.calls += 1
                with caller:
                    caller.sendall(b"HTTP/1.0 404 Not Found\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
