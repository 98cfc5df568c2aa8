"""Files that name other files and addresses."""

from collections.abc import Iterator

from tests.gpu_worker.hostile.boxes import box, full, u16, u32, with_references
from tests.gpu_worker.hostile.files import Hostile

NEIGHBOUR = "neighbour.mp4"
"""Lies beside each file, and is somebody else's."""


def disguises(good: dict[str, bytes], url: str, secret: str) -> Iterator[Hostile]:
    """Each kind of reference: to an address, to the file beside, to a file by its whole path."""
    for place, target in (("address", url), ("beside", NEIGHBOUR), ("path", secret)):
        for kind, text in texts(target).items():
            yield Hostile("reference", f"{kind}-{place}", text.encode())
        for kind, content in containers(good, target).items():
            yield Hostile("reference", f"{kind}-{place}", content)
    for name, text in single_texts().items():
        yield Hostile("disguise", name, text.encode())


def texts(target: str) -> dict[str, str]:
    """Lists, manifests and scripts of formats that ffmpeg has read."""
    extinf = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n{}#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n"
    return {
        "hls": extinf.format("", target),
        "hls-key": extinf.format(f'#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n', target),
        "hls-map": extinf.format(f'#EXT-X-MAP:URI="{target}"\n', target),
        "hls-master": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n",
        "ffconcat": f"ffconcat version 1.0\nfile '{target}'\n",
        "dash": (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            'mediaPresentationDuration="PT5S"><Period><AdaptationSet mimeType="video/mp4">'
            f'<Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL></Representation>'
            "</AdaptationSet></Period></MPD>"
        ),
        "svg": (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'width="64" height="64"><image xlink:href="{target}" width="64" height="64"/></svg>'
        ),
    }


def single_texts() -> dict[str, str]:
    """More texts that are instructions to some reader."""
    return {
        "sdp": (
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
            "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
        ),
        "lavfi": f"movie={NEIGHBOUR}[out0]",
        "avisynth": f'DirectShowSource("{NEIGHBOUR}")',
        "mvg": f"push graphic-context\nimage over 0,0 64,64 '{NEIGHBOUR}'\npop graphic-context",
        "subtitles": f"1\n00:00:00,000 --> 00:00:01,000\n<img src='{NEIGHBOUR}'>\n",
        "vobsub": "# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 0",
        "rtsp": "rtsptext\nrtsp://127.0.0.1:9/x\n",
        "playlist": f"[playlist]\nFile1={NEIGHBOUR}\nNumberOfEntries=1\n",
        "metadata": ";FFMETADATA1\ntitle=x\n[CHAPTER]\nSTART=0\nEND=99999999999\n",
        "cue": f'FILE "{NEIGHBOUR}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
        "shell": "#!/bin/sh\ncat /etc/passwd\n",
    }


def containers(good: dict[str, bytes], target: str) -> dict[str, bytes]:
    """Media whose pictures are said to be elsewhere."""
    film, name = good["mp4"], target.encode() + b"\0"
    alias = _alias(target)
    return {
        "dref-url": with_references(film, box("url ", u32(0), name)),
        "dref-alias": with_references(film, alias),
        "rmra": film[:32] + box("moov", box("rmra", box("rmda", _pointer(name)))),
        "attachment": _attached(good["mkv"], texts(target)["hls"].encode()),
    }


def _pointer(name: bytes) -> bytes:
    return full("rdrf", b"url ", u32(len(name)), name)


def _alias(target: str) -> bytes:
    """A QuickTime alias record, with the path as ffmpeg looks for it."""
    path = target.encode()
    path += b"\0" * (len(path) % 2)
    name = target.encode()[-63:]
    record = (
        bytes(10) + b"\x03" + b"vol".ljust(27, b"\0") + bytes(12)
        + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + u16(1, 1) + bytes(16)
    )  # fmt: skip
    return box("alis", u32(0), record, u16(2, len(path)), path, u16(0xFFFF, 0))


def _attached(film: bytes, content: bytes) -> bytes:
    """Matroska with an attachment after its end: a file named like a playlist."""
    parts = {
        b"\x46\x6e": b"list.m3u8",
        b"\x46\x60": b"application/vnd.apple.mpegurl",
        b"\x46\x5c": content,
        b"\x46\xae": b"\x01",
    }
    body = b"".join(key + _length(value) + value for key, value in parts.items())
    attached = b"\x61\xa7" + _length(body) + body
    return film + b"\x19\x41\xa4\x69" + _length(attached) + attached


def _length(content: bytes) -> bytes:
    return (0x10000000 | len(content)).to_bytes(4, "big")
