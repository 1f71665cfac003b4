"""Writes a table again, with a result for each row. Rows wait in a temporary database on disk, so memory stays flat.

May import: core.errors, core.models, tables.columns, rows; sqlite3.
"""

import contextlib
import csv
import json
import os
import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from reve_cli.core.errors import ReveError
from reve_cli.core.models import echo
from reve_cli.tables.columns import unique
from reve_cli.tables.rows import Seen

RESULTS = ("status", "file", "jobId", "credits", "error")
"""The columns that are added."""
_LONGEST_HEADER = 1 << 16
_CACHE = 256  # KiB of the database in memory


class Record:
    """The rows of a table and their results, for use by one thread."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute(f"PRAGMA cache_size = {-_CACHE}")
        self._database.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, cells TEXT NOT NULL, result TEXT)")
        self._database.execute("CREATE TABLE made (name TEXT PRIMARY KEY, result TEXT NOT NULL)")

    def close(self) -> None:
        self._database.close()

    def add(self, number: int, cells: Mapping[str, Any]) -> None:
        """Add a row. number: decides the order."""
        self._database.execute("INSERT INTO rows (number, cells) VALUES (?, ?)", (number, json.dumps(cells)))

    def note(self, number: int, result: Mapping[str, Any]) -> None:
        """Set the result of a row."""
        self._database.execute("UPDATE rows SET result = ? WHERE number = ?", (json.dumps(result), number))

    def note_named(self, name: str, result: Mapping[str, Any]) -> None:
        """Set the result of all rows that `write` calls `name`, unless they have their own."""
        self._database.execute("INSERT OR REPLACE INTO made VALUES (?, ?)", (name, json.dumps(result)))

    def write(self, path: str, rows: Iterable[tuple[int, str]], seen: Seen) -> None:
        """Write the table to `path`. rows: numbers and names. Raises `ReveError` (code `output`)."""
        names = list(seen.columns)
        if tuple(names[-len(RESULTS) :]) == RESULTS:  # the table is such a report itself
            names = names[: -len(RESULTS)]
        header = unique([*names, *RESULTS])
        encoding = "utf-8-sig" if seen.has_mark or seen.kind in ("xlsx", "ods") else "utf-8"
        temporary = f"{path}.{secrets.token_hex(4)}"
        try:
            with open(temporary, "x", encoding=encoding, newline="") as file:
                writer = csv.writer(file, delimiter=seen.delimiter)
                writer.writerow(header)
                for number, name in rows:
                    cells, result = self._row(number, name)
                    given = [_text(cells.get(column)) for column in names]
                    writer.writerow([*given, *(_text(result.get(column)) for column in RESULTS)])
            os.replace(temporary, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise ReveError("output", f"cannot write {path}: {error.strerror}") from error

    def _row(self, number: int, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        query = "SELECT cells, coalesce(result, (SELECT result FROM made WHERE name = ?)) FROM rows WHERE number = ?"
        cells, result = self._database.execute(query, (name, number)).fetchone()
        return json.loads(cells), json.loads(result or "{}")


def check(path: str, table: str, *, force: bool) -> None:
    """Check, before anything is sent, that a report can be written to `path`. table: the path of the given table.

    It may replace an earlier report, but nothing else without `force`. Raises `ReveError`.
    """
    if path in ("", "-") or os.path.isdir(path):
        raise ReveError("usage", f"--report {echo(path)} is not the name of a file")
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise ReveError("output", f"cannot write {path}: the folder {folder} does not exist or is not writable")
    if not os.path.lexists(path):
        return
    with contextlib.suppress(OSError):
        if os.path.samefile(path, table):
            raise ReveError("usage", "--report names the file of the batch itself; use another name")
    if not force and not _is_report(path):
        raise ReveError("output", f"{path} exists and is not a report", hint="use another name, or --force")


def _is_report(path: str) -> bool:
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            first = file.readline(_LONGEST_HEADER).rstrip("\r\n")
    except OSError:
        return False
    return any(first.endswith(delimiter.join(RESULTS)) for delimiter in ",;\t|")


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
