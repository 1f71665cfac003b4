"""What every format is read into: rows with the number of their line, and problems.

May import: nothing of ours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

LONGEST = 1 << 20
"""Most characters of a line, or of an element of a JSON array."""

Bad = Callable[[int, str], None]
"""Called with the number of an invalid line and the reason; reading goes on."""


class TableError(Exception):
    """A problem after which the rest of the file is not read. line: counts from 1."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line, self.why = line, why


@dataclass(frozen=True)
class Row:
    """A row. cells: its values by column, in the order of the file. header: the line that names the columns.

    place: the beginning of messages about it, if the line alone does not say which row it is.
    """

    line: int
    cells: Mapping[str, Any]
    header: int
    place: str = ""


@dataclass
class Seen:
    """What a reader noticed about the file, for notes and for writing the same table again."""

    kind: str = "text"
    delimiter: str = ","
    has_mark: bool = False
    """It begins with a byte-order mark."""
    comments: int = 0
    """Comment lines that were skipped."""
    headers: int = 0
    """Repeated header lines that were skipped, as in files joined with `cat`."""
    decorated: int = 0
    """Lines with a bullet, a number or quotation marks around the text."""
    foreign: int = 0
    """Values that were refused, but are accepted with --format text."""
    columns: dict[str, None] = field(default_factory=dict)
    """The names of all columns, in the order of the file."""
