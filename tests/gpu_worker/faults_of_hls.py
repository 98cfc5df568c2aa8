"""One way to break each rule of HLS in a good output of two rungs and a sound track."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from gpu_worker.tools import Tools

PACKET = 188
Fault = Callable[[Path, Tools], None]


def edit(name: str, old: str, new: str) -> Fault:
    """In one playlist, every match of `old` becomes `new`."""

    def break_it(folder: Path, _tools: Tools) -> None:
        text = (folder / name).read_text()
        changed = re.sub(old, new, text)
        assert changed != text
        (folder / name).write_text(changed)

    return break_it


def patch(name: str, old: bytes, new: bytes, *, which: slice = slice(None)) -> Fault:
    """In one segment, the chosen ones of all `old` become `new`, which is as long."""

    def break_it(folder: Path, _tools: Tools) -> None:
        content = bytearray((folder / name).read_bytes())
        found = [match.start() for match in re.finditer(re.escape(old), content)]
        assert found[which]
        for at in found[which]:
            content[at : at + len(old)] = new
        (folder / name).write_bytes(content)

    return break_it


def lose_packets(name: str, lost: slice) -> Fault:
    """Some packets of one segment are gone."""

    def break_it(folder: Path, _tools: Tools) -> None:
        content = (folder / name).read_bytes()
        packets = [content[at : at + PACKET] for at in range(0, len(content), PACKET)]
        del packets[lost]
        (folder / name).write_bytes(b"".join(packets))

    return break_it


def encode_again(arguments: str) -> Fault:
    """The pictures of the lower rung are others."""

    def break_it(folder: Path, tools: Tools) -> None:
        command = [tools.ffmpeg, "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i"]
        command += ["testsrc2=s=64x36:r=25:d=14", "-c:v", "libx264", "-preset", "superfast"]
        command += ["-f", "hls", "-hls_time", "6", "-hls_playlist_type", "vod"]
        command += ["-hls_segment_filename", str(folder / "360p_%03d.ts"), *arguments.split()]
        command.append(str(folder / "360p.m3u8"))
        subprocess.run(command, check=True, timeout=60)

    return break_it


def swap(one: str, other: str) -> Fault:
    """Two segments have each other's content."""

    def break_it(folder: Path, _tools: Tools) -> None:
        first, second = (folder / name for name in (one, other))
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)

    return break_it


def remove(name: str) -> Fault:
    """A file is not there."""
    return lambda folder, _tools: (folder / name).unlink()


def rewrite(name: str, content: bytes) -> Fault:
    """A file is something else."""
    return lambda folder, _tools: (folder / name).write_bytes(content) and None


