"""File names come from strangers; keys must not."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.keys import MAX_NAME_LENGTH, original_key, safe_file_name
from tests import factories as f

SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
HOSTILE = st.text(
    alphabet=st.one_of(
        st.sampled_from("./\\-_ \x00\n%\u2025\u2026\uff0f\u2024aé"), st.characters()
    ),
    max_size=300,
)


@pytest.mark.parametrize(
    ("announced", "stored"),
    [
        ("holiday.mp4", "holiday.mp4"),
        ("My holiday (1).mp4", "My-holiday-1-.mp4"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:\\films\\holiday.mp4", "holiday.mp4"),
        ("/absolute/path.mov", "path.mov"),
        ("a..b...c.mp4", "a.b.c.mp4"),
        ("Ünïcödé.mp4", "Unicode.mp4"),
        ("film\x00.mp4", "film-.mp4"),
        ("line\r\nbreak.mp4", "line-break.mp4"),
        ("%2e%2e%2fx.mp4", "2e-2e-2fx.mp4"),
        ("a\uff0fb.mp4", "a-b.mp4"),
        ("\u2025\u2025/\u2025", "upload"),
        ("映画.mp4", "mp4"),
        (".htaccess", "htaccess"),
        ("--option.mp4", "option.mp4"),
        ("", "upload"),
        (".", "upload"),
        ("..", "upload"),
        ("dir/", "upload"),
        ("🎬", "upload"),
    ],
)
def test_a_name_is_made_harmless(announced: str, stored: str) -> None:
    assert safe_file_name(announced) == stored


def test_a_long_name_keeps_its_ending() -> None:
    name = safe_file_name("x" * 500 + ".mp4")
    assert len(name) == MAX_NAME_LENGTH
    assert name.endswith("x.mp4")


def test_a_cut_never_leaves_a_leading_dot_or_dash() -> None:
    assert safe_file_name("x" * 200 + "." + "y" * (MAX_NAME_LENGTH - 1)) == "y" * 119
    assert safe_file_name("x" * 200 + "-." + "y" * (MAX_NAME_LENGTH - 2)) == "y" * 118


@given(HOSTILE)
def test_any_name_becomes_one_short_ascii_part_of_a_key(announced: str) -> None:
    name = safe_file_name(announced)
    assert 0 < len(name) <= MAX_NAME_LENGTH
    assert SAFE.fullmatch(name)
    assert ".." not in name


@given(HOSTILE)
def test_a_harmless_name_stays_as_it_is(announced: str) -> None:
    once = safe_file_name(announced)
    assert safe_file_name(once) == once


@given(HOSTILE)
def test_no_name_leaves_its_items_folder(announced: str) -> None:
    key = original_key(f.CREATOR, f.MEDIA_ID, announced)
    folder, _, name = key.rpartition("/")
    assert folder == f"{f.CREATOR}/originals/{f.MEDIA_ID}"
    assert name
