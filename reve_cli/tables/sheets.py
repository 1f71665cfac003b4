"""The first sheet of a spreadsheet, through the extra `reve-cli[sheets]`.

May import: core.errors, tables.columns, rows; python_calamine, late.
"""

import datetime
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from reve_cli.core.errors import ReveError
from reve_cli.tables.columns import Columns, unique
from reve_cli.tables.rows import Bad, Row, Seen, TableError

EXTRA = "pip install 'reve-cli[sheets]'"
_LONGEST_FILE = 1 << 28


def check_extra(kind: str) -> None:
    """Raises `ReveError` (code `usage`) if the extra is not installed."""
    try:
        import python_calamine  # noqa: F401
    except ImportError as error:
        message = f"reading .{kind} files needs an extra package; install it, or save the sheet as .csv"
        raise ReveError("usage", message, hint=EXTRA) from error


def read(binary: BinaryIO, kind: str, columns: Columns, seen: Seen, bad: Bad) -> Iterator[Row]:
    """Yield the rows of the first sheet. Its first row that is not empty has the names of the columns."""
    check_extra(kind)
    import python_calamine

    data = binary.read(_LONGEST_FILE + 1)
    if len(data) > _LONGEST_FILE:
        raise TableError(1, f"the file is larger than {_LONGEST_FILE >> 20} MiB; save the sheet as .csv")
    try:
        book = python_calamine.load_workbook(io.BytesIO(data))
        sheet = book.get_sheet_by_index(0)
        rows = sheet.iter_rows()
        start = (sheet.start or (0, 0))[0]
    except (python_calamine.CalamineError, OSError, ValueError, IndexError) as error:
        raise TableError(1, f"not a spreadsheet that can be read: {error}") from error
    header: list[str] = []
    first = 0
    for number, values in enumerate(rows, start=start + 1):
        cells = [_plain(value) for value in values]
        if all(cell is None for cell in cells):
            continue
        if not header:
            header = unique("" if cell is None else " ".join(str(cell).split()) for cell in cells)
            first = number
            columns.check([name for name in header if name], first)
            columns.check_given(first)
            seen.columns.update(dict.fromkeys(name for name in header if name))
            continue
        stray = next((at for at, cell in enumerate(cells[1:], start=1) if cell is not None and not header[at]), None)
        if stray is not None:
            bad(number, f"a cell is in column {stray + 1}, which has no name")
            continue
        yield Row(number, {name: cell for name, cell in zip(header, cells, strict=False) if name}, first)


def _plain(value: object) -> Any:
    """The value of a cell as JSON has it; None if it is empty."""
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 63:
        return int(value)
    if isinstance(value, datetime.timedelta):
        hours, rest = divmod(int(value.total_seconds()), 3600)
        return f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value
