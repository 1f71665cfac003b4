"""Which columns a terminal shows, how wide they are, and how their text is shortened."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reve_cli.core.clock import DAY, HOUR, MINUTE
from reve_cli.terminal.columns import Column, Layout
from reve_cli.terminal.joblist import JOBS, age
from reve_cli.terminal.text import columns, near_path, shorten, shorten_path

ROW = ["3f2a9c1e", "12 min", "saved", "4", "23.8 h", "reve-create", "a red fox in the deep snow " * 3, "f/fox.png"]


def lines(rows: Sequence[Sequence[str]], width: int, table: Sequence[Column] = JOBS) -> list[str]:
    layout = Layout(table, rows, width)
    return [layout.header(), *(layout.line(row, lambda text, style: text) for row in rows)]


@pytest.mark.parametrize(
    ("width", "header"),
    [
        (160, "JOB AGE STATE CREDITS EXPIRES MODEL PROMPT FILE"),
        (100, "JOB AGE STATE CREDITS EXPIRES PROMPT FILE"),
        (80, "JOB AGE STATE CREDITS PROMPT FILE"),
        (62, "JOB AGE STATE CREDITS PROMPT FILE"),
        (54, "JOB AGE STATE PROMPT FILE"),
        (44, "JOB AGE STATE PROMPT"),
        (34, "JOB STATE PROMPT"),
        (20, "JOB STATE"),
        (8, "JOB"),
    ],
)
def test_columns_are_left_out_by_priority(width: int, header: str) -> None:
    assert lines([ROW], width)[0].split() == header.split()


def test_a_column_without_text_is_left_out() -> None:
    row = [*ROW[:3], "", *ROW[4:7], ""]
    assert lines([row], 80)[0].split() == ["JOB", "AGE", "STATE", "PROMPT"]


def test_a_short_file_leaves_its_room_to_the_prompt() -> None:
    assert lines([ROW], 80)[1] == "3f2a9c1e  12 min  saved  4        a red fox in the deep snow a red…    f/fox.png"


def test_columns_that_can_be_shortened_get_what_they_need_before_they_share() -> None:
    row = ["8f13a316", "11 s", "COMPLETED", "", "", "", "fox number 3 in the snow", "b/fox-number-3-8f13a316.png"]
    assert lines([row], 60)[1] == "8f13a316  11 s  COMPLETED  fox number 3 in…   fox-num…16.png"


def test_later_rows_keep_the_widths_of_the_first() -> None:
    layout = Layout(JOBS, [ROW], 80)
    later = layout.line(["short", "1 s", "PROCESSING 12 %", *ROW[3:]], lambda text, style: text)
    assert later.index("a red fox") == layout.header().index("PROMPT")


CELL = st.text(st.sampled_from("ab é狐🦊e\u0301\ufe0f/.-"), max_size=60)


@given(st.lists(st.lists(CELL, min_size=8, max_size=8), min_size=1, max_size=5), st.integers(1, 200))
def test_no_line_is_wider_than_the_terminal(rows: list[list[str]], width: int) -> None:
    assert all(columns(line) <= width for line in lines(rows, max(width, 8))) or width < 8


def test_wide_characters_count_two_and_combining_ones_none() -> None:
    assert [columns(text) for text in ("fox", "狐", "🦊", "e\u0301", "❤\ufe0f", "\uff46")] == [3, 2, 2, 1, 2, 2]


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("a red fox", 9, "a red fox"),
        ("a red fox in the snow", 12, "a red fox…"),
        ("a red fox in the snow", 10, "a red fox…"),
        ("antidisestablishmentarianism", 8, "antidis…"),
        ("雪の中の赤い狐", 8, "雪の中…"),
        ("雪の中の赤い狐", 1, "…"),
    ],
)
def test_a_prompt_is_shortened_at_its_end(text: str, width: int, expected: str) -> None:
    assert shorten(text, width) == expected


@pytest.mark.parametrize(
    ("path", "width", "expected"),
    [
        ("~/pictures/foxes/fox.png", 24, "~/pictures/foxes/fox.png"),
        ("~/pictures/foxes/fox.png", 20, "…/foxes/fox.png"),
        ("~/pictures/foxes/fox.png", 10, "…/fox.png"),
        ("foxes/a-red-fox-in-the-snow-3f2a9c1e.png", 20, "a-red-fox-…a9c1e.png"),
        ("fox.averylongextension", 8, "…tension"),
    ],
)
def test_a_path_keeps_its_name_and_its_end(path: str, width: int, expected: str) -> None:
    shortened = shorten_path(path, width)
    assert columns(shortened) <= width
    assert shortened == expected


def test_a_path_is_shown_as_it_would_be_typed() -> None:
    assert near_path("/home/u/pics/a/fox.png", "/home/u/pics", "/home/u") == "a/fox.png"
    assert near_path("/home/u/pictures/fox.png", "/home/u/pics", "/home/u") == "~/pictures/fox.png"
    assert near_path("/home/uma/fox.png", "/home/u/pics", "/home/u") == "/home/uma/fox.png"
    assert near_path("/srv/fox.png", "/", "/") == "/srv/fox.png"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0 s"),
        (59.9, "59 s"),
        (MINUTE, "1 min"),
        (HOUR - 1, "59 min"),
        (HOUR, "1 h"),
        (DAY, "1 d"),
        (400 * DAY, "400 d"),
    ],
)
def test_an_age_has_one_unit(seconds: float, expected: str) -> None:
    assert age(seconds) == expected
