"""Playlists and storyboards on their way to a player: each file they name becomes a signed URL.

What counts as a line is RFC 8216, 4.1: it ends with LF or CRLF, and with nothing else.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable

SIGNED_AT_ONCE = 50
_NAMED = re.compile(r"([A-Za-z0-9_-]+\.(?:ts|aac|m4s|mp4|jpg))(#xywh=[0-9,]+)?", re.ASCII)


class NotAPlaylist(Exception):
    """What lies in the bucket is no text."""


async def signed(playlist: bytes, sign: Callable[[str], Awaitable[str]]) -> str:
    """The playlist with what `sign` makes of each name of a file in it; every other line as it was.

    A name has no folder: nothing but what lies beside the playlist is ever signed. Raises
    `NotAPlaylist` for what is not UTF-8.
    """
    lines, urls = [], dict[str, str]()
    for number, line in enumerate(_lines(playlist)):
        found = _NAMED.fullmatch(line)
        # I-frames and a storyboard's tiles name a file several times.
        if found and found[1] not in urls:
            urls[found[1]] = await sign(found[1])
        lines.append(urls[found[1]] + (found[2] or "") if found else line)
        if number % SIGNED_AT_ONCE == 0:  # Signing never waits: others get their turn here.
            await asyncio.sleep(0)
    return "\n".join(lines) + "\n"


def _lines(playlist: bytes) -> list[str]:
    try:
        text = playlist.decode()
    except UnicodeDecodeError:
        raise NotAPlaylist from None
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
