"""The verifier in the browser finds in every bundle what the one of the command line finds."""

import base64
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Page, Route

from api import pages
from infra.ledger.verifier import verify
from tests.browser.chromium import chromium, needs_chromium
from tests.infra.ledger.corruptions import CORRUPTIONS
from tests.infra.ledger.ledgers import KEY, make, note, seeded

pytestmark = needs_chromium
EACH = 1
"""Bundles corrupted in each way. The tests of the command go through a thousand."""
HERE = "http://127.0.0.1:1"
VERIFY = """async (bundles) => {
    const { verify } = await import("/console/js/proof/verify.js");
    return Promise.all(bundles.map(async ({ packed, keys, since }) => {
        const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
        try {
            const blob = new Blob([bytes]);
            const { leaves, keys: used, ...found } = await verify(blob, { keys, since });
            return found;
        } catch (error) {
            return { thrown: `${error.constructor.name}: ${error.message}` };
        }
    }));
}"""


class Bundle(NamedTuple):
    """What both are given; the key is that of the ledgers."""

    packed: bytes
    since: tuple[str, ...] = ()

    def for_page(self) -> dict[str, object]:
        packed = base64.b64encode(self.packed).decode()
        return {"packed": packed, "keys": [str(KEY.public)], "since": list(self.since)}

    def by_command(self) -> list[tuple[int, int]]:
        """Where the command finds something wrong."""
        found = verify(BytesIO(self.packed), [KEY.public], self.since)
        return [(first, last) for first, last, _ in sorted(found.findings)]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """An empty page of ours, with our modules; no service stands behind it."""

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(f"{HERE}/console/")
        found = pages.load().get(name, pages.File(b"", None, "text/html", ""))
        route.fulfill(body=found.body, content_type=found.media_type)

    with chromium() as browser:
        opened = browser.new_page()
        opened.route("**/*", answer)
        opened.goto(HERE)
        yield opened


def by_page(page: Page, bundles: Sequence[Bundle]) -> list[dict[str, Any]]:
    """What the page finds in each."""
    found: list[dict[str, Any]] = page.evaluate(VERIFY, [each.for_page() for each in bundles])
    return found


def places(found: dict[str, Any]) -> list[tuple[int, int]]:
    return [(each["first"], each["last"]) for each in found["findings"]]


def test_every_corruption_is_found_where_the_command_finds_it(page: Page) -> None:
    rng = seeded(9)
    made = [make(rng, rng.randint(2, 8), rng.randint(1, 9), covered=True) for _ in range(8)]
    ledgers = [each for each in made if len(each.items) < len(each.texts)]
    cases = [(corrupt, corrupt(rng, rng.choice(ledgers))) for corrupt in CORRUPTIONS * EACH]
    bundles = [Bundle(bad.packed.read(), tuple(bad.since)) for _, bad in cases]

    for (corrupt, _), bundle, found in zip(cases, bundles, by_page(page, bundles), strict=True):
        expected = bundle.by_command()
        assert expected
        assert (found.get("thrown"), places(found)) == (None, expected), corrupt.__name__


def test_a_clean_bundle_is_proven_packed_or_not_and_with_a_kept_checkpoint(page: Page) -> None:
    ledger = make(seeded(5), 6, 9)
    kept = tuple(note(ledger.leaves, size) for size in (2, len(ledger.leaves)))
    packed = [ledger.packed(compressed=each).read() for each in (True, False)]

    for found in by_page(page, [Bundle(each, kept) for each in packed]):
        assert found == {
            "ok": True,
            "findings": [],
            "events": len(ledger.texts),
            "streams": len(ledger.items),
            "checkpoints": len(ledger.notes),
            "covered": ledger.sizes[-1],
            "newest": ledger.notes[-1],
            "ownKey": False,
        }


@pytest.mark.parametrize("spoilt", [b"", b"PK", b"a" * 100])
def test_what_is_no_bundle_is_said_to_be_none(page: Page, spoilt: bytes) -> None:
    (found,) = by_page(page, [Bundle(spoilt)])

    assert found["thrown"].startswith("Unreadable: ")
