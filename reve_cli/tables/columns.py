"""Which column of a table is which field, by its name in any spelling, or by --column.

May import: core.errors, core.models, tables.rows.
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reve_cli.core.errors import ReveError
from reve_cli.core.models import cut, echo
from reve_cli.tables.rows import TableError

DATA = "input"
"""In --column: the column is data of the user's, whatever its name."""
_OTHER_NAMES = {"ratio": "aspectRatio", "ar": "aspectRatio", "output": "out", "outfile": "out"}
_LIKE_PROMPTS = ("caption", "captions", "text", "description", "sentence", "instruction", "query", "title", "name")
_LEAST_BEGINNING = 4
_MOST_NAMES = 12


class Columns:
    """The fields of a table's columns.

    fields: their names. needed: the field without which a table is none. given: names of columns, with their field or
    `DATA`. foreign: names that mean something that cannot be done, with advice.
    """

    def __init__(
        self, fields: Sequence[str], needed: str, given: Mapping[str, str] | None = None, *, foreign: Mapping[str, str]
    ) -> None:
        self._fields = {_plain(name): name for name in fields}
        self._needed, self._foreign = needed, foreign
        self._given = dict(given or {})
        self._plain_given = {_plain(name): name for name in self._given}
        self._seen: set[str] = set()
        self._known: dict[str, str | None] = {}

    @classmethod
    def of(cls, fields: Sequence[str], needed: str, options: Sequence[str], *, foreign: Mapping[str, str]) -> "Columns":
        """Parse the values of --column, each FIELD=NAME. Raises `ReveError` (code `usage`)."""
        given: dict[str, str] = {}
        known = {_plain(name): name for name in [*fields, DATA]}
        for option in options:
            field, equals, name = option.partition("=")
            if not equals or not name.strip() or _plain(field) not in known:
                message = f"--column {echo(option)} is not FIELD=NAME; fields: {', '.join(known.values())}"
                raise ReveError("usage", message, hint=f"for example --column {needed}=Text")
            if known[_plain(field)] != DATA and known[_plain(field)] in given.values():
                raise ReveError("usage", f"--column names {known[_plain(field)]} twice")
            if name in given:
                raise ReveError("usage", f"--column names the column {echo(name)} twice")
            given[name] = known[_plain(field)]
        return cls(fields, needed, given, foreign=foreign)

    def field(self, name: str) -> str | None:
        """The field of the column `name`; None for data of the user's."""
        if name not in self._known:
            given = name if name in self._given else self._plain_given.get(_plain(name))
            field = self._fields.get(_plain(name))
            if given is not None:
                field = None if self._given[given] == DATA else self._given[given]
            elif field in self._given.values():
                field = None
            self._known[name] = field
        return self._known[name]

    def is_header(self, names: Iterable[str]) -> bool:
        """Whether one of `names` is the needed field."""
        return any(self.field(name) == self._needed for name in names)

    def check(self, names: Sequence[str], line: int, *, is_whole: bool = True) -> None:
        """Check the names of a table's columns. Raises `TableError`.

        is_whole: these are all columns; else only the names themselves are checked.
        """
        self._seen.update(names)
        fields = [field for name in names if (field := self.field(name)) is not None]
        for name in names:
            if self.field(name) is None and not self._is_data(name) and (why := self._suspect(name)):
                kept = shlex.quote(f"{DATA}={name}")
                raise TableError(line, f"column {echo(name)}: {why} To keep it as data: --column {kept}")
        for field in fields:
            if fields.count(field) > 1:
                raise TableError(line, f"two columns are {field}")
        if is_whole and self._needed not in fields:
            raise TableError(line, self._without(names))

    def check_given(self, line: int) -> None:
        """Raises `TableError` if a column of --column was in no row."""
        seen = {_plain(name) for name in self._seen}
        for name, field in self._given.items():
            if _plain(name) not in seen:
                option = shlex.quote(f"{field}={name}")
                raise TableError(line, f"--column {option}: no such column; columns: {_listed(sorted(self._seen))}")

    def split(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The fields in a row, and the other cells by column."""
        fields: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for name, value in cells.items():
            field = self.field(name)
            if field is None:
                others[name] = value
            else:
                fields[field] = value
        return fields, others

    def _is_data(self, name: str) -> bool:
        given = name if name in self._given else self._plain_given.get(_plain(name))
        return given is not None and self._given[given] == DATA

    def _suspect(self, name: str) -> str:
        """Why the name of a column is probably a mistake; "" if it is not."""
        plain = _plain(name)
        if plain in self._foreign:
            return self._foreign[plain]
        if plain in self._fields:  # --column names another column for this field
            return ""
        named = _OTHER_NAMES.get(plain)
        for known, field in self._fields.items():
            if named in (None, field) and (named or _is_near(plain, known)) and field not in self._given.values():
                return f"did you mean {field}?"
        return ""

    def _without(self, names: Sequence[str]) -> str:
        """The error for columns without the needed one."""
        plain = {_plain(name): name for name in names}
        likely = next((plain[name] for name in _LIKE_PROMPTS if name in plain), "NAME")
        option = shlex.quote(f"{self._needed}={likely}")
        return f"no {self._needed} column; columns: {_listed(names)}; name it with --column {option}"


def unique(header: Iterable[str]) -> list[str]:
    """The names, with a number after one that was there before. An empty name stays empty."""
    names: list[str] = []
    for name in header:
        copy, each = 1, name
        while each and each in names:
            copy += 1
            each = f"{name} {copy}"
        names.append(each)
    return names


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(cut(name, 40) for name in names[:_MOST_NAMES]) + more


def _is_near(name: str, field: str) -> bool:
    """Whether `name` is `field` with one typing mistake, its plural or its beginning."""
    if len(field) < _LEAST_BEGINNING:
        return name == field + "s"
    if field.startswith(name) and len(name) >= _LEAST_BEGINNING:
        return True
    if name[:1] != field[:1] or abs(len(name) - len(field)) > 1:
        return False
    same = next((i for i, (a, b) in enumerate(zip(name, field, strict=False)) if a != b), min(len(name), len(field)))
    one, other = name[same:], field[same:]
    return (
        one[1:] == other[1:]
        or one[1:] == other
        or one == other[1:]
        or (one[:2] == other[1::-1] and one[2:] == other[2:])
    )
