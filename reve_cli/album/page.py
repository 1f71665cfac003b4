"""Writes the page of a gallery: one HTML file that needs no network and loads nothing but its images.

The cards are in a data block that no browser runs, with every `<` escaped, and the page shows them as text only. Its
Content-Security-Policy allows the page's own script and images of this disk (or server), and no connection.
May import: core, album.cards.
"""

import base64
import contextlib
import hashlib
import html
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from reve_cli import __version__
from reve_cli.album.cards import Card
from reve_cli.core.errors import ReveError

NAME = "gallery.html"
"""The name of the page in its folder."""
LIVE = "gallery.live.js"
"""The name of the script with new cards, while a batch runs."""
MOST = 20_000
"""Maximum number of cards on a page, which has the newest."""
_HERE = Path(__file__).parent
_MARK = '<meta name="generator" content="reve '
"""The mark of reve's pages: reve replaces no other file."""
_BEGINNING = 1000
"""Bytes at the start of a page that contain the mark."""


def page(title: str, cards: Iterable[Card], *, live: bool = False) -> bytes:
    """Return the page. live: it looks for new cards in the script `LIVE` beside it."""
    style, script = (_asset(name) for name in ("gallery.css", "gallery.js"))
    data = as_data({"title": title, "live": LIVE if live else None, "pictures": list(cards)})
    sources = "'self' file: " if live else ""
    policy = (
        f"default-src 'none'; img-src 'self' file:; script-src {sources}'{_digest(script)}'; "
        f"style-src '{_digest(style)}'; base-uri 'none'; form-action 'none'"
    )
    parts = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n',
        f'{_MARK}{__version__}">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        f"<title>{html.escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n",
        _asset("gallery.html"),
        f'<script type="application/json" id="data">{data}</script>\n<script>{script}</script>\n</body>\n</html>\n',
    )
    return "".join(parts).encode(errors="replace")


def as_data(value: object) -> str:
    """`value` as JSON that can stand in a script element: ASCII, without `<`, so that no text ends the element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def check(path: str, *, force: bool) -> None:
    """Raise `ReveError` (code `output`) if the page cannot be written to `path`, or would replace another file."""
    if not force and os.path.lexists(path) and not is_ours(path):
        raise ReveError("output", f"{path} exists and is not a gallery of reve", hint="--force replaces it")
    if os.path.isdir(path):
        raise ReveError("output", f"{path} is a folder")
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise ReveError("output", f"cannot write {path}: its folder does not exist")


def is_ours(path: str) -> bool:
    """Whether the file at `path` is a page of reve."""
    try:
        with open(path, "rb") as file:
            return _MARK.encode() in file.read(_BEGINNING)
    except OSError:
        return False


def write(path: str, data: bytes) -> None:
    """Write a file so that readers see it whole, old or new. Raises `ReveError` (code `output`)."""
    temporary = os.path.join(os.path.dirname(path), f".reve-{secrets.token_hex(8)}.part")
    try:
        try:
            with open(temporary, "xb") as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise ReveError("output", f"cannot write {path}: {error.strerror}") from error


def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """The hash by which a Content-Security-Policy allows a script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
