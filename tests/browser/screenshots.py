"""Makes the screenshots in docs/console/.

    PYTHONPATH=src:. .venv/bin/python -m tests.browser.screenshots

From everything as a user runs it, with a film, a piece of music and a text that is no film.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import find_tools
from tests.browser.chromium import chromium
from tests.browser.desk import DESKTOP, PHONE, Desk, desk
from tests.docs import ROOT
from tests.e2e.conftest import started
from tests.gpu_worker.clips import Clips

FOLDER = ROOT / "docs" / "console"
WINDOWS = {"desktop": DESKTOP, "phone": PHONE}
SCHEMES = ("light", "dark")


def main() -> None:
    """Make them all anew."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.*"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        tools = find_tools(EncodeSettings())
        clips = Clips(Path(folder), tools)
        with started(Path(folder) / "data", "up") as program, chromium() as browser:
            url = program.settings()["PUBLIC_APP_URL"]
            state = Path(folder) / "state.json"
            with desk(browser, url) as first:
                fill(first, clips)
                first.context.storage_state(path=state)
            for (size, viewport), scheme in product(WINDOWS.items(), SCHEMES):
                options = {"viewport": viewport, "color_scheme": scheme, "locale": "en-GB"}
                with desk(browser, url, **options) as stranger:
                    stranger.page.goto(url)
                    stranger.page.get_by_role("button", name="Sign in").wait_for()
                    take(stranger, tools.ffmpeg, f"sign-in-{size}-{scheme}")
                with desk(browser, url, storage_state=state, **options) as window:
                    for name in pages(window, clips):
                        take(window, tools.ffmpeg, f"{name}-{size}-{scheme}")


def fill(window: Desk, clips: Clips) -> None:
    """A library to look at."""
    window.sign_in("ada", roles=("Creator", "Auditor"))
    window.choose(clips.text(), clips["mp3"], clips.sample)
    window.state_becomes("text.mp4", "Failed")
    for name in ("cover.mp3", clips.sample.name):
        window.state_becomes(name, "Ready")


def pages(window: Desk, clips: Clips) -> Iterator[str]:
    """Go to each page, and name it once it can be seen."""
    page = window.page
    page.goto(window.url)
    window.item(clips.sample.name).locator("img").wait_for()
    yield "library"
    window.item("cover.mp3").get_by_role("button", name="Listen").click()
    page.get_by_label("Quality").wait_for()
    page.locator(".wave input").click(position={"x": 120, "y": 40})
    page.wait_for_timeout(500)
    yield "sound"
    page.keyboard.press("Escape")
    window.item(clips.sample.name).get_by_role("button", name="Watch").click()
    page.get_by_label("Quality").wait_for()
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Pause", exact=True).click()
    yield "film"
    page.goto(f"{window.url}/audit")
    page.get_by_role("link", name="Transcoding failed").click()
    page.get_by_role("slider", name="As of version").press("ArrowLeft")
    page.get_by_role("button", name="Verify the ledger now").click()
    page.locator(".prover.proved").wait_for()
    page.get_by_text("of the tree that you verified").first.wait_for()
    yield "audit"
    page.get_by_text("The message itself").last.click()
    page.get_by_text("Hashed here").last.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    yield "evidence"
    page.goto(f"{window.url}/docs")
    page.get_by_role("heading", name="Models").wait_for()
    yield "reference"


def take(window: Desk, ffmpeg: str, name: str) -> None:
    """Keep what the window shows, as WebP."""
    path = FOLDER / f"{name}.webp"
    argv = [ffmpeg, "-v", "error", "-f", "png_pipe", "-i", "-", "-c:v", "libwebp", "-quality", "82"]
    picture = window.page.screenshot()
    subprocess.run([*argv, "-y", str(path)], input=picture, check=True, timeout=60)
    sys.stdout.write(f"{path.relative_to(ROOT)}  {path.stat().st_size}\n")


if __name__ == "__main__":
    main()
