"""Tables with a delimiter: comma, semicolon, tab or `|`, as the header line says.

May import: core.models, tables.columns, lines, rows.
"""

import csv
import re
from collections.abc import Iterator, Sequence

from reve_cli.core.models import cut
from reve_cli.tables.columns import Columns, unique
from reve_cli.tables.encoding import not_text
from reve_cli.tables.lines import TOO_LONG, Lines
from reve_cli.tables.rows import LONGEST, Bad, Row, Seen, TableError

DELIMITERS = ",;\t|"
_SEPARATOR = re.compile(rf'"?sep=([{DELIMITERS}])"?\s*')
_MOST_HEADER_LINES = 100
_LOST = "; the rest of the file was not read"


def is_header(line: str, columns: Columns) -> bool:
    """Whether a first line of text is the header of a table."""
    return bool(_SEPARATOR.fullmatch(line)) or any(columns.is_header(_cells(line, one)) for one in DELIMITERS)


def read(lines: Lines, columns: Columns, seen: Seen, bad: Bad, *, prefer: str = ",") -> Iterator[Row]:
    """Yield the rows of a table with a header. prefer: the delimiter if the header does not decide."""
    header, seen.delimiter, first = _read_header(lines, columns, prefer)
    if not header:
        return
    names = unique(header)
    columns.check([name for name in names if name], first)
    columns.check_given(first)
    seen.columns.update(dict.fromkeys(name for name in names if name))
    before = lines.number
    rows = csv.reader(_each(lines), delimiter=seen.delimiter, strict=True, skipinitialspace=True)
    start = before + 1
    while True:
        row: list[str] | None = []
        why = ""
        try:
            row = next(rows, None)
        except csv.Error as error:
            why = _explain(error)
        except TableError as error:
            raise TableError(error.line if before + rows.line_num < start else start, error.why + _LOST) from error
        number, start = start, before + rows.line_num + 1
        if row is None:
            return
        if why:
            if start > number + 1:  # the start of the next row is unknown
                raise TableError(number, why + _LOST)
            bad(number, why)
        elif why := not_text("".join(row), lines.encoding)[0]:
            bad(number, why)
        elif _is_comment(row):
            seen.comments += 1
        elif [cell.strip() for cell in row] == header:
            seen.headers += 1
        elif any(cell.strip() for cell in row):
            if why := _misplaced(row, names):
                bad(number, why)
            else:
                yield Row(number, _by_name(row, names), first)


def _read_header(lines: Lines, columns: Columns, prefer: str) -> tuple[list[str], str, int]:
    """The names in the header, the delimiter, and the number of the header's line. Skips empty lines before it."""
    given = ""
    while line := lines.read():
        if why := lines.problem(line):
            raise TableError(lines.number, why)
        if found := _SEPARATOR.fullmatch(line):
            given = found[1]
        elif line.strip(f"{DELIMITERS} \r\n"):
            break
    first, record = lines.number, line
    while record.count('"') % 2 and lines.number - first < _MOST_HEADER_LINES and (line := lines.read()):
        record += line
    found_by = {delimiter: _cells(record, delimiter) for delimiter in given or prefer + DELIMITERS}
    fit = [delimiter for delimiter, names in found_by.items() if columns.is_header(names)] or list(found_by)
    delimiter = max(fit, key=lambda one: len(found_by[one]))  # the first of equals
    names = found_by[delimiter]
    while names and not names[-1]:
        names.pop()
    return names, delimiter, first


def _cells(record: str, delimiter: str) -> list[str]:
    try:
        row = next(csv.reader(record.splitlines(keepends=True), delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []
    return [" ".join(cell.split()) for cell in row]


def _each(lines: Lines) -> Iterator[str]:
    while line := lines.read():
        if len(line) >= LONGEST:
            raise TableError(lines.number, TOO_LONG)
        yield line


def _explain(error: csv.Error) -> str:
    if "field limit" in str(error):
        return f"a cell is longer than {csv.field_size_limit():,} characters"
    return f"invalid CSV: {error}"


def _is_comment(row: Sequence[str]) -> bool:
    first = row[0].rstrip() if row else ""
    return (first == "#" or first.startswith("# ")) and not any(cell.strip() for cell in row[1:])


def _misplaced(row: Sequence[str], names: Sequence[str]) -> str:
    """The error for a row with cells outside the named columns; a first column without a name is an index."""
    filled = max(number for number, cell in enumerate(row, start=1) if cell.strip())
    if filled > len(names):
        return f"{filled} cells, but the header has {len(names)}"
    for number, (cell, name) in enumerate(zip(row, names, strict=False), start=1):
        if number > 1 and not name and cell.strip():
            return f"the cell {cut(cell.strip(), 40)!r} is in column {number}, which has no name"
    return ""


def _by_name(row: Sequence[str], names: Sequence[str]) -> dict[str, str | None]:
    padded = [*row, *[""] * (len(names) - len(row))]
    return {name: cell if cell.strip() else None for cell, name in zip(padded, names, strict=False) if name}
