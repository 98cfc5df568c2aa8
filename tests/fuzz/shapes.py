"""Values of JSON, and documents of ours with some of their values replaced."""

import copy
import os
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
few = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
"""As many examples as this run is for."""

ODD_TEXTS = (
    "",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "N/A",
    "0/0",
    "1/0",
    "\x00",
    "é",
    "9" * 400,
    "-1",
    "0:0:x",
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 2**31, 2**63, 10**400])
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(ODD_TEXTS)
)
values = st.recursive(
    scalars,
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=6), each, max_size=3)
    ),
    max_leaves=6,
)


def places(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a document has a value."""
    yield at
    if isinstance(document, dict):
        for name, each in document.items():
            yield from places(each, (*at, name))
    elif isinstance(document, list):
        for number, each in enumerate(document):
            yield from places(each, (*at, number))


def replaced(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    """The document with `value` at `place`."""
    if not place:
        return value
    changed = copy.deepcopy(document)
    parent = changed
    for step in place[:-1]:
        parent = parent[step]
    parent[place[-1]] = value
    return changed


@st.composite
def damaged(draw: st.DrawFn, document: Any) -> Any:
    """The document with up to three of its values replaced by anything."""
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(list(places(document))))
        document = replaced(document, place, draw(values))
    return document
