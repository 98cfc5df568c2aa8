"""The multivariant playlist in a real browser, which plays HLS by itself."""

import pytest

from api.cli.file import examine
from api.cli.local import carry_through
from codex_media import MediaClient
from tests.browser.chromium import chromium, needs_chromium
from tests.gpu_worker.clips import Clips

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


@needs_chromium
def test_chromium_plays_the_result_to_its_end(media_client: MediaClient, clips: Clips) -> None:
    outcome = carry_through(media_client, examine(clips.sample, None))
    assert outcome.playback is not None
    with chromium() as browser:
        # Any page of the service's origin, without its policy, which lets nothing be loaded.
        page = browser.new_page(bypass_csp=True)
        page.goto(f"{outcome.playback.master_url.split('/api/')[0]}/livez")
        page.set_default_timeout(30_000)
        played = page.evaluate(PLAY, outcome.playback.master_url)
    assert played["duration"] == pytest.approx(5.28, abs=0.1)
    assert played["currentTime"] == pytest.approx(played["duration"], abs=0.1)
    assert played["videoWidth"] / played["videoHeight"] == pytest.approx(16 / 9, abs=0.01)
