"""`given(events).when(command).then(events)`: how decisions are specified."""

from dataclasses import dataclass
from typing import TypeVar

import pytest

from domain.commands import Command
from domain.events import Event
from domain.media import decide, fold

RefusalT = TypeVar("RefusalT", bound=Exception)


@dataclass(frozen=True, slots=True)
class Decision:
    """A command about to be decided on a history."""

    history: tuple[Event, ...]
    command: Command

    def then(self, *expected: Event) -> None:
        """The command causes exactly `expected`, in this order, and the whole folds."""
        decided = decide(self.command, fold(self.history))
        assert decided == list(expected)
        fold([*self.history, *decided])

    def then_nothing(self) -> None:
        """The command was done before, or does not matter any more."""
        self.then()

    def then_refused(self, error: type[RefusalT]) -> RefusalT:
        """The command is refused with exactly `error`, which is returned for a closer look."""
        with pytest.raises(error) as refusal:
            decide(self.command, fold(self.history))
        assert type(refusal.value) is error
        return refusal.value


@dataclass(frozen=True, slots=True)
class Given:
    """A history, oldest event first."""

    history: tuple[Event, ...]

    def when(self, command: Command) -> Decision:
        """Decide `command` on this history."""
        return Decision(self.history, command)


def given(*history: Event) -> Given:
    """Begin a specification with what has happened so far."""
    return Given(history)
