"""Rows laid out for people."""

import pytest

from reve_cli.terminal.tables import blocks, fits

HEADERS = ["JOB", "PROMPT"]
ROWS = [["3f2a9c1e", "a red fox in the deep snow"], ["77", ""]]


@pytest.mark.parametrize(("width", "expected"), [(80, True), (31, True), (30, False)])
def test_a_table_fits_if_its_last_column_can_be_folded(width: int, expected: bool) -> None:
    assert fits(HEADERS, ROWS, width) is expected


def test_the_width_of_a_table_counts_escapes() -> None:
    assert fits(["A", "B"], [["12345", "x"]], 9)
    assert not fits(["A", "B"], [["\x1b2345", "x"]], 9)


def test_blocks_show_a_value_on_each_line_and_leave_out_empty_ones() -> None:
    assert blocks(HEADERS, ROWS) == ["job     3f2a9c1e", "prompt  a red fox in the deep snow", "", "job     77"]
