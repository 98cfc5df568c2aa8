"""The console and the auditor's view in a real browser, against everything as a user runs it."""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Request, expect

from api.auth import Role
from api.cli.file import examine
from api.cli.place import TOKEN_LIFE, mint_token
from codex_media import MediaClient
from infra.embedded.ports import free_port
from infra.settings import load
from tests.browser.chromium import chromium, needs_chromium
from tests.browser.desk import BARS, NOTE_PROGRESS, PHONE, Desk, big_file, desk, until
from tests.browser.second_api import second_api
from tests.e2e.conftest import Program
from tests.gpu_worker.clips import Clips

pytestmark = needs_chromium
FILM, SOUND, BROKEN = "bigbuckbunny.mp4", "cover.mp3", "text.mp4"
WIDTHS = {"720p": 1280, "480p": 854, "360p": 640}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def url(program: Program) -> str:
    return program.settings()["PUBLIC_APP_URL"]


@pytest.fixture(scope="module")
def library(browser: Browser, url: str, clips: Clips) -> Iterator[Desk]:
    """A creator's window after three files were dragged in or chosen, and came to their ends."""
    with desk(browser, url) as at_work:
        at_work.context.grant_permissions(["clipboard-read", "clipboard-write"])
        at_work.sign_in("creator-1", roles=("Creator", "Auditor"))
        expect(at_work.page.get_by_role("heading", name="Nothing uploaded yet")).to_be_visible()
        at_work.page.evaluate(NOTE_PROGRESS)
        at_work.drop(clips.sample, "video/mp4")
        at_work.choose(clips["mp3"], clips.text())
        at_work.state_becomes(FILM, "Ready")
        at_work.state_becomes(SOUND, "Ready")
        at_work.state_becomes(BROKEN, "Failed")
        yield at_work


@pytest.fixture
def back(library: Desk) -> Iterator[Desk]:
    """The same window, at the library."""
    library.page.goto(library.url)
    expect(library.item(FILM)).to_be_visible()
    yield library
    assert library.complaints == []


def test_progress_moves_while_a_film_is_made(library: Desk) -> None:
    seen = [each[1:] for each in library.page.evaluate("window.seen") if each[0] == FILM]

    assert {"Uploading", "In progress"} <= {state for state, _, _ in seen}
    percents = [value for state, value, _ in seen if state == "In progress"]
    assert percents == sorted(percents)
    assert len({value for value in percents if 0 < value < 100}) >= 2, seen
    assert any("Encoding" in words for _, _, words in seen), seen


def test_a_film_plays_in_the_chosen_quality_and_seeks(back: Desk) -> None:
    page = back.page
    back.item(FILM).get_by_role("button", name="Watch").press("Enter")
    page.get_by_role("button", name="Play", exact=True).press("Enter")
    until(lambda: back.video()["at"] > 0.3, "currentTime does not advance")
    page.get_by_role("button", name="Pause", exact=True).press("Enter")

    for quality, width in WIDTHS.items():
        page.get_by_label("Quality").select_option(label=quality)
        until(lambda width=width: back.video()["width"] == width, f"never became {quality}")
    page.get_by_role("slider", name="Position").focus()
    page.keyboard.press("Home")
    until(lambda: back.video()["at"] < 3, "does not seek to the beginning")
    bar = page.get_by_role("slider", name="Position").bounding_box()
    assert bar is not None
    page.mouse.click(bar["x"] + bar["width"] * 0.8, bar["y"] + bar["height"] / 2)
    until(lambda: back.video()["at"] > 4, "does not seek to a click")
    expect(page.locator(".glimpse")).to_be_visible()

    page.get_by_role("button", name="Copy", exact=True).click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert httpx.get(copied, timeout=10).text.startswith("#EXTM3U")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(back.item(FILM).get_by_role("button", name="Watch")).to_be_focused()


def test_sound_shows_its_waveform_and_seeks_in_it(back: Desk) -> None:
    back.item(SOUND).get_by_role("button", name="Listen").click()
    canvas = back.page.locator("canvas")
    until(lambda: len(set(canvas.evaluate(BARS))) > 10, "no waveform is drawn")
    bar = back.page.get_by_role("slider", name="Position").bounding_box()
    assert bar is not None
    back.page.mouse.click(bar["x"] + bar["width"] / 2, bar["y"] + 20)
    until(lambda: 2 < back.video()["at"] < 3, "does not seek to a click")


