"""A reader of the ledger whose connection drops goes on where it was."""

import asyncio
import json
from datetime import timedelta

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from api.auth import Role
from api.cli.place import mint_token
from infra.embedded.ports import free_port
from infra.settings import Settings, load
from tests.api.listening import serving
from tests.api.test_audit import live_and_seal

EVENTS = "/api/audit/events"
ITEMS = 4
CUTS = st.lists(st.integers(0, 4000), max_size=6)
"""After how many bytes each connection drops."""


class Reader:
    """An auditor's client that keeps whole lines and resumes after the last of them."""

    def __init__(self, http: httpx.Client, token: str) -> None:
        self._http = http
        self._headers = {"authorization": f"Bearer {token}"}
        self.seen: list[int] = []

    def read(self, most_bytes: int | None) -> None:
        """Read on, until the end or the connection drops."""
        after = self.seen[-1] if self.seen else 0
        got = bytearray()
        with self._http.stream("GET", f"{EVENTS}?after={after}", headers=self._headers) as answer:
            assert answer.status_code == 200
            for part in answer.iter_raw(64):
                if most_bytes is not None and len(got) + len(part) > most_bytes:
                    break
                got += part
        whole = got[: got.rfind(b"\n") + 1]
        self.seen += [json.loads(line)["seq"] for line in whole.splitlines()]


def auditor(made: Settings, life: timedelta = timedelta(hours=1)) -> str:
    return mint_token(made, "eve", [Role.AUDITOR], life)


def test_f35_a_reader_that_resumes_misses_nothing_and_gets_nothing_twice(
    environ: dict[str, str],
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    made = load(environ | {"PUBLIC_APP_URL": url})
    with serving(made, port), httpx.Client(base_url=url, trust_env=False) as http:
        for _ in range(ITEMS):
            asyncio.run(live_and_seal(made))
        token = auditor(made)
        whole = Reader(http, token)
        whole.read(None)
        assert whole.seen == list(range(1, len(whole.seen) + 1))
        assert len(whole.seen) > ITEMS

        @settings(max_examples=20, deadline=None)
        @given(CUTS)
        def resumes(cuts: list[int]) -> None:
            reader = Reader(http, token)
            for cut in cuts:
                reader.read(cut)
            reader.read(None)
            assert reader.seen == whole.seen

        resumes()
        early = Reader(http, token)
        early.read(2000)
        asyncio.run(live_and_seal(made))
        early.read(None)
        assert early.seen == list(range(1, len(early.seen) + 1))
        assert len(early.seen) > len(whole.seen)


def test_f35_a_reader_that_resumes_is_authorised_again(environ: dict[str, str]) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    made = load(environ | {"PUBLIC_APP_URL": url})
    with serving(made, port), httpx.Client(base_url=url, trust_env=False) as http:
        asyncio.run(live_and_seal(made))
        Reader(http, auditor(made)).read(10)
        again = f"{EVENTS}?after=1"
        over = auditor(made, timedelta(hours=-1))
        creator = mint_token(made, "eve", [Role.CREATOR], timedelta(hours=1))
        answers = [
            http.get(again, headers={"authorization": f"Bearer {token}"}).status_code
            for token in (over, creator, "none", auditor(made))
        ]
        assert answers == [401, 403, 401, 200]
