"""Another process of the API, which a test may end and start again."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.browser.desk import until
from tests.e2e.conftest import Program, command, environment


@contextmanager
def second_api(program: Program, port: int) -> Iterator[None]:
    """Another process of the API on the program's database."""
    own = {"PUBLIC_APP_URL": f"http://127.0.0.1:{port}"}
    process = subprocess.Popen(
        command("serve", "--port", str(port)),
        env=environment() | program.settings() | own,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers() -> bool:
        try:
            return httpx.get(f"{own['PUBLIC_APP_URL']}/readyz", timeout=2).is_success
        except httpx.HTTPError:
            return False

    try:
        until(answers, "the second API does not start", 30)
        yield
    finally:
        process.terminate()
        process.wait(timeout=15)
