"""The animated preview: a few moments of a film, one after the other, as a small WebP. Pure.

Source: WebP Container Specification (lossy pictures are BT.601 in limited range).
"""

from gpu_worker.contract_extras import AnimatedFacts
from gpu_worker.ladder import Size, within

NAME = "animated.webp"
MOMENTS = 12
PER_SECOND = 2
LONG_SIDE = 320
MOST_BYTES = 1024**2
"""Noise at its worst takes half of that."""


def chosen(length_seconds: float) -> str:
    """The filter that lets moments from all over a film through.

    The first lies half a step after the beginning: films begin in black.
    """
    step = length_seconds / MOMENTS
    return f"select=gte(t\\,(selected_n+0.5)*{step:.6f})*lt(selected_n\\,{MOMENTS})"


def shown(canvas: Size) -> str:
    """From those moments to a film that shows each for half a second."""
    size = within(canvas, LONG_SIDE)
    return (
        f"scale={size.width}:{size.height}:flags=area,setsar=1,"
        "zscale=matrix=smpte170m:range=tv,format=yuv420p,"
        f"settb=1/{PER_SECOND},setpts=N,fps={PER_SECOND}"
    )


def output() -> list[str]:
    """The file as ffmpeg writes it; it goes on for ever."""
    return ["-fps_mode", "passthrough", "-c:v", "libwebp_anim", "-quality", "50", "-loop", "0",
            "-f", "webp", NAME]  # fmt: skip


def facts(content_bytes: int, canvas: Size) -> AnimatedFacts:
    """What there is. ValueError when it is empty or larger than anybody wants to load."""
    if not 0 < content_bytes <= MOST_BYTES:
        raise ValueError(f"it has {content_bytes} bytes")
    size = within(canvas, LONG_SIDE)
    return AnimatedFacts(bytes=content_bytes, width=size.width, height=size.height)
