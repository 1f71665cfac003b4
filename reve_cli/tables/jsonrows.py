"""JSON: an object per line, or an array of objects or strings, of which one element is in memory at a time.

May import: tables.lines, rows, encoding.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from reve_cli.tables.encoding import not_text
from reve_cli.tables.lines import TOO_LONG, Lines
from reve_cli.tables.rows import LONGEST, Bad, Row, Seen, TableError

_ARRAY_INSIDE = re.compile(r'"([A-Za-z_][A-Za-z0-9_]*)"\s*:\s*\[\s*\{')
_BLANK = " \t\r\n"


class _DuplicateKey(ValueError):
    pass


def read_lines(lines: Lines, seen: Seen, bad: Bad) -> Iterator[Row]:
    """Yield the objects of JSON Lines."""
    for number, line in lines.each(bad):
        if not line.strip():
            continue
        try:
            found = _DECODER.decode(line)
        except json.JSONDecodeError as error:
            bad(number, f"invalid JSON: {error.msg}")
        except _DuplicateKey:
            bad(number, "invalid JSON: duplicate key")
        except (ValueError, RecursionError):
            bad(number, "invalid JSON: nested too deeply, or a number is too long")
        else:
            if isinstance(found, dict):
                yield _row(number, found, seen)
            else:
                bad(number, "not a JSON object")


def read_array(lines: Lines, field: str, path: str, seen: Seen, bad: Bad) -> Iterator[Row]:
    """Yield the elements of an array, a string as a row with only `field`; or the objects of JSON Lines.

    path: of the file, for the command that takes the array out of an object.
    """
    while (line := lines.read()) and not line.strip():
        pass
    if line.lstrip().startswith("{"):
        _check_object(line, lines.number, path)
        lines.put_back([line])
        yield from read_lines(lines, seen, bad)
        return
    text = _Text(lines, line)
    if not text.next():
        return
    if text.take() != "[":
        raise TableError(text.line, "not a JSON array of objects or strings")
    if text.next() != "]":
        count = 0
        while True:
            count += 1
            text.next()
            number, found = text.line, text.value()
            if isinstance(found, str):
                found = {field: found}
            if isinstance(found, dict):
                yield _row(number, found, seen, f"element {count}: ")
            else:
                bad(number, f"element {count}: neither an object nor a string")
            if text.next() != ",":
                break
            text.take()
    if text.next() != "]":
        raise TableError(text.line, "invalid JSON: expected , or ] after an element")
    text.take()
    if text.next():
        raise TableError(text.line, "invalid JSON: text after the end of the array")


def _row(number: int, found: dict[str, Any], seen: Seen, place: str = "") -> Row:
    seen.columns.update(dict.fromkeys(found))
    return Row(number, found, number, place)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _DuplicateKey
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def _check_object(line: str, number: int, path: str) -> None:
    """Raises `TableError` if a first line with an object is not the first of JSON Lines."""
    try:
        found = _DECODER.decode(line)
        is_row = not any(isinstance(value, list) and value and isinstance(value[0], dict) for value in found.values())
        is_row = is_row or "prompt" in found
    except (ValueError, RecursionError):
        is_row = False
    if not is_row:
        keys = _ARRAY_INSIDE.findall(line[:LONGEST])
        key = "annotations" if "annotations" in keys or '"info"' in line or not keys else keys[0]
        command = f"jq -c '.{key}[]' {path} | reve batch - --format jsonl"
        raise TableError(number, f"a JSON object, not an array; take the array out of it, such as: {command}")


class _Text:
    """The text of an array, read as it is needed."""

    def __init__(self, lines: Lines, first: str) -> None:
        self._lines, self._text, self._at = lines, first, 0
        self.line = lines.number
        """The number of the line of the next character."""
        self._check(first)

    def next(self) -> str:
        """The next character that is not blank; "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._step(1)
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def take(self) -> str:
        self._step(1)
        return self._text[self._at - 1]

    def value(self) -> Any:
        """The next value. Raises `TableError`."""
        while True:
            try:
                found, end = _DECODER.raw_decode(self._text, self._at)
                self._step(end - self._at)
                return found
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > LONGEST:
                    raise TableError(self.line, TOO_LONG.replace("the line", "an element")) from error
                if not self._more():
                    raise TableError(self.line, f"invalid JSON: {error.msg}") from error
            except _DuplicateKey as error:
                raise TableError(self.line, "invalid JSON: duplicate key") from error
            except (ValueError, RecursionError) as error:
                why = "invalid JSON: nested too deeply, or a number is too long"
                raise TableError(self.line, why) from error

    def _more(self) -> bool:
        part = self._lines.read()
        self._check(part)
        self._text, self._at = self._text[self._at :] + part, 0
        return bool(part)

    def _check(self, part: str) -> None:
        if why := not_text(part, self._lines.encoding)[0]:
            raise TableError(self.line, why)

    def _step(self, count: int) -> None:
        passed = self._text[self._at : self._at + count]
        self.line += passed.count("\n") or passed.count("\r")
        self._at += count