def test_a_broken_file_says_why_and_may_be_tried_again_once(back: Desk) -> None:
    item = back.item(BROKEN)
    expect(item).to_contain_text("This file is not a video or audio file we can read.")
    expect(item).to_contain_text("Check that the file plays on your own machine")
    item.get_by_role("button", name="Try again").click()
    back.state_becomes(BROKEN, "In progress")
    back.state_becomes(BROKEN, "Failed")
    expect(item.get_by_role("button", name="Try again")).to_have_count(0)


def test_two_creators_at_once_see_their_own_items_alone(
    browser: Browser, url: str, back: Desk, tmp_path: Path
) -> None:
    with desk(browser, url) as other:
        other.sign_in("creator-2")
        expect(other.page.get_by_role("heading", name="Nothing uploaded yet")).to_be_visible()
        mine, theirs = tmp_path / "of-one.mp4", tmp_path / "of-two.mp4"
        second = Desk(back.context, url)  # another tab of the first creator
        second.page.goto(url)
        expect(second.item(FILM)).to_be_visible()
        for window, file in ((back, mine), (other, theirs)):
            file.write_text("no film")
            window.choose(file)
        for window in (back, second):
            window.state_becomes(mine.name, "Failed")
        other.state_becomes(theirs.name, "Failed")
        assert other.page.get_by_role("heading", level=3).all_inner_texts() == [theirs.name]
        for window in (back, second):
            assert theirs.name not in window.page.inner_text("main")
        second.page.close()


def test_an_interrupted_upload_goes_on_without_sending_again_what_arrived(
    browser: Browser, url: str, tmp_path: Path
) -> None:
    file = big_file(tmp_path / "large.mp4", 66)
    arrived = [re.compile(rf"partNumber={number}\b") for number in (1, 2)]
    sent: list[str] = []
    with desk(browser, url) as window:
        window.sign_in("creator-3")
        # Not `route`, through which the bodies would pass too.
        network = window.context.new_cdp_session(window.page)
        network.send("Network.enable")
        network.send("Network.setBlockedURLs", {"urls": ["*partNumber=3*", "*partNumber=4*"]})
        one, two = (window.page.expect_response(each) for each in arrived)
        with one, two:
            window.choose(file)
        expect(window.item(file.name)).to_contain_text("Interrupted, trying again")
        window.page.close()

        page = window.page = window.context.new_page()
        page.on("request", lambda found: found.method == "PUT" and sent.append(found.url))
        page.goto(url)
        expect(window.item(file.name)).to_contain_text("Waiting for its file")
        with page.expect_response("**/complete") as done, page.expect_response("**/upload") as told:
            window.choose(file)
        assert done.value.ok
        missing = [part["number"] for part in told.value.json()["upload"]["parts"]]
        window.complaints.clear()  # the requests that were cut
    numbers = [int(re.findall(r"partNumber=(\d+)", each)[0]) for each in sent]
    assert sorted(numbers) == missing
    assert not {1, 2} & set(numbers)


def test_the_stream_resumes_after_the_server_restarted(
    browser: Browser, program: Program, tmp_path: Path
) -> None:
    port, file = free_port(), tmp_path / "meanwhile.mp4"
    file.write_text("no film either")
    settings = load(program.settings())
    token = mint_token(settings, "creator-4", [Role.CREATOR], TOKEN_LIFE)
    lists: list[Request] = []
    with desk(browser, f"http://127.0.0.1:{port}") as window:
        with second_api(program, port):
            window.sign_in("creator-4")
            expect(window.page.get_by_text("Live", exact=True)).to_be_visible()
            expect(window.page.get_by_role("heading", name="Nothing uploaded yet")).to_be_visible()
        expect(window.page.get_by_text("Connection lost")).to_be_visible()
        with MediaClient(settings.public_app_url, token) as client:
            client.register(*examine(file, None).announced)
        window.page.on("request", lambda sent: "/api/media?" in sent.url and lists.append(sent))
        with second_api(program, port):
            expect(window.page.get_by_text("Live", exact=True)).to_be_visible()
            expect(window.item(file.name)).to_be_visible()
            window.page.goto("about:blank")
    assert lists == [], "it was listed anew, not resumed"


