"""What every metric has, whoever keeps it."""

from typing import NamedTuple

PREFIX = "codex_media_"


class Figure(NamedTuple):
    """A metric: its name without the prefix, its labels, and what betrays trouble.

    Labels are of closed sets: never an id, a path or a text that somebody sent.
    """

    name: str
    labels: tuple[str, ...]
    meaning: str
    trouble: str

    @property
    def shown(self) -> str:
        """Its name as queries have it, with its labels."""
        labels = f"{{{','.join(self.labels)}}}" if self.labels else ""
        return f"{PREFIX}{self.name}{labels}"
