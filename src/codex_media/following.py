"""Following an item to its end: what is worth another look, and when that ends. No I/O.

The status is what counts, and is asked for; a stream only says when. One that is silent, because
it is refused or because nothing behind it speaks, therefore costs no more than a little time.
"""

from uuid import UUID

from codex_media.errors import NotFound, ServiceUnreachable, TryLater
from codex_media.events import LiveEvent
from codex_media.live_models import LiveProgress, MediaChange
from codex_media.models import MediaStatus

POLL_S, LOOK_S = 0.5, 10.0
"""Between two looks: while no stream speaks of the item, and while one does."""
AFTER_STREAM_S = 15.0
"""After a stream that ended, until the next is tried."""
PASSING = (ServiceUnreachable, TryLater, NotFound)
"""What ends a stream, but not the following."""


class Watch:
    """What is known of one item, until `deadline_s`."""

    def __init__(self, media_id: UUID, deadline_s: float) -> None:
        self.media_id = media_id
        self._deadline_s = deadline_s
        self._last: MediaStatus | None = None
        self._told = False

    def over(self, now_s: float) -> bool:
        """Whether there is nothing more to wait for."""
        return (self._last is not None and self._last.final) or now_s >= self._deadline_s

    def left_s(self, now_s: float) -> float:
        """Seconds until the deadline."""
        return max(0.0, self._deadline_s - now_s)

    def news(self, status: MediaStatus) -> MediaStatus | None:
        """The status, if it is another than before."""
        if status == self._last:
            return None
        self._last = status
        return status

    def concerns(self, event: LiveEvent) -> bool:
        """Whether a stream's event says that there may be news."""
        if isinstance(event, MediaChange):
            ours = event.media.id == self.media_id
        else:
            ours = isinstance(event, LiveProgress) and event.media_id == self.media_id
        self._told = self._told or ours
        return ours

    def stream_ended(self) -> None:
        """Nothing is told from now on."""
        self._told = False

    def pause_s(self, now_s: float) -> float:
        """Seconds until the next look, where no event comes before."""
        return min(LOOK_S if self._told else POLL_S, self.left_s(now_s))