def test_the_auditor_sees_who_did_what_and_the_item_as_of_any_version(back: Desk) -> None:
    page = back.page
    page.goto(f"{back.url}/audit")
    page.get_by_role("link", name="Transcoding failed").last.click()
    events = page.get_by_role("list", name="Events").locator(".event")
    expect(events.first).to_contain_text("Creator creator-1")
    for words in ("Hash recomputed here: it is what the event says", "covers it"):
        expect(events.filter(has_text=words)).to_have_count(events.count())
    failed = events.last
    failed.get_by_text("The message itself").click()
    expect(failed.get_by_text("Hashed here: it is the message")).to_be_visible()
    expect(failed.locator(".message pre")).to_contain_text('"status": "failed"')
    slider = page.get_by_role("slider", name="As of version")
    for key, status in (("Home", "uploading"), ("ArrowRight", "uploaded")):
        slider.press(key)
        expect(page.locator(".state-rows dd").first).to_have_text(
            f"{status}{'changed' if key != 'Home' else ''}"
        )
        expect(
            page.get_by_text("The service's answer for this version is what the")
        ).to_be_visible()


def test_the_proof_holds_and_turns_red_when_a_byte_of_an_exported_event_is_changed(
    back: Desk,
) -> None:
    page = back.page
    page.goto(f"{back.url}/audit")
    page.get_by_role("button", name="Verify the ledger now").click()
    expect(page.get_by_text("Proven: nothing was changed")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the bundle").click()
    packed = download.value.path().read_bytes()

    page.locator("#bundle").set_input_files(
        {"name": "changed.zip", "mimeType": "application/zip", "buffer": changed(packed, 7)}
    )
    expect(page.get_by_text("The proof fails, first at event 7")).to_be_visible()
    expect(page.locator(".prover.refuted")).to_be_visible()
    page.locator("#bundle").set_input_files(
        {"name": "whole.zip", "mimeType": "application/zip", "buffer": packed}
    )
    expect(page.locator(".prover.proved")).to_be_visible()


def changed(packed: bytes, seq: int) -> bytes:
    """The bundle with one letter of that event's text changed, and all checksums right."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as old, zipfile.ZipFile(result, "w") as new:
        for name in old.namelist():
            body = old.read(name)
            head = f"\n{seq} ".encode()
            at = (b"\n" + body).find(head) if name.startswith("events/") else -1
            if at >= 0:
                place = body.index(b"media.", at)
                body = body[:place] + b"M" + body[place + 1 :]
            new.writestr(name, body)
    return result.getvalue()


def test_no_page_keeps_anybody_out_on_a_phone_in_light_and_in_dark(
    browser: Browser, url: str, back: Desk
) -> None:
    found: dict[str, list[str]] = {}
    film = back.item(FILM).get_attribute("data-id")
    state = back.context.storage_state()
    with desk(browser, url, viewport=PHONE) as stranger:
        stranger.page.goto(url)
        stranger.page.get_by_role("button", name="Sign in").wait_for()
        found["sign-in"] = stranger.violations()
    with desk(browser, url, viewport=PHONE, storage_state=state) as window:
        page = window.page
        shown = {
            f"/#/media/{film}": page.get_by_label("Quality"),
            "/": window.item(BROKEN).locator(".state"),
            "/audit": page.get_by_text("Covers", exact=True),
            "/docs": page.get_by_role("heading", name="Models"),
            "/docs/problems": page.get_by_role("heading", name="access_denied"),
        }
        for path, sign in shown.items():
            page.goto("about:blank")
            page.goto(f"{url}{path}")
            sign.wait_for()
            found[path] = window.violations()
            assert window.overflows() == 0, path
    assert not any(found.values()), found


def test_an_item_is_erased_after_a_question_by_keys_alone(back: Desk) -> None:
    item, keyboard = back.item(BROKEN), back.page.keyboard
    item.get_by_role("button", name="Erase").press("Enter")
    expect(item.get_by_role("button", name="Keep it")).to_be_focused()
    assert back.violations() == []
    keyboard.press("Enter")
    expect(item.get_by_role("button", name="Erase:")).to_be_focused()
    keyboard.press("Enter")
    keyboard.press("Shift+Tab")
    expect(item.get_by_role("button", name="Erase for good")).to_be_focused()
    keyboard.press("Enter")
    expect(item).to_have_count(0)
    expect(back.item(FILM)).to_be_visible()
    assert back.page.evaluate("document.activeElement.tagName") == "BUTTON"
    back.page.reload()
    expect(back.item(FILM)).to_be_visible()
    expect(item).to_have_count(0)