IDR, SLICE = b"\x00\x00\x01\x65", b"\x00\x00\x01\x61"
FAULTS: dict[str, list[Fault]] = {
    "rfc8216-4.1": [
        remove("360p_001.ts"),
        remove("audio-64k.m3u8"),
        rewrite("480p_000.ts", b"\n" * PACKET),
        rewrite("480p_000.ts", b""),
        edit("master.m3u8", "#EXTM3U", ""),
        edit("master.m3u8", r"#EXT-X-STREAM-INF.*\n.*\n", ""),
        edit("480p.m3u8", r"#EXTINF.*\n.*\n", ""),
        remove("480p-iframes.m3u8"),
        edit("480p-iframes.m3u8", r"#EXT-X-BYTERANGE.*\n", ""),
        edit("480p-iframes.m3u8", r"(#EXT-X-BYTERANGE:\d+)@\d+\n", r"\1\n"),
        edit("480p.m3u8", r"EXTINF:[0-9.]+", "EXTINF:six"),
        edit("preview/preview.m3u8", r"preview_001", "preview_007"),
    ],
    "apple-1.3": [encode_again("-g 50 -profile:v main"), encode_again("-g 50 -level 6.2")],
    "apple-1.13": [
        patch("480p_001.ts", IDR, SLICE, which=slice(1, 2)),
        patch("preview/preview_000.ts", IDR, SLICE, which=slice(2, 3)),
    ],
    "apple-1.14": [encode_again("-g 50 -flags +ildct+ilme")],
    "apple-1.19": [encode_again("-g 240 -r 120")],
    "apple-1.21": [encode_again("-g 50 -vf setparams=colorspace=bt470bg"), encode_again("-g 50")],
    "apple-1.26": [edit("master.m3u8", r"AVERAGE-BANDWIDTH=(\d)", r"AVERAGE-BANDWIDTH=1\1")],
    "apple-1.27": [
        edit("master.m3u8", r":BANDWIDTH=(\d)", r":BANDWIDTH=1\1"),
        edit("master.m3u8", r":BANDWIDTH=\d+,", r":BANDWIDTH=100000,"),
    ],
    "apple-1.32": [
        edit("master.m3u8", r"(#EXT-X-STREAM-INF.*\n.*\n)(#EXT-X-STREAM-INF.*\n.*\n)", r"\2\1")
    ],
    "apple-2.3": [
        patch("audio-64k_001.ts", b"\xff\xf1\x4c\x80", b"\xff\xf1\x4c\x40"),
        patch("audio-64k_001.ts", b"\xff\xf1\x4c\x80", b"\xff\xf1\x0c\x80", which=slice(3, 4)),
    ],
    "apple-6.1": [
        edit("master.m3u8", r"#EXT-X-I-FRAME-STREAM-INF.*360p.*\n", ""),
        edit("master.m3u8", r"480p-iframes", "360p-iframes"),
    ],
    "apple-7.1": [
        swap("480p_000.ts", "480p_001.ts"),
        swap("audio-128k_000.ts", "audio-128k_001.ts"),
        edit("480p.m3u8", r"#EXTINF.*\n480p_001.ts\n", ""),
        edit("audio-64k.m3u8", r"#EXTINF.*\naudio-64k_001.ts\n", ""),
    ],
    "apple-7.2": [
        lose_packets("480p_000.ts", slice(40, 41)),
        lose_packets("480p_000.ts", slice(-1, None)),
    ],
    "apple-7.4": [patch("480p_002.ts", IDR, SLICE, which=slice(0, 1))],
    "apple-7.7": [edit("360p.m3u8", "TARGETDURATION:6", "TARGETDURATION:5")],
    "apple-8.1": [
        edit("360p.m3u8", r"EXTINF:6.000000,\n360p_001", "EXTINF:5.900000,\n360p_001"),
        edit("audio-64k.m3u8", r"EXTINF:\d.\d+,\naudio-64k_001", "EXTINF:5.9,\naudio-64k_001"),
    ],
    "apple-8.2": [edit("360p.m3u8", "TARGETDURATION:6", "TARGETDURATION:7")],
    "apple-8.3": [
        edit("audio-64k.m3u8", r"#EXTINF.*\naudio-64k_002.ts\n", ""),
        edit("360p.m3u8", r"#EXTINF.*\n360p_002.ts\n", ""),
    ],
    "apple-8.6": [
        edit("480p.m3u8", "TYPE:VOD", "TYPE:EVENT"),
        edit("preview/preview.m3u8", "#EXT-X-PLAYLIST-TYPE:VOD\n", ""),
    ],
    "apple-8.22": [
        encode_again("-g 50 -hls_time 4"),
        edit("audio-64k.m3u8", r"#EXTINF.*\naudio-64k_002.ts\n", ""),
        edit("360p.m3u8", r"EXTINF:6.000000,\n360p_000", "EXTINF:5.9,\n360p_000"),
    ],
    "apple-9.1": [
        edit("master.m3u8", "avc1.6400", "avc1.4d00"),
        edit("master.m3u8", ",mp4a.40.2", ""),
        edit("master.m3u8", r'CODECS="[^"]*",', ""),
    ],
    "apple-9.2": [
        edit("master.m3u8", r"RESOLUTION=\d+x480", "RESOLUTION=848x480"),
        edit("master.m3u8", "RESOLUTION=640x360,", ""),
    ],
    "apple-9.11": [edit("master.m3u8", "#EXT-X-INDEPENDENT-SEGMENTS\n", "")],
    "apple-9.13": [edit("master.m3u8", r":BANDWIDTH=\d", ":BANDWIDTH=")],
    "apple-9.14": [
        edit("master.m3u8", r"AVERAGE-BANDWIDTH=\d+,", ""),
        edit("master.m3u8", r"AVERAGE-BANDWIDTH=", "AVERAGE-BANDWIDTH=9"),
    ],
    "apple-9.15": [
        edit("master.m3u8", "FRAME-RATE=25.000", "FRAME-RATE=24.000"),
        edit("master.m3u8", "FRAME-RATE=25.000,", ""),
    ],
    "rfc8216-3.2": [
        lose_packets("360p_000.ts", slice(0, 3)),
        lose_packets("audio-64k_000.ts", slice(1, 2)),
        lose_packets("audio-64k_000.ts", slice(2, 3)),
    ],
    "rfc8216-4.3.2.2": [
        edit("480p-iframes.m3u8", r"BYTERANGE:(\d+)@564\n480p_001", r"BYTERANGE:\1@752\n480p_001"),
        edit("480p-iframes.m3u8", r"BYTERANGE:\d+@564\n480p_001", r"BYTERANGE:376@564\n480p_001"),
        edit("480p-iframes.m3u8", r"@564\n480p_002", r"@0\n480p_002"),
        edit("360p-iframes.m3u8", r"#EXTINF.*\n.*\n360p_002.ts\n", ""),
        edit("360p-iframes.m3u8", r"360p_002", "480p_002"),
        patch("480p_001.ts", IDR, SLICE, which=slice(1, 2)),
        lose_packets("360p_000.ts", slice(0, 3)),
    ],
    "rfc8216-6.2.4": [encode_again("-g 50")],
    "rfc8216-7": [edit("480p.m3u8", "VERSION:3", "VERSION:2")],
    "rfc8216-4.3.3.1": [edit("360p.m3u8", "TARGETDURATION:6", "TARGETDURATION:5")],
    "rfc8216-4.3.3.4": [edit("audio-64k.m3u8", "#EXT-X-ENDLIST\n", "")],
    "rfc8216-4.3.3.6": [
        edit("480p-iframes.m3u8", "#EXT-X-I-FRAMES-ONLY\n", ""),
        edit("480p-iframes.m3u8", "#EXT-X-ENDLIST\n", ""),
        edit("480p-iframes.m3u8", "TYPE:VOD", "TYPE:EVENT"),
        edit("480p-iframes.m3u8", "TARGETDURATION:2", "TARGETDURATION:1"),
        edit("360p-iframes.m3u8", r"EXTINF:2.0*,\n(.*)\n360p_002", r"EXTINF:1.9,\n\1\n360p_002"),
        edit(
            "360p-iframes.m3u8",
            r"EXTINF:2.0*,\n(.*@564)\n(360p_000.ts\n#)EXTINF:2.0*,",
            r"EXTINF:1.9,\n\1\n\2EXTINF:2.1,",
        ),
    ],
    "rfc8216-4.3.4.2": [edit("master.m3u8", ",CLOSED-CAPTIONS=NONE", "")],
    "rfc8216-4.3.4.2.1": [
        edit("master.m3u8", r"#EXT-X-MEDIA.*audio-64k.*\n", ""),
        edit("master.m3u8", ',AUDIO="audio-64k"', ""),
    ],
    "rfc8216-4.3.4.3": [
        edit("master.m3u8", r"(I-FRAME-STREAM-INF:BANDWIDTH=)(\d)", r"\g<1>1\2"),
        edit("master.m3u8", r"(I-FRAME-STREAM-INF:BANDWIDTH=\d+)\d,", r"\g<1>,"),
        edit("master.m3u8", r'(I-FRAME.*CODECS=")avc1.64', r"\g<1>avc1.4d"),
        edit("master.m3u8", r"(I-FRAME.*RESOLUTION=)640x360", r"\g<1>480x360"),
    ],
}
