"""What is made besides the renditions: written out, described, and told when it is missing.

What the pass itself writes shares its fate. What is made of that afterwards may fail without the
film: the failure is logged, and told as a note in `extras.json`.
"""

import logging
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from gpu_worker import storyboard
from gpu_worker.contract import EXTRAS_NAME, Extras, StoryboardFacts
from gpu_worker.errors import JobFailed
from gpu_worker.storyboard import Storyboard

T = TypeVar("T")
MOST_NOTE = 300

logger = logging.getLogger(__name__)


class ExtrasMade:
    """Collects what there is, and why something is not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.notes: list[str] = []

    def storyboard(self, board: Storyboard, seconds: float, rate: Fraction) -> StoryboardFacts:
        """Write the cues of the sheets the pass has made. ValueError when it has made others."""
        told = storyboard.facts(board, seconds, rate)
        there = sorted(path.name for path in self._folder.glob("storyboard_*.jpg"))
        if there != sorted(told.sheets):
            raise ValueError(f"{len(told.sheets)} sheets were due, and there are {len(there)}")
        (self._folder / storyboard.CUES).write_text(storyboard.cues(told, seconds))
        return told

    def attempt(self, what: str, make: Callable[[], T]) -> T | None:
        """What `make` returns; None, and a note, when it fails."""
        try:
            return make()
        except (ValueError, OSError, JobFailed) as error:
            self._note(what, error)
            return None

    def _note(self, what: str, error: Exception) -> None:
        # An OSError's own text has this machine's paths.
        reason = (error.strerror or "unknown") if isinstance(error, OSError) else str(error)
        logger.warning("no %s: %s", what, reason)
        self.notes.append(f"{what}: {reason}"[:MOST_NOTE])

    def write(self, extras: Extras) -> Extras:
        """Store `extras` beside the playlists, with the notes."""
        told = extras.model_copy(update={"notes": tuple(self.notes)})
        (self._folder / EXTRAS_NAME).write_text(told.to_json())
        return told
