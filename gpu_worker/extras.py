"""What is made besides the renditions: written out, described, and told when it is missing.

What the pass itself writes shares its fate. What is made of that afterwards may fail without the
film: the failure is logged, and told as a note in `extras.json`.
"""

import logging
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, TypeVar

from gpu_worker import animated, loudness, storyboard
from gpu_worker.contract import EXTRAS_NAME
from gpu_worker.contract_extras import AnimatedFacts, Extras, Loudness, StoryboardFacts
from gpu_worker.errors import JobFailed
from gpu_worker.ladder import Size
from gpu_worker.sound import AudioPlan
from gpu_worker.storyboard import Storyboard

T = TypeVar("T")
MOST_NOTE = 300

logger = logging.getLogger(__name__)


class Pictures(NamedTuple):
    """The pictures that were due besides the renditions, and what became of those."""

    board: Storyboard | None
    animated: bool
    canvas: Size
    seconds: float
    frame_rate: Fraction


class ExtrasMade:
    """Collects what there is, and why something is not."""

    def __init__(self, folder: Path, notes: Iterable[str] = ()) -> None:
        self.folder = folder
        self.notes = [*notes]

    def storyboard(self, board: Storyboard, seconds: float, rate: Fraction) -> StoryboardFacts:
        """Write the cues of the sheets the pass has made. ValueError when it has made others."""
        told = storyboard.facts(board, seconds, rate)
        there = sorted(path.name for path in self.folder.glob("storyboard_*.jpg"))
        if there != sorted(told.sheets):
            raise ValueError(f"{len(told.sheets)} sheets were due, and there are {len(there)}")
        (self.folder / storyboard.CUES).write_text(storyboard.cues(told, seconds))
        return told

    def animated(self, canvas: Size) -> AnimatedFacts:
        """Describe the animated preview; one that is no good is removed. OSError, ValueError."""
        path = self.folder / animated.NAME
        try:
            return animated.facts(path.stat().st_size, canvas)
        except ValueError:
            path.unlink()
            raise

    def loudness(self, audio: AudioPlan) -> Loudness:
        """What the pass has measured. Raises OSError or ValueError when it has not."""
        measured = loudness.read(self.folder / loudness.MEASURED)
        return measured.model_copy(update={"gain_db": audio.gain_db})

    def note(self, what: str, reason: str) -> None:
        """Tell that something is missing."""
        logger.warning("no %s: %s", what, reason)
        self.notes.append(f"{what}: {reason}"[:MOST_NOTE])

    def attempt(self, what: str, make: Callable[[], T]) -> T | None:
        """What `make` returns; None, and a note, when it fails."""
        try:
            return make()
        except (ValueError, OSError, JobFailed) as error:
            # An OSError's own text has this machine's paths.
            self.note(what, error.strerror or "?" if isinstance(error, OSError) else str(error))
            return None

    def finish(self, audio: AudioPlan | None, due: Pictures | None = None) -> Extras:
        """Describe what the pass over a film or over sound has left, and store that."""
        board, moving, loud = None, None, None
        if due is not None and (planned := due.board) is not None:
            board = self.attempt(
                "storyboard", lambda: self.storyboard(planned, due.seconds, due.frame_rate)
            )
        if due is not None and due.animated:
            moving = self.attempt("animated preview", lambda: self.animated(due.canvas))
        if audio is not None and audio.measured:
            loud = self.attempt("loudness", lambda: self.loudness(audio))
        return self.write(Extras(storyboard=board, animated=moving, loudness=loud))

    def write(self, extras: Extras) -> Extras:
        """Store `extras` beside the playlists, with the notes."""
        told = extras.model_copy(update={"notes": tuple(self.notes)})
        (self.folder / EXTRAS_NAME).write_text(told.to_json())
        return told
