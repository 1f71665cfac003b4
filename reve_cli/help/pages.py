"""Lays out pages of help as plain text for a terminal, or as roff for the manual page.

May import: nothing of ours.
"""

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """Lines that are printed as they are."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list. `numbered`: its items are steps."""

    items: Sequence[str]
    numbered: bool = False


Terms = Sequence[tuple[str, str]]
"""A table of terms and their meanings."""
Block = str | Code | Items | Terms
"""A `str` is a paragraph."""
Section = tuple[str, Sequence[Block]]
"""A heading, or "" for none, and the blocks below it."""

WIDTH = 80
"""Columns of the widest line."""
_NARROW = 60
"""Below this many columns, a meaning goes on the lines after its term."""
_TERM = 22
"""Columns of the widest term that has its meaning beside it."""
_ROFF = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", '"': r"\(dq"}


def plain(sections: Iterable[Section], width: int = WIDTH, *, bold: bool = False) -> str:
    """Lay out sections as text. Lines are longer than `width` only in code and in words that do not fit.

    Args:
        bold: print headings in bold.
    """
    sections, parts = list(sections), []
    tables = [block for _, blocks in sections for block in blocks if not isinstance(block, str | Code | Items)]
    lengths = [len(term) for table in tables for term, _ in table]
    column = max((length for length in lengths if length <= _TERM), default=min(_TERM, max(lengths, default=0)))
    for title, blocks in sections:
        heading = [f"\x1b[1m{title}\x1b[0m" if bold else title] if title else []
        indent = "  " if title else ""
        alone = bool(title) and len(blocks) == 1
        texts = [_plain(block, width, indent, column, "  " if alone else "    ") for block in blocks]
        parts.append("\n".join([*heading, "\n\n".join(texts)]))
    return "\n\n".join(parts)


def _plain(block: Block, width: int, indent: str, column: int, indent_of_code: str) -> str:
    if isinstance(block, str):
        return _wrapped(block, width, indent, indent)
    if isinstance(block, Code):
        return textwrap.indent(block.text, indent_of_code)
    indent = indent or "  "
    if isinstance(block, Items):
        return "\n".join(
            _wrapped(item, width, indent + mark, indent + " " * len(mark)) for mark, item in _marked(block)
        )
    lines = []
    for term, about in block:
        beside = width >= _NARROW and len(term) <= column
        if not beside or not about:
            lines.append(indent + term)
        if about:
            hanging = indent + " " * (column + 2 if width >= _NARROW else 4)
            first = f"{indent}{term:{column + 2}}" if beside else hanging
            lines.append(_wrapped(about, width, first, hanging))
    return "\n".join(lines)


def _marked(block: Items) -> list[tuple[str, str]]:
    return [(f"{number}. " if block.numbered else "- ", item) for number, item in enumerate(block.items, start=1)]


def _wrapped(text: str, width: int, first: str, hanging: str) -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def roff(sections: Iterable[Section], *, level: str = "SH") -> str:
    """Lay out sections as part of a manual page, in man(7).

    Args:
        level: macro of the headings, `SH` or `SS`.
    """
    text = ""
    for title, blocks in sections:
        body = "".join(map(_roff_block, blocks))
        if title:
            text += f".{level} {_roff(title, wide=True)}\n"
            body = body.removeprefix(".PP\n")  # a heading begins a paragraph
        text += body
    return text


def _roff_block(block: Block) -> str:
    if isinstance(block, str):
        return f".PP\n{_roff(block)}\n"
    if isinstance(block, Code):
        lines = block.text.split("\n")
        return ".PP\n.RS 4\n.nf\n" + "".join(f"{_roff(line, wide=True)}\n" for line in lines) + ".fi\n.RE\n"
    if isinstance(block, Items):
        return "".join(f".IP {_roff_mark(mark)} 4\n{_roff(item)}\n" for mark, item in _marked(block))
    return "".join(f".TP\n.B {_roff(term)}\n{_roff(about)}\n" for term, about in block)


def _roff_mark(mark: str) -> str:
    return r"\(bu" if mark == "- " else mark.strip()


def _roff(text: str, *, wide: bool = False) -> str:
    """Escape `text`, and wrap it unless it is `wide`."""
    escaped = re.sub(r"[\\\-'`^~\"]", lambda found: _ROFF[found[0]], text)
    lines = [escaped] if wide else textwrap.wrap(escaped, WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(rf"\&{line}" if line.startswith(".") else line for line in lines)
