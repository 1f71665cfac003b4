"""One line for each row on a terminal: which columns fit, how wide each is, and how its text is shortened.

Pure functions of rows and width. May import: terminal.text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reve_cli.terminal.text import columns, shorten

_GAP = 2
"""Columns between two cells."""

Paint = Callable[[str, str], str]
"""Adds a style to a text: the text and the style's name, empty for none."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    name: its header. priority: the column with the highest number is left out first. least: the columns it can be
    shortened to; 0 if it is never shortened. shorten: shortens a text to a width. beyond: the width that a terminal
    needs to show it at all. style: the style of a cell, by its text.
    """

    name: str
    priority: int
    least: int = 0
    shorten: Callable[[str, int], str] = shorten
    beyond: int = 0
    style: Callable[[str], str] = lambda text: ""


class Layout:
    """The columns that fit, and their widths. A column without text is left out."""

    def __init__(self, table: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> None:
        """rows: those that decide; later rows are shortened to the same widths."""
        self._table = table
        natural = [
            max(columns(column.name), *(columns(row[number]) for row in rows)) for number, column in enumerate(table)
        ]
        chosen = [
            number for number, column in enumerate(table) if column.beyond <= width and any(row[number] for row in rows)
        ]
        while True:
            self.widths = _widths(table, chosen, natural, width)
            if self.widths or not chosen:
                return
            if len(chosen) == 1:
                self.widths = {chosen[0]: max(1, width)}
                return
            chosen.remove(max(chosen, key=lambda number: table[number].priority))

    def header(self) -> str:
        """The line with the columns' names."""
        return self._line([column.name for column in self._table], lambda text, style: text)

    def line(self, row: Sequence[str], paint: Paint) -> str:
        """The line of a row."""
        return self._line(row, paint)

    def _line(self, row: Sequence[str], paint: Paint) -> str:
        cells = []
        for number, width in self.widths.items():
            column, text = self._table[number], row[number]
            text = column.shorten(text, width) if columns(text) > width else text
            cells.append(paint(text, column.style(text)) + " " * (width - columns(text)))
        return (" " * _GAP).join(cells).rstrip()


def _widths(table: Sequence[Column], chosen: Sequence[int], natural: Sequence[int], width: int) -> dict[int, int]:
    """The width of each chosen column, or none if they do not fit.

    Columns that can be shortened share the room that is left, and each gets as much as it needs at least.
    """
    needed = {number: min(natural[number], table[number].least or natural[number]) for number in chosen}
    room = width - _GAP * (len(chosen) - 1) - sum(needed.values())
    if room < 0:
        return {}
    widths: dict[int, int] = {}
    for left, number in zip(
        range(len(chosen), 0, -1), sorted(chosen, key=lambda number: natural[number] - needed[number]), strict=True
    ):
        more = min(natural[number] - needed[number], room // left)
        widths[number] = needed[number] + more
        room -= more
    return {number: widths[number] for number in chosen}
