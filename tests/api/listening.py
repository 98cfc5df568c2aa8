"""The service on a port, for what reaches it as its clients do."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import httpx

from api.app import create_app
from api.cli.server import Server, configured
from infra.bootstrap import open_services
from infra.settings import Settings

START_TIMEOUT_S = 10


@contextmanager
def serving(settings: Settings, port: int) -> Iterator[None]:
    """uvicorn in a thread, until the end of the block."""
    app = create_app(settings, open_services(settings))
    server = Server(configured(app, settings, "127.0.0.1", port), app)
    thread = Thread(target=server.run, name="uvicorn")
    thread.start()
    try:
        wait_until_ready(settings.public_app_url)
        yield
    finally:
        server.should_exit = True
        thread.join(START_TIMEOUT_S)


def wait_until_ready(url: str) -> None:
    """Return when the service answers; fail the test when it does not."""
    deadline = time.monotonic() + START_TIMEOUT_S
    with httpx.Client(timeout=START_TIMEOUT_S) as http:
        while time.monotonic() < deadline:
            with suppress(httpx.ConnectError):
                assert http.get(f"{url}/readyz").is_success
                return
            time.sleep(0.02)
    raise TimeoutError(f"{url} does not answer")
