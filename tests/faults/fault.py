"""What can be made to happen to a connection, and when."""

from enum import Enum, auto
from typing import NamedTuple


class Stage(Enum):
    """Where a fault acts, and what it counts."""

    CONNECT = auto()
    """Connections, as they are accepted."""
    TO_SERVER = auto()
    """Bytes of requests."""
    TO_CLIENT = auto()
    """Bytes of answers."""


class Action(Enum):
    """What becomes of the connection."""

    CLOSE = auto()
    """Both sides see its end (FIN)."""
    RESET = auto()
    """The client's side is reset (RST, where it is TCP). The server sees its end."""
    BLACKHOLE = auto()
    """Open, and nothing that is sent this way arrives any more."""
    HOLD = auto()
    """Nothing goes on this way until `Proxy.release`."""
    DELAY = auto()
    """What is sent this way arrives `delay_s` later; each piece, if the fault lasts."""


class Fault(NamedTuple):
    """What is to happen, and when."""

    stage: Stage
    action: Action
    after: int = 0
    """So many bytes (or connections) get through first."""
    once_seen: bytes = b""
    """Count from the piece on in which a client sends this; an answer, from the one to it."""
    lasting: bool = False
    delay_s: float = 0.0
