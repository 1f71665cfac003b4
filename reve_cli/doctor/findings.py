"""A finding of `doctor`, as a JSON document and as lines on a terminal. Both are safe to paste into a bug report.

May import: core, settings.credentials, terminal.
"""

import os
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from reve_cli.core.contract import KEY_PREFIX
from reve_cli.core.errors import EXIT_CODES, ErrorCode, ReveError
from reve_cli.settings.credentials import SHOWN
from reve_cli.terminal.text import safe

Status = Literal["ok", "hint", "problem"]
_EMAIL = re.compile(r"([\w.+'-])[\w.+'-]*@((?:[\w-]+\.)+[^\W\d]{2,})")
_KEY = re.compile(rf"{KEY_PREFIX}\S+")
_AFTER_HOME = r"(?=[/\\]|[\s:,;'\")]|$)"
# A remedy that starts with one of these is, or ends in, a command to copy.
_COPIED = ("reve ", "chmod ", "mkdir ", "pip ", "unset ", "add to ")
# Columns a terminal needs to show the finding beside its name.
_WIDE = 60
# Columns of the status and of the name.
_STATUS, _NAME = 9, 14


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    status: `ok`; `hint` for something to improve; `problem` for something that stops work.
    remedy: what to do, for hints and problems. code: the error code, for problems.
    """

    check: str
    status: Status
    finding: str
    remedy: str | None = None
    details: Mapping[str, Any] | None = None
    code: ErrorCode | None = None

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.code] if self.code else 0

    def document(self) -> dict[str, Any]:
        """The finding as a JSON document, without secrets (see `shareable`)."""
        details = {**(self.details or {}), **({"code": self.code} if self.code else {})}
        document = {"check": self.check, "status": self.status, "finding": self.finding, "remedy": self.remedy}
        return {name: shareable(value) for name, value in (document | {"details": details or None}).items()}


def problem(
    check: str, error: ReveError, remedy: str | None = None, details: Mapping[str, Any] | None = None
) -> Finding:
    """A finding made from an error. The remedy is the error's hint, or else `remedy`."""
    return Finding(check, "problem", error.message, error.hint or remedy, details, error.code)


def shareable(value: Any) -> Any:
    """`value` with API keys and e-mail addresses masked, and the home folder written as `~`, in every text inside."""
    if isinstance(value, Mapping):
        return {name: shareable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [shareable(item) for item in value]
    if not isinstance(value, str):
        return value
    value = _KEY.sub(lambda found: found[0] if len(found[0]) <= SHOWN else f"{found[0][:SHOWN]}…", value)
    value = _EMAIL.sub(r"\1***@\2", value)
    home = os.path.expanduser("~")
    for folder in dict.fromkeys((home, os.path.realpath(home))):
        if len(folder) > 1:
            for quoted in ("$'", "'"):  # a shell expands no ~ inside quotes
                value = value.replace(f"{quoted}{folder}/", f"~/{quoted}")
            value = re.sub(re.escape(folder) + _AFTER_HOME, "~", value)
    return value


def lines(found: Finding, columns: int | None) -> list[str]:
    """The finding as text, wrapped to `columns`; None wraps nothing.

    A command to copy is never wrapped here: the terminal wraps it and still copies it as one line.
    """
    said, remedy = (safe(shareable(text)) for text in (found.finding, found.remedy or ""))
    head = f"{found.status:{_STATUS}}{found.check:{_NAME}}"
    is_narrow = columns is not None and columns < _WIDE
    margin = "  " if is_narrow else " " * len(head)
    if columns is None or (is_narrow and len(head + said) < columns):
        folded = [head + said]
    elif is_narrow:
        folded = [head.rstrip(), *_fold(said, margin, margin, columns)]
    else:
        folded = _fold(said, head, margin, columns)
    if remedy and (columns is None or remedy.startswith(_COPIED)):
        fits = columns is None or len(f"{margin}fix: {remedy}") < columns
        folded.append(f"{margin if fits else '  '}fix: {remedy}")
    elif remedy and columns:
        folded += _fold(remedy, f"{margin}fix: ", margin, columns)
    return folded


def _fold(text: str, first: str, others: str, columns: int) -> list[str]:
    return textwrap.wrap(
        text,
        columns - 1,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]
