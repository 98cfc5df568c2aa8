"""Playback: from one URL to every segment, without signing in and without a public bucket."""

import time
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from api.links import PREVIEW, Links
from gpu_worker.contract import OutputLayout
from gpu_worker.contract_extras import AnimatedFacts, Extras, Loudness, StoryboardFacts
from infra.capability import Capability, Purpose, mint
from infra.object_storage import open_storage
from tests.api.studio import AUDIO, Studio

pytestmark = pytest.mark.asyncio(loop_scope="session")

HLS = "application/vnd.apple.mpegurl"


async def playback(studio: Studio, media_id: UUID) -> dict[str, Any]:
    """The URLs of a ready item."""
    answer = await studio.get(f"/api/media/{media_id}/playback")
    assert answer.status_code == 200, answer.text
    urls: dict[str, Any] = answer.json()
    return urls


async def load(studio: Studio, url: str) -> httpx.Response:
    """What a player gets: no token, no cookie."""
    return await studio.service.http.get(url)


def uris(playlist: httpx.Response) -> list[str]:
    """The lines that name something to load."""
    assert playlist.headers["content-type"].startswith(HLS)
    return [line for line in playlist.text.splitlines() if line and not line.startswith("#")]


async def test_a_player_gets_from_the_master_to_every_segment(studio: Studio) -> None:
    job = await studio.ready()
    master_url = (await playback(studio, job.media_id))["masterUrl"]

    master = await load(studio, master_url)
    (variant,) = uris(master)
    media = await load(studio, str(httpx.URL(master_url).join(variant)))

    assert variant == "720p.m3u8"
    segments = [await studio.service.network.get(uri) for uri in uris(media)]
    assert [segment.content for segment in segments] == [b"segment 0", b"segment 1"]
    assert all("Signature=" in uri for uri in uris(media))
    assert master.headers["access-control-allow-origin"] == "*"
    assert "#EXT-X-ENDLIST" in media.text


async def test_preview_and_poster_load_too(studio: Studio) -> None:
    urls = await playback(studio, (await studio.ready()).media_id)

    (segment,) = uris(await load(studio, urls["previewUrl"]))

    assert (await studio.service.network.get(segment)).content == b"the preview"
    assert (await studio.service.network.get(urls["posterUrl"])).content == b"a poster"
    assert urls["waveformUrl"] is None


async def test_audio_has_a_waveform_instead_of_a_poster(studio: Studio) -> None:
    urls = await playback(studio, (await studio.ready(AUDIO)).media_id)

    assert (await studio.service.network.get(urls["waveformUrl"])).content == b"{}"
    assert urls["posterUrl"] is None


async def test_playback_of_what_is_not_ready_is_a_conflict(studio: Studio) -> None:
    for media_id in ((await studio.transcoding()).media_id, (await studio.failed()).media_id):
        answer = await studio.get(f"/api/media/{media_id}/playback")

        assert (answer.status_code, answer.json()["code"]) == (409, "invalid_state")


BOARD = StoryboardFacts(
    interval_seconds=2,
    tiles=7,
    columns=4,
    rows=2,
    tile_width=160,
    tile_height=90,
    sheets=("storyboard_000.jpg",),
)


MOVING = AnimatedFacts(bytes=9, width=320, height=180)
LOUD = Loudness(integrated_lufs=-23.5, range_lu=4.2, true_peak_dbtp=-1.1, gain_db=2.0)


def extras(**told: object) -> bytes:
    """`extras.json` with this in it."""
    return Extras.model_validate(told).to_json().encode()


NO_PLAYLISTS = (
    "manifest.json",
    "720p_000.ts",
    "other.vtt",
    "storyboard_000.jpg",
    "extras.json",
    "1080p.m3u8",
    "MASTER.M3U8",
    "preview/",
    "preview/other.m3u8",
    "preview/preview/preview.m3u8",
    "%2e%2e/%2e%2e/originals/holiday.mp4",
    "..%2fmaster.m3u8",
    "preview/..%2f..%2fmaster.m3u8",
    "%2Fetc%2Fpasswd",
    "master.m3u8%00",
    "master.m3u8/x",
    "m\u00e4ster.m3u8",
)


@pytest.mark.parametrize("path", NO_PLAYLISTS)
async def test_a_path_that_names_none_of_the_playlists_is_404(studio: Studio, path: str) -> None:
    master_url = (await playback(studio, (await studio.ready()).media_id))["masterUrl"]

    answer = await load(studio, master_url.replace("master.m3u8", path))

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def token(
    studio: Studio, media_id: UUID, purpose: Purpose = "play", life_s: int = 60, secret: bytes = b""
) -> str:
    """A playback token."""
    key = studio.service.settings.capability_keys[0]
    capability = Capability(purpose, media_id, 1, int(time.time()) + life_s)
    return mint(key._replace(secret=secret or key.secret), capability)


async def test_a_token_that_is_not_ours_or_is_over_is_403(studio: Studio) -> None:
    media_id = (await studio.ready()).media_id
    good = token(studio, media_id)
    assert (await load(studio, f"/api/playback/{good}/master.m3u8")).status_code == 200
    refused = {
        "expired": token(studio, media_id, life_s=-1),
        "of a webhook": token(studio, media_id, "webhook"),
        "of another key": token(studio, media_id, secret=b"x" * 32),
        "of another item": good.replace(media_id.hex, uuid4().hex),
        "nonsense": "nonsense",
    }

    for what, bad in refused.items():
        answer = await load(studio, f"/api/playback/{bad}/master.m3u8")
        assert (answer.status_code, answer.json()["code"]) == (403, "access_denied"), what


