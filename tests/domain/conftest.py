"""One world a test, checked when the test is over."""

from collections.abc import Iterator

import pytest

from tests.domain.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """The use cases over the ports in memory; afterwards every row must equal its history."""
    made = World()
    yield made
    made.assert_rows_equal_histories()
