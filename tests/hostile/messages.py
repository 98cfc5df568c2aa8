"""All kinds of hostile messages, chosen by a seeded generator."""

import random

from tests.hostile import from_runpod, from_worker
from tests.hostile.kinds import Hostile, Make
from tests.hostile.scene import Scene

COMMON: tuple[Make, ...] = (
    from_worker.unsigned,
    from_worker.wrong_secret,
    from_worker.flipped_signature,
    from_worker.changed_body,
    from_worker.wrong_time,
    from_worker.no_time,
    from_worker.other_scheme,
    from_worker.duplicate_headers,
    from_worker.garbage,
    from_worker.cut_off,
    from_worker.signed_nonsense,
    from_worker.signed_absurd,
    from_worker.signed_large,
    from_worker.signed_late,
    from_worker.signed_mismatch,
    from_runpod.random_token,
    from_runpod.flipped_token,
    from_runpod.edited_token,
    from_runpod.other_token,
    from_runpod.leaked_token,
)
COSTLY: tuple[Make, ...] = (from_worker.oversized, from_runpod.oversized_hint)
"""Made less often: each is large."""


def hostile(scene: Scene, chance: random.Random) -> Hostile:
    """Any one."""
    kinds = COSTLY if chance.random() < 0.02 else COMMON
    return chance.choice(kinds)(scene, chance)
