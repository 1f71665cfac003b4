"""Reads the Markdown of a topic into the blocks that `pages` lays out.

May import: pages. This is the home of markdown-it, which is slow to load.
"""

from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from reve_cli.help.pages import Block, Code, Items, Section, Terms


def parse(text: str) -> list[Section]:
    """Split Markdown into sections, one for each heading. Raises ValueError for Markdown that pages cannot show."""
    sections: list[tuple[str, list[Block]]] = []
    tokens = iter(MarkdownIt("commonmark").enable("table").parse(text))
    for token in tokens:
        if token.type == "heading_open":
            sections.append((_inline(next(tokens)), []))
            next(tokens)
        elif token.type != "html_block":  # a comment
            sections[-1][1].append(_block(token, tokens))
    return [(title, blocks) for title, blocks in sections]


def _block(token: Token, rest: Iterator[Token]) -> Block:
    if token.type == "paragraph_open":
        return _paragraph(rest)
    if token.type == "fence":
        return Code(token.content.rstrip("\n"))
    if token.type in ("bullet_list_open", "ordered_list_open"):
        return Items(list(_items(rest)), numbered=token.type == "ordered_list_open")
    if token.type == "table_open":
        return _terms(list(_rows(rest)))
    raise ValueError(f"no layout for {token.type}, line {(token.map or [0])[0] + 1}")


def _paragraph(rest: Iterator[Token]) -> str:
    text = _inline(next(rest))
    next(rest)
    return text


def _items(rest: Iterator[Token]) -> Iterator[str]:
    """The items of a list, each of one paragraph."""
    while next(rest).type == "list_item_open":
        if next(rest).type != "paragraph_open":
            raise ValueError("a list item is more than a paragraph")
        yield _paragraph(rest)
        if next(rest).type != "list_item_close":
            raise ValueError("a list item is more than a paragraph")


def _rows(rest: Iterator[Token]) -> Iterator[list[str]]:
    row: list[str] = []
    while (token := next(rest)).type != "table_close":
        if token.type == "inline":
            row.append(_inline(token))
        elif token.type == "tr_close":
            yield row
            row = []


def _terms(rows: list[list[str]]) -> Terms:
    """A table's first column as terms. From the third column on, each cell is named by the heading of its column."""
    heads, *body = rows
    return [
        (term, ". ".join([about, *(f"{head}: {cell}" for head, cell in zip(heads[2:], more, strict=True) if cell)]))
        for term, about, *more in body
    ]


def _inline(token: Token) -> str:
    """The text of a paragraph, heading or cell, without its markup. Web addresses follow the text of their links."""
    text, address = "", ""
    for part in token.children or []:
        if part.type == "softbreak":
            text += " "
        elif part.type == "link_open":
            address = str(part.attrs["href"])
        elif part.type == "link_close":
            text += f" ({address})" if address.startswith("https:") and not text.endswith(address) else ""
        elif part.type in ("text", "code_inline", "strong_open", "strong_close", "em_open", "em_close", "text_special"):
            text += part.content
        else:
            raise ValueError(f"no layout for {part.type} in {token.content!r}")
    return text
