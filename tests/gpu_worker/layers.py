"""Sandboxes of one layer each, and the reason where this machine has not got it."""

import pytest

from gpu_worker.sandbox import Sandbox, Wanted, choose, working

NEEDS_TCP_RULES = 4
"""The Landlock ABI that came with them."""


def alone(layer: str) -> Sandbox:
    """A sandbox of this layer and no other; skips where it does not work."""
    bubblewrap, seccomp, landlock = working()
    made = {
        "bubblewrap": Sandbox(bubblewrap=bubblewrap),
        "seccomp": Sandbox(seccomp=seccomp),
        "landlock": Sandbox(landlock=landlock),
    }[layer]
    if made == Sandbox():
        pytest.skip(f"{layer} does not work on this machine")
    return made


def chosen(wanted: Wanted) -> Sandbox:
    """What the setting gives here; skips where it gives none."""
    bubblewrap, seccomp, landlock = working()
    if wanted == "bubblewrap" and bubblewrap is None:
        pytest.skip("bubblewrap does not work on this machine")
    if wanted == "landlock" and not (seccomp and landlock):
        pytest.skip("seccomp and Landlock do not both work on this machine")
    return choose(wanted, 4 * 1024**3)
