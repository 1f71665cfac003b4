"""Text: one value per line. Empty lines and comments are skipped.

Without --format, a table or another kind of document in a text file is noticed by its first lines.
May import: tables.columns, delimited, formats, lines, rows.
"""

import re
from collections.abc import Iterator

from reve_cli.tables import delimited
from reve_cli.tables.columns import Columns
from reve_cli.tables.formats import check_first, check_line
from reve_cli.tables.lines import Lines
from reve_cli.tables.rows import Bad, Row, Seen

_BULLET = re.compile(r"\s*(?:[-*+•‣◦·\u2013\u2014]\s+(?:\[[ xX]\]\s+)?|\(?[0-9]{1,5}[.):]\s+)(?=\S)")
_QUOTES = ('""', "''", "“”", "„“", "«»", "\u2018\u2019", "``")


def read(
    lines: Lines, columns: Columns, field: str, seen: Seen, bad: Bad, *, guess: bool, strip: bool
) -> Iterator[Row]:
    """Yield a row with only `field` for every line.

    guess: read a table as such, and refuse other documents. strip: remove bullets, numbers and quotation marks.
    """
    is_first = True
    while line := lines.read():
        if why := lines.problem(line):
            bad(lines.number, why)
            continue
        text = line.strip()
        if guess and is_first and text and delimited.is_header(line, columns):
            lines.put_back([line])
            seen.kind = "csv"
            yield from delimited.read(lines, columns, seen, bad)
            return
        if guess and is_first and text and not _is_comment(text):
            check_first(text, lines.number)
        if not text:
            continue
        if _is_comment(text):
            seen.comments += 1
            continue
        is_first = False
        seen.columns[field] = None
        if guess:
            check_line(text, lines.number)
        bare = undecorated(text)
        seen.decorated += bare != text
        yield Row(lines.number, {field: bare if strip else line.rstrip("\r\n")}, lines.number)


def undecorated(text: str) -> str:
    """`text` without a bullet, a number and quotation marks around it."""
    bare = _BULLET.sub("", text, count=1)
    inside = bare.removesuffix(",")
    if len(inside) > 2 and any(inside[0] + inside[-1] == pair for pair in _QUOTES):
        middle = inside[1:-1]
        if middle.strip() and inside[0] not in middle and inside[-1] not in middle:
            return middle.strip()
    return bare


def _is_comment(text: str) -> bool:
    return text == "#" or text.startswith("# ")
