"""What a person does at the console's pages, for the tests of them."""

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, BrowserContext, Locator, Page, ViewportSize

LIMIT_MS = 30_000
DESKTOP = ViewportSize(width=1200, height=800)
PHONE = ViewportSize(width=360, height=740)
DROP = """({name, type, base64}) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name, {type}));
    for (const event of ["dragenter", "dragover", "drop"])
        document.querySelector("main").dispatchEvent(
            new DragEvent(event, {bubbles: true, cancelable: true, dataTransfer}));
}"""
NOTE_PROGRESS = """() => {
    window.seen = [];
    new MutationObserver(() => {
        for (const item of document.querySelectorAll(".item")) {
            const bar = item.querySelector("progress");
            if (bar.hidden) continue;
            const state = item.querySelector(".state").textContent;
            const words = bar.nextElementSibling.textContent;
            window.seen.push([item.querySelector(".name").textContent, state, bar.value, words]);
        }
    }).observe(document.querySelector("main"), {subtree: true, childList: true, attributes: true});
}"""

BARS = """(canvas) => {
    const {width, height} = canvas;
    const {data} = canvas.getContext("2d").getImageData(0, 0, width, height);
    const tall = Array(width).fill(0);
    for (let at = 0; at < width * height; at += 1) if (data[4 * at + 3]) tall[at % width] += 1;
    return tall;
}"""
"""How tall what is drawn is in each column of a canvas, in pixels."""


class Desk:
    """One browser window, signed in at the service at `url`; what goes wrong there is kept."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url = context, url
        self.page = context.new_page()
        self.page.set_default_timeout(LIMIT_MS)
        self.complaints: list[str] = []
        self.watch(self.page)

    def watch(self, page: Page) -> None:
        """Keep what the page's console complains of; refusals of the service are not complaints."""
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda told: told.type == "error" and self._note(told.text))

    def _note(self, text: str) -> None:
        if "Failed to load resource" not in text:
            self.complaints.append(text)

    def sign_in(self, name: str, path: str = "/", roles: tuple[str, ...] = ("Creator",)) -> None:
        """By the form, on the keyboard alone."""
        self.page.goto(f"{self.url}{path}")
        self.page.get_by_label("Name").fill(name)
        for role in ("Creator", "Auditor"):
            self.page.get_by_label(role).set_checked(role in roles)
        self.page.keyboard.press("Tab")
        self.page.get_by_role("button", name="Sign in").press("Enter")
        self.page.get_by_role("button", name="Sign out").wait_for()

    def drop(self, file: Path, kind: str) -> None:
        """Drag the file in."""
        content = base64.b64encode(file.read_bytes()).decode()
        self.page.evaluate(DROP, {"name": file.name, "type": kind, "base64": content})

    def choose(self, *files: Path) -> None:
        """Choose files in the dialog that the button opens."""
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name="Choose files").click()
        chooser.value.set_files(files)

    def item(self, name: str) -> Locator:
        """The item of that name in the list."""
        heading = self.page.get_by_role("heading", name=name, exact=True)
        return self.page.get_by_role("listitem").filter(has=heading)

    def state_becomes(self, name: str, state: str) -> None:
        """Wait until the item says so."""
        self.item(name).locator(".state", has_text=state).wait_for()

    def video(self) -> dict[str, Any]:
        """Where the player is."""
        script = "(v) => ({at: v.currentTime, width: v.videoWidth, paused: v.paused})"
        found: dict[str, Any] = self.page.locator("video").evaluate(script)
        return found

    def violations(self) -> list[str]:
        """What axe finds serious or critical on the page as it is, and then in the dark.

        Without motion: half-way from light to dark nothing has the contrast of either.
        """
        self.page.emulate_media(color_scheme="light", reduced_motion="reduce")
        found = Axe().run(self.page).response["violations"]
        self.page.emulate_media(color_scheme="dark")
        contrast = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
        found += Axe().run(self.page, options=contrast).response["violations"]
        serious = [each for each in found if each["impact"] in {"serious", "critical"}]
        return [f"{each['id']}: {node['html'][:200]}" for each in serious for node in each["nodes"]]

    def overflows(self) -> int:
        """By how many pixels the page is wider than the window."""
        wide: int = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return wide


@contextmanager
def desk(browser: Browser, url: str, **options: Any) -> Iterator[Desk]:
    """A window of its own, sharing nothing with others. It must have had nothing to complain of."""
    context = browser.new_context(**{"viewport": DESKTOP, **options})
    try:
        opened = Desk(context, url)
        yield opened
        assert opened.complaints == []
    finally:
        context.close()


def until(true: Callable[[], object], what: str, limit_s: float = 20) -> None:
    """Wait until it is true."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def big_file(place: Path, megabytes: int) -> Path:
    """A file of no kind, which takes no space."""
    with place.open("wb") as file:
        file.truncate(megabytes * 1024 * 1024)
    return place
