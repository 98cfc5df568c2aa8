"""Good clips, each spoilt at random: the same seed and number make the same file."""

import random
from collections.abc import Callable

from gpu_worker.contract import MediaType
from tests.gpu_worker.hostile.files import AUDIO, Hostile

EXTREMES = (0, 1, 7, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)

Spoil = Callable[[random.Random, bytearray], None]


def mutant(good: dict[str, bytes], seed: int, number: int) -> Hostile:
    """The mutant of this number."""
    dice = random.Random(f"{seed}/{number}")  # noqa: S311 - the same each time
    container = sorted(good)[number % len(good)]
    content = bytearray(good[container])
    spoils = dice.sample(SPOILS, dice.choice((1, 1, 2)))
    for spoil in spoils:
        spoil(dice, content)
    name = "+".join(spoil.__name__ for spoil in spoils)
    wanted: MediaType = "audio" if container in AUDIO else "video"
    return Hostile("mutant", f"{number:04}-{container}-{name}", bytes(content), wanted)


def flips(dice: random.Random, content: bytearray) -> None:
    """Some bits are others, anywhere or among the first kilobyte."""
    end = dice.choice((len(content), min(1024, len(content))))
    for _ in range(dice.randint(1, 60)):
        content[dice.randrange(end)] ^= 1 << dice.randrange(8)


def swaps(dice: random.Random, content: bytearray) -> None:
    """Two pieces change places."""
    size = dice.randint(1, max(1, len(content) // 8))
    a, b = (dice.randrange(max(1, len(content) - size)) for _ in range(2))
    content[a : a + size], content[b : b + size] = content[b : b + size], content[a : a + size]


def cuts(dice: random.Random, content: bytearray) -> None:
    """The end is missing."""
    del content[dice.randrange(len(content)) :]
    content += b"\0" * (not content)


def lengths(dice: random.Random, content: bytearray) -> None:
    """Numbers of 32 bits, where lengths like to be, are extreme, in either order of bytes."""
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(0, min(len(content), 2048), 4)
        order = dice.choice(("big", "little"))
        content[at : at + 4] = dice.choice(EXTREMES).to_bytes(
            4, "big" if order == "big" else "little"
        )


def repeats(dice: random.Random, content: bytearray) -> None:
    """A piece is there many times."""
    at = dice.randrange(len(content))
    piece = content[at : at + dice.randint(1, 300)]
    content[at:at] = piece * dice.randint(2, 200)


def blanks(dice: random.Random, content: bytearray) -> None:
    """A piece is zeros, or ones."""
    at, size = dice.randrange(len(content)), dice.randint(1, 500)
    content[at : at + size] = dice.choice((b"\0", b"\xff")) * len(content[at : at + size])


SPOILS: tuple[Spoil, ...] = (flips, swaps, cuts, lengths, repeats, blanks)
