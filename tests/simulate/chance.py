"""All chance of a schedule comes from its seed, also that of the code under test."""

import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import domain.handler
import domain.use_cases.access
import domain.use_cases.dispatch
import domain.use_cases.uploads
import gpu_worker.callback
import gpu_worker.claim
import gpu_worker.handler
from domain.events import Event
from domain.media import MediaItem, evolve
from tests.simulate.processes import HERE, now_s

_UUID4_IN = (
    domain.handler,
    domain.use_cases.access,
    domain.use_cases.uploads,
    gpu_worker.claim,
)
_FOLD_IN = (domain.handler, domain.use_cases.access, domain.use_cases.dispatch)


class Chance(random.Random):
    """A source of random numbers that gives the same ones for the same seed everywhere."""

    def __init__(self, seed: int, what: str = "") -> None:
        super().__init__(f"{seed}/{what}")  # As text: hashed by SHA-512, not by `hash`.

    def happens(self, probability: float) -> bool:
        return self.random() < probability

    def uuid4(self) -> UUID:
        return UUID(int=self.getrandbits(128), version=4)


@contextmanager
def replaced(place: Any, name: str, value: Any) -> Iterator[None]:
    """Inside, `place.name` is `value`."""
    before = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)


@contextmanager
def determined(chance: Chance, http_client: Any, connect: Any) -> Iterator[None]:
    """Inside, ids, jitter, clocks and connections are the schedule's own."""
    clock = SimpleNamespace(time=lambda: HERE.get().time(), monotonic=now_s)
    with ExitStack() as stack:
        for module in _UUID4_IN:
            stack.enter_context(replaced(module, "uuid4", chance.uuid4))
        stack.enter_context(replaced(domain.use_cases.dispatch, "random", chance))
        stack.enter_context(replaced(gpu_worker.claim, "time", clock))
        stack.enter_context(replaced(gpu_worker.callback, "time", clock))
        stack.enter_context(replaced(gpu_worker.handler, "time", clock))
        httpx = SimpleNamespace(AsyncClient=http_client)
        stack.enter_context(replaced(gpu_worker.handler, "httpx", httpx))
        stack.enter_context(replaced(gpu_worker.handler, "connect", connect))
        rooms = SimpleNamespace(TemporaryDirectory=_no_room)
        stack.enter_context(replaced(gpu_worker.handler, "tempfile", rooms))
        remembered = _Folds()
        for module in _FOLD_IN:
            stack.enter_context(replaced(module, "fold", remembered))
        yield


class _Folds:
    """`fold`, which looks at no event twice: a sixth of a schedule's time went there."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[MediaItem, Event]] = {}

    def __call__(self, events: Iterable[Event]) -> MediaItem | None:
        item: MediaItem | None = None
        for event in events:
            step = id(item), id(event)  # Both are kept, so that no other object gets their ids.
            known = self._known.get(step)
            if known is None:
                known = self._known[step] = evolve(item, event), event
            item = known[0]
        return item


@contextmanager
def _no_room(**_given: Any) -> Iterator[str]:
    yield "/nonexistent"
