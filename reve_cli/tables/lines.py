"""The lines of a text, with their numbers, each checked: not too long, and only text.

May import: tables.encoding, rows.
"""

from collections.abc import Iterator
from typing import TextIO

from reve_cli.tables.encoding import not_text
from reve_cli.tables.rows import LONGEST, Bad, TableError

TOO_LONG = f"the line is longer than {LONGEST:,} characters"
_MARK = "\ufeff"


class Lines:
    """The lines of `file`, without byte-order marks at their beginning (`cat` leaves them inside)."""

    def __init__(self, file: TextIO, encoding: str) -> None:
        self._file, self.encoding = file, encoding
        self.number = 0
        """The number of the last line that was read."""
        self._again: list[str] = []

    def read(self) -> str:
        """The next line with its line end, or "" at the end.

        A line that is too long comes cut, without a line end. Raises `TableError` for bytes that are invalid in the
        encoding, and for a first line that is not text.
        """
        if self._again:
            self.number += 1
            return self._again.pop()
        line = self._file.readline(LONGEST)
        if not line:
            return ""
        self.number += 1
        why, is_encoding = not_text(line, self.encoding)
        if why and (is_encoding or self.number == 1):
            raise TableError(self.number, why)
        return line.lstrip(_MARK)

    def put_back(self, lines: list[str]) -> None:
        """Read these lines, the last ones, again."""
        self._again += reversed(lines)
        self.number -= len(lines)

    def skip_rest(self, line: str) -> None:
        """Skip the rest of a line that is too long."""
        while line and not line.endswith(("\n", "\r")):
            line = self._file.readline(LONGEST)

    def each(self, bad: Bad) -> Iterator[tuple[int, str]]:
        """Yield the valid lines without their line ends."""
        while line := self.read():
            if why := self.problem(line):
                bad(self.number, why)
            else:
                yield self.number, line.rstrip("\r\n")

    def problem(self, line: str) -> str:
        """Why `line`, the last one read, is invalid; "" if it is valid. Skips the rest of one that is too long."""
        if len(line) >= LONGEST and not line.endswith(("\n", "\r")):
            self.skip_rest(line)
            return TOO_LONG
        return not_text(line, self.encoding)[0]
