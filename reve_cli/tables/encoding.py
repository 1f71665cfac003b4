"""Bytes to text. A byte-order mark decides the encoding, else the name given, else UTF-8.

Bytes that are invalid in the encoding become U+DC00 and up, so that a reader can name their line.
May import: core.errors, core.models, tables.formats.
"""

import codecs
import io
import re
from typing import Any, BinaryIO, TextIO

from reve_cli.core.errors import ReveError
from reve_cli.core.models import echo
from reve_cli.tables.formats import check_bytes

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_LONGEST_MARK = max(map(len, _MARKS))
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")
_NOT_FOR_FILES = ("unicode_escape", "raw_unicode_escape", "unicode-escape", "raw-unicode-escape", "idna", "punycode")
_FIRST_ESCAPE = 0xDC00
_ERRORS = "reve_cli.mark_bytes"


def _mark_bytes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(_FIRST_ESCAPE + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_ERRORS, _mark_bytes)


def check_encoding(name: str | None) -> str | None:
    """The value of --encoding. Raises `ReveError` (code `usage`) if it is not the name of a text encoding."""
    if name is None:
        return None
    try:
        found = codecs.lookup(name).name
        is_text = found not in _NOT_FOR_FILES and isinstance("a".encode(found).decode(found), str)
    except (LookupError, ValueError):  # no such name, or not for text, such as hex
        is_text = False
    if not is_text:
        raise ReveError("usage", f"--encoding {echo(name)} is not a text encoding such as utf-8, utf-16 or cp1252")
    return found


def open_text(binary: BinaryIO, encoding: str | None) -> "tuple[TextIO, str, bool]":
    """`binary` as text with its line ends, the name of its encoding, and whether it begins with a byte-order mark."""
    head = b""
    while len(head) < _LONGEST_MARK and (part := binary.read(_LONGEST_MARK - len(head))):
        head += part
    mark = next((mark for mark in _MARKS if head.startswith(mark)), b"")
    if not mark:
        check_bytes(head)
    name = _MARKS[mark] if mark else encoding or "utf-8"
    rest: Any = io.BufferedReader(_Preceded(head[len(mark) :], binary))
    return io.TextIOWrapper(rest, encoding=name, errors=_ERRORS, newline=""), name, bool(mark)


def not_text(line: str, encoding: str) -> tuple[str, bool]:
    """The error for a line that contains no text, and whether it is about the encoding; ("", False) for other lines."""
    found = _NOT_TEXT.search(line)
    if not found:
        return "", False
    if found[0] == "\0":
        return "it contains a NUL character; for UTF-16 without a byte-order mark, use --encoding utf-16-le", False
    place = len(line[: found.start()].encode(encoding, "replace")) + 1
    byte = ord(found[0]) - _FIRST_ESCAPE
    other = "utf-8" if encoding == "cp1252" else "cp1252"
    named = encoding.upper()
    return f"byte {place} (0x{byte:02X}) is not {named}; name the encoding, such as --encoding {other}", True


class _Preceded(io.RawIOBase):
    """A stream with some bytes put back at its beginning."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first, self._rest = first, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._first[: len(buffer)]
        self._first = self._first[len(data) :]
        if not data:
            data = self._rest.read1(len(buffer)) if hasattr(self._rest, "read1") else self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._rest.close()
        super().close()
