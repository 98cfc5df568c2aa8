"""docs/failures.md lists all that goes wrong, and no row of it is without a test."""

from pathlib import Path

from tests.failures import bearers, documented, listing

FAILURES = [f"F{number:02}" for number in range(1, 42)]
INVARIANTS = [f"I{number}" for number in range(1, 11)]
KINDS = {"S", "K", "R", "N", "H", "F", "C"}


def test_the_page_has_every_row_once_and_in_order() -> None:
    assert [row[0] for row in documented("F")] == FAILURES
    assert [row[0] for row in documented("I")] == INVARIANTS


def test_every_row_says_what_happens_which_invariant_it_keeps_and_how_it_is_tested() -> None:
    for number, state, outcome, kept, kinds in documented("F"):
        assert state, number
        assert outcome, number
        assert set(kept.split()) <= set(INVARIANTS), number
        assert set(kinds.split()) <= KINDS, number


def test_no_row_is_without_a_test() -> None:
    assert [number for number in FAILURES if number not in bearers()] == []


def test_no_test_bears_a_number_that_is_no_row() -> None:
    assert sorted(set(bearers()) - set(FAILURES)) == []


def test_numbers_are_found_in_names_and_docstrings_of_tests_and_machines(tmp_path: Path) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_a.py").write_text(
        "async def test_f01_f02_x(): ...\n"
        'def test_y():\n    """F03, and not XF04 or F055."""\n'
        "def f06_is_no_test(): ...\n"
        "def test_half_f07(): ...\n"
        'class Machine:\n    """F08: in any order."""\n    def test_f09_z(self): ...\n'
    )
    (folder / "other.py").write_text("def test_f10_x(): ...\n")

    assert bearers(folder) == {
        "F01": ["tests/test_a.py::test_f01_f02_x"],
        "F02": ["tests/test_a.py::test_f01_f02_x"],
        "F03": ["tests/test_a.py::test_y"],
        "F08": ["tests/test_a.py::Machine"],
        "F09": ["tests/test_a.py::Machine::test_f09_z"],
    }
    assert listing({"F09": ["a::b", "c::d"]}) == "- **F09** `a::b`, `c::d`"
