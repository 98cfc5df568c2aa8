"""Hostile messages to the URLs that RunPod is given."""

import json
import random

from tests.api.gpu import WEBHOOK, Job
from tests.hostile.kinds import HARMLESS, NO_REPORTS, REFUSED, TOO_LARGE, Hostile, flip
from tests.hostile.scene import OTHER_KEY, Scene


def _native(kind: str, token: str, body: bytes, allowed: frozenset[int]) -> Hostile:
    # A path holds neither `/` nor `?` nor `#` in one of its parts.
    safe = token.translate({ord(char): "_" for char in "/?#% "})
    headers = [("content-type", "application/json")]
    return Hostile(kind, f"{WEBHOOK}/{safe or '-'}", headers, body, allowed)


def random_token(scene: Scene, chance: random.Random) -> Hostile:
    """No token at all."""
    token = chance.choice(
        [
            "".join(chr(chance.randrange(33, 0x2FF)) for _ in range(chance.randrange(1, 200))),
            "." * chance.randrange(1, 50),
            "webhook.....",
            "x" * 8000,
            f"webhook.{'0' * 32}.1.9999999999.k1.",
            "\x00\x01\x7f",
        ]
    )
    return _native("token that is none", token, b"{}", REFUSED)


def flipped_token(scene: Scene, chance: random.Random) -> Hostile:
    """A good token with one bit of one character changed."""
    token = flip(scene.token(scene.running), chance)
    return _native("flipped token", token, _hint(scene.running), REFUSED)


def _hint(job: Job) -> bytes:
    return json.dumps({"id": job.job_id, "status": "COMPLETED", "output": {}}).encode()


def edited_token(scene: Scene, chance: random.Random) -> Hostile:
    """A good token whose attempt, item, end or key was edited."""
    parts = scene.token(scene.over).split(".")
    place = chance.choice([1, 2, 3, 4])
    parts[place] = {1: scene.running.media_id.hex, 2: "2", 3: "99999999999", 4: "k0"}[place]
    return _native("edited token", ".".join(parts), _hint(scene.running), REFUSED)


def other_token(scene: Scene, chance: random.Random) -> Hostile:
    """A token of ours for something else, one that is over, or one of somebody else's key."""
    job = scene.running
    key = scene.settings.capability_keys[0]._replace(secret=OTHER_KEY.secret)
    token = chance.choice(
        [
            scene.token(job, purpose="play"),
            scene.token(job, life_s=-1),
            scene.token(job, key=OTHER_KEY),
            scene.token(job, key=key),
        ]
    )
    return _native("token of another purpose, time or key", token, _hint(job), REFUSED)


def leaked_token(scene: Scene, chance: random.Random) -> Hostile:
    """A good token of an attempt that is over or not begun, over any bytes."""
    job = chance.choice([scene.over, scene.running._replace(attempt=2), *scene.unknown[:3]])
    body = chance.choice([chance.randbytes(200), _hint(scene.running), *NO_REPORTS])
    return _native("leaked token of another attempt", scene.token(job), body, HARMLESS)


def oversized_hint(scene: Scene, chance: random.Random) -> Hostile:
    """A good token, and more than RunPod would ever send."""
    body = b"x" * (1024 * 1024 + 1)
    return _native("oversized hint", scene.token(scene.running), body, TOO_LARGE)
