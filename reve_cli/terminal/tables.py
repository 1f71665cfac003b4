"""Rows laid out for people: a table if it fits the terminal, else a block of lines for each row.

May import: terminal.text. Imports rich late.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reve_cli.terminal.text import safe

if TYPE_CHECKING:
    from rich.console import Console

# a table needs room for this many characters of its last column, which is folded
_LAST_COLUMN = 20


def fits(headers: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether a table of these rows fits into `width` columns with only its last column folded."""
    widths = [max(map(len, map(safe, column))) for column in zip(headers, *rows, strict=True)]
    gaps = 3 * (len(widths) - 1)
    return sum(widths[:-1]) + gaps + min(widths[-1], _LAST_COLUMN) <= width


def blocks(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Each row as lines of `name  value` without empty values, with an empty line between rows.

    For narrow terminals: a job id or a path that is folded in a table cannot be copied.
    """
    name_width = max(map(len, headers))
    lines: list[str] = []
    for number, row in enumerate(rows):
        lines += [""] if number else []
        lines += [f"{header.lower():{name_width}}  {cell}" for header, cell in zip(headers, row, strict=True) if cell]
    return lines


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], console: "Console") -> str:
    """A table as text for `console`. Only its last column is folded."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number, header in enumerate(headers):
        drawn.add_column(header, no_wrap=number < len(headers) - 1, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(safe(cell)) for cell in row))
    with console.capture() as capture:
        console.print(drawn)
    return capture.get()
