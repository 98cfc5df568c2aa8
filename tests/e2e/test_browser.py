"""The multivariant playlist in a real browser, which plays HLS by itself."""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from api.cli.client import MediaClient
from api.cli.file import examine
from api.cli.local import carry_through
from tests.gpu_worker.clips import Clips

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
PLAY = """async (url) => {
    const video = document.createElement('video');
    video.muted = true;
    video.crossOrigin = 'anonymous';  // the segments come from the bucket's origin
    video.src = url;
    document.body.append(video);
    const failed = new Promise((_, no) => {
        video.onerror = () => no(new Error(`${video.error.code} ${video.error.message}`));
    });
    const ended = new Promise((yes) => { video.onended = yes; });
    await Promise.race([video.play(), failed]);
    video.playbackRate = 4;
    await Promise.race([ended, failed]);
    const {currentTime, duration, videoWidth, videoHeight} = video;
    return {currentTime, duration, videoWidth, videoHeight};
}"""


@pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ,
    reason="no Chromium on this machine: install the package `chromium`",
)
def test_chromium_plays_the_result_to_its_end(media_client: MediaClient, clips: Clips) -> None:
    outcome = carry_through(media_client, examine(clips.sample, None))
    assert outcome.playback is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.goto(f"{outcome.playback.master_url.split('/api/')[0]}/livez")
        page.set_default_timeout(30_000)
        played = page.evaluate(PLAY, outcome.playback.master_url)
        browser.close()
    assert played["duration"] == pytest.approx(5.28, abs=0.1)
    assert played["currentTime"] == pytest.approx(played["duration"], abs=0.1)
    assert played["videoWidth"] / played["videoHeight"] == pytest.approx(16 / 9, abs=0.01)
