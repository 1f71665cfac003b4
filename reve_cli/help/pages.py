"""Pages of help: what they say, laid out as plain text or as a manual page. Imports the standard library.

A block is a paragraph, lines that stay as they are (they begin with four spaces), or a table of terms and what they
mean. A section is a title, or none, and its blocks.
"""

import re
import textwrap
from collections.abc import Iterable, Sequence

Block = str | Sequence[tuple[str, str]]
Section = tuple[str, Sequence[Block]]

WIDTH = 80
"""Columns of the widest line."""
_NARROW = 60
"""Columns under which what a term means stands on lines of its own."""
_TERM = 26
"""Columns of the widest term that has what it means beside it."""
_ROFF = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", '"': r"\(dq"}


def plain(sections: Iterable[Section], width: int = WIDTH, *, bold: bool = False) -> str:
    """The sections as text of at most `width` columns (but for what cannot be broken). `bold`: titles in bold."""
    sections, parts = list(sections), []
    tables = [block for _, blocks in sections for block in blocks if not isinstance(block, str)]
    column = min(_TERM, max((len(term) for table in tables for term, _ in table), default=0))
    for title, blocks in sections:
        heading = [f"\x1b[1m{title}\x1b[0m" if bold else title] if title else []
        indent = "  " if title else ""
        texts = [_plain(block, width, indent, column) for block in blocks]
        parts.append("\n".join([*heading, "\n\n".join(texts)]))
    return "\n\n".join(parts)


def _plain(block: Block, width: int, indent: str, column: int) -> str:
    if isinstance(block, str):
        if block.startswith("    "):
            return textwrap.indent(textwrap.dedent(block), indent or "    ")
        return _wrapped(block, width, indent, indent)
    indent = indent or "  "
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
    """The sections as part of a manual page, in man(7). `level`: of their titles, `SH` or `SS`."""
    text = ""
    for title, blocks in sections:
        body = "".join(map(_roff_block, blocks)).removeprefix(".PP\n")  # a title begins a paragraph
        text += f".{level} {_roff(title, wide=True)}\n{body}"
    return text


def _roff_block(block: Block) -> str:
    if not isinstance(block, str):
        return "".join(f".TP\n.B {_roff(term)}\n{_roff(about)}\n" for term, about in block)
    if block.startswith("    "):
        lines = textwrap.dedent(block).split("\n")
        return ".PP\n.RS 4\n.nf\n" + "".join(f"{_roff(line, wide=True)}\n" for line in lines) + ".fi\n.RE\n"
    return f".PP\n{_roff(block)}\n"


def _roff(text: str, *, wide: bool = False) -> str:
    """`text` as it is written there, in lines of its own; `wide`: in one line."""
    escaped = re.sub(r"[\\\-'`^~\"]", lambda found: _ROFF[found[0]], text)
    lines = [escaped] if wide else textwrap.wrap(escaped, WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(rf"\&{line}" if line.startswith(".") else line for line in lines)
