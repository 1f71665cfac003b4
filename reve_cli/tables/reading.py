"""Reads a file of any format into rows.

May import: core, tables.
"""

from collections.abc import Iterator
from typing import BinaryIO

from reve_cli.tables import delimited, jsonrows, text
from reve_cli.tables.columns import Columns
from reve_cli.tables.encoding import open_text
from reve_cli.tables.formats import PROMPTS, SHEETS
from reve_cli.tables.lines import Lines
from reve_cli.tables.rows import Bad, Row, Seen


def read_rows(
    binary: BinaryIO,
    kind: str,
    columns: Columns,
    field: str,
    *,
    bad: Bad,
    seen: Seen,
    path: str = "FILE",
    encoding: str | None = None,
    strip: bool = False,
) -> Iterator[Row]:
    """Yield the rows of `binary`. kind: its format. field: of a value that has no name.

    Raises `TableError` for what makes the rest of the file unreadable.
    """
    seen.kind = kind
    if kind in SHEETS:
        from reve_cli.tables import sheets

        yield from sheets.read(binary, kind, columns, seen, bad)
        return
    file, name, seen.has_mark = open_text(binary, encoding)
    lines = Lines(file, name)
    if kind in ("csv", "tsv"):
        yield from delimited.read(lines, columns, seen, bad, prefer="\t" if kind == "tsv" else ",")
    elif kind == "jsonl":
        yield from jsonrows.read_lines(lines, seen, bad)
    elif kind == "json":
        yield from jsonrows.read_array(lines, field, path, seen, bad)
    else:
        yield from text.read(lines, columns, field, seen, bad, guess=kind == PROMPTS, strip=strip)
