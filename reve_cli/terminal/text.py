"""Text made fit for a terminal, for a shell and for people.

May import: nothing of ours.
"""

import re
import shlex

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
