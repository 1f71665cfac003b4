"""Text made fit for a terminal, for a shell and for people.

May import: nothing of ours.
"""

import os
import re
import shlex
import unicodedata

# C0 and C1 controls, line separators, bidirectional controls and lone surrogates
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def safe(text: str) -> str:
    """Escape every character that could control a terminal or reorder what it shows."""
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def quote(text: str) -> str:
    """Quote `text` as one word for a POSIX shell.

    Text with unsafe characters becomes `$'…'` with escapes, which bash, zsh and ksh understand.
    """
    if safe(text) == text:
        return shlex.quote(text)
    raw = text.encode(errors="surrogateescape")
    return "$'" + "".join(chr(b) if 32 <= b < 127 and b not in b"'\\" else f"\\x{b:02x}" for b in raw) + "'"


def in_words(name: str) -> str:
    """Write the name of a JSON field as words: `creditCost` becomes `credit cost`."""
    return re.sub("[A-Z]", lambda found: f" {found[0].lower()}", name)


def columns(text: str) -> int:
    """The columns that `text` takes on a terminal. Wide characters take two, combining ones none."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if character == "\ufe0f":  # turns the character before it into an emoji, which is wide
        return 1
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shorten(text: str, width: int) -> str:
    """Shorten `text` to `width` columns, at the end of a word if one is near, and end it in an ellipsis."""
    if columns(text) <= width:
        return text
    start = _start(text, width - 1)
    words = start.rpartition(" ")[0]
    if text[len(start)] != " " and len(words) * 4 >= len(start) * 3:
        start = words
    return f"{start.rstrip()}…"


def shorten_path(path: str, width: int) -> str:
    """Shorten a path to `width` columns: folders are left out first, then the middle of the name, never its end."""
    if columns(path) <= width:
        return path
    parts = path.split(os.sep)
    for number in range(1, len(parts)):
        rest = os.sep.join(["…", *parts[number:]])
        if columns(rest) <= width:
            return rest
    name = parts[-1]
    end = _end(name, max(len(os.path.splitext(name)[1]), (width - 1) // 2))
    if columns(end) >= width - 1:
        return f"…{_end(name, width - 1)}"
    return f"{_start(name, width - 1 - columns(end))}…{end}"


def _start(text: str, width: int) -> str:
    """The longest beginning of `text` that fits into `width` columns."""
    used = 0
    for number, character in enumerate(text):
        used += _columns_of(character)
        if used > width:
            return text[:number]
    return text


def _end(text: str, width: int) -> str:
    """The longest end of `text` that fits into `width` columns."""
    used = 0
    for number, character in enumerate(reversed(text)):
        used += _columns_of(character)
        if used > width:
            return text[len(text) - number :]
    return text


def near_path(path: str, folder: str, home: str) -> str:
    """An absolute path as a person would type it in `folder`: relative to it, or else from `~`."""
    for base, start in ((folder, ""), (home, f"~{os.sep}")):
        inside = f"{base.rstrip(os.sep)}{os.sep}"
        if len(base) > 1 and path.startswith(inside):
            return start + path[len(inside) :]
    return path


def double_quote(text: str) -> str:
    """Quote `text` as people do, in double quotes, if a shell takes that as it is."""
    return quote(text) if re.search(r"[\"$`\\!\x00-\x1f]", text) else f'"{text}"'