async def test_a_token_of_an_item_that_is_not_ready_finds_nothing(studio: Studio) -> None:
    for media_id in ((await studio.register()).media.id, uuid4()):
        answer = await load(studio, f"/api/playback/{token(studio, media_id)}/master.m3u8")

        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_only_segment_names_are_signed(studio: Studio) -> None:
    job = await studio.ready()
    foreign = "https://evil.test/a.ts\n../../../bob/originals/secret.ts\n/etc/passwd\nlocal.ts\n"
    studio.gpu.put(f"{job.layout.prefix}720p.m3u8", f"#EXTM3U\n{foreign}".encode())
    url = f"/api/playback/{token(studio, job.media_id)}/720p.m3u8"

    lines = uris_of_text((await load(studio, url)).text)

    assert lines[:3] == foreign.splitlines()[:3]
    assert f"{job.layout.prefix}local.ts?" in lines[3]


async def test_every_range_of_a_segment_has_the_same_signed_url(studio: Studio) -> None:
    job = await studio.ready()
    entries = "#EXTINF:2,\n#EXT-X-BYTERANGE:188@564\n720p_000.ts\n" * 2
    key = f"{job.layout.prefix}720p-iframes.m3u8"
    studio.gpu.put(key, f"#EXTM3U\n#EXT-X-I-FRAMES-ONLY\n{entries}".encode())
    url = f"/api/playback/{token(studio, job.media_id)}/720p-iframes.m3u8"

    answer = await load(studio, url)

    first, second = uris(answer)
    assert first == second
    ranged = await studio.service.network.get(first, headers={"range": "bytes=0-6"})
    assert ranged.content == b"segment"
    assert answer.text.count("#EXT-X-BYTERANGE:188@564\n") == 2


async def test_a_storyboard_finds_its_sheets_in_the_private_bucket(studio: Studio) -> None:
    job = await studio.ready()
    put = studio.gpu.put
    put(
        job.layout.extras,
        extras(storyboard=BOARD, animated=MOVING, loudness=LOUD, notes=("waveform: no sound",)),
    )
    place = "storyboard_000.jpg#xywh=0,90,160,90"
    cue = f"WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n{place}\n"
    put(f"{job.layout.prefix}storyboard.vtt", cue.encode())
    put(f"{job.layout.prefix}storyboard_000.jpg", b"a sheet")
    put(job.layout.animated, b"an animal")

    urls = await playback(studio, job.media_id)
    answer = await load(studio, urls["storyboardUrl"])

    assert (await studio.service.network.get(urls["animatedPreviewUrl"])).content == b"an animal"
    assert urls["notes"] == ["waveform: no sound"]
    assert urls["loudness"] == {
        "integratedLufs": -23.5, "rangeLu": 4.2, "truePeakDbtp": -1.1, "gainDb": 2.0
    }  # fmt: skip
    assert answer.headers["content-type"].startswith("text/vtt")
    head, signed = answer.text.rstrip().rsplit("\n", 1)
    assert head + "\n" == cue.removesuffix(f"{place}\n")
    url, fragment = signed.split("#")
    assert fragment == "xywh=0,90,160,90"
    assert (await studio.service.network.get(url)).content == b"a sheet"


@pytest.mark.parametrize("body", [b"{", b" " * 100_000])
async def test_extras_that_cannot_be_read_are_told_and_the_film_plays(
    studio: Studio, body: bytes
) -> None:
    job = await studio.ready()
    studio.gpu.put(job.layout.extras, body)

    urls = await playback(studio, job.media_id)

    assert urls["storyboardUrl"] is None
    assert urls["notes"] == ["The list of extras cannot be read."]
    assert (await load(studio, urls["masterUrl"])).status_code == 200


async def test_an_output_of_an_older_worker_has_no_extras(studio: Studio) -> None:
    urls = await playback(studio, (await studio.ready()).media_id)

    assert (urls["storyboardUrl"], urls["animatedPreviewUrl"]) == (None, None)
    assert (urls["loudness"], urls["notes"]) == (None, [])


def uris_of_text(text: str) -> list[str]:
    """The lines of a playlist that are no tags."""
    return [line for line in text.splitlines() if not line.startswith("#")]


CDN = "https://cdn.test/films"


@pytest.mark.parametrize(
    ("public", "opened"),
    [
        ({}, set()),
        ({"public_media_url": CDN}, {"master", "preview", "poster", "storyboard"}),
        ({"public_media_url": CDN, "public_media": "preview"}, {"preview"}),
    ],
)
async def test_what_lies_open_is_linked_where_it_lies(
    studio: Studio, public: dict[str, str], opened: set[str]
) -> None:
    settings = studio.service.settings.model_copy(update=public)
    layout = OutputLayout("an artist", UUID(int=7))
    async with open_storage(settings) as storage:
        links = Links(settings, storage, layout, "https://app.test/signed")
        urls = {
            "master": links.playlist("master.m3u8"),
            "preview": links.playlist(PREVIEW),
            "poster": await links.object(f"{layout.prefix}poster.jpg"),
            "storyboard": links.playlist("storyboard.vtt"),
        }
    assert {name for name, url in urls.items() if url.startswith(f"{CDN}/an%20artist/")} == opened
    assert links.expire is ("master" not in opened)
    assert ("Signature=" in urls["poster"]) is ("poster" not in opened)
    assert not any("Signature=" in urls[name] for name in opened)
