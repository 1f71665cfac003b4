"""Keeps the page of a batch up to date while the batch runs.

The page in the folder has the images that were there when the batch began. New ones are in the script `LIVE` beside it,
which an open page loads again and again. At the end the page has all images, and the script is removed.
May import: core, album.
"""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reve_cli.album.cards import Card, card
from reve_cli.album.collect import in_folder
from reve_cli.album.page import LIVE, MOST, NAME, as_data, check, page, write
from reve_cli.core.clock import Clock
from reve_cli.core.errors import ReveError
from reve_cli.terminal.output import Output

_PAUSE = 1.0
"""Seconds between two writes, at least."""
_SHARE = 20
"""After a slow write, the pause is this many times as long as the write, so that writing does not slow the batch."""
_IN_SCRIPT = 2000
"""Maximum number of cards in the script, which has the newest."""
_ANEW = 1000
"""The page is written again after this many images, so that a page opened late has all of them."""


class LivePage:
    """The page of one batch. If it cannot be written, it prints a warning, and the batch continues."""

    def __init__(self, output: Output, clock: Clock, *, force: bool) -> None:
        self._output, self._clock, self._force = output, clock, force
        self._folder, self._is_at_work = "", False
        self._cards: deque[Card] = deque(maxlen=_IN_SCRIPT)
        self._count, self._has_news, self._due = 0, False, 0.0

    def begin(self, folder: Path) -> None:
        """Write the page into the output folder. Raises `ReveError` (code `output`) if it cannot be written there."""
        self._folder = os.path.abspath(folder)
        check(self._path(NAME), force=self._force)
        self._write_script()
        self._write_page(live=True)
        self._is_at_work = True
        self._output.note(f"gallery: {folder / NAME} shows new images by itself")

    def add(self, line: Mapping[str, Any]) -> None:
        """Show the images of an item. line: its line in the manifest."""
        for file in line["files"]:
            self._cards.appendleft(card(os.path.join(self._folder, file["path"]), line, self._folder))
            self._count, self._has_news = self._count + 1, True
            if self._count % _ANEW == 0:
                self._try(lambda: self._write_page(live=True))
        self.tick()

    def tick(self) -> float:
        """Write new images, if a write is due. Returns the seconds until the next one is due."""
        if not self._has_news:
            return float("inf")
        began = self._clock.monotonic()
        if began >= self._due:
            self._has_news = False
            self._try(self._write_script)
            took = self._clock.monotonic() - began
            self._due = began + took + max(_PAUSE, _SHARE * took)
            return float("inf")
        return self._due - began

    def end(self) -> None:
        """Write the final page with all images. It no longer looks for new ones."""
        self._has_news = False
        self._try(lambda: self._write_page(live=False))
        with contextlib.suppress(OSError):
            os.unlink(self._path(LIVE))

    def _try(self, write: Callable[[], None]) -> None:
        if not self._is_at_work:
            return
        try:
            write()
        except ReveError as error:
            self._is_at_work = False
            self._output.warn(f"the gallery is not up to date: {error.message}")

    def _write_page(self, *, live: bool) -> None:
        found = in_folder(self._folder, MOST)
        cards = [card(each.path, each.facts, self._folder) for each in found]
        write(self._path(NAME), page(os.path.basename(self._folder) or self._folder, cards, live=live))

    def _write_script(self) -> None:
        write(self._path(LIVE), f"reve({as_data(list(self._cards))})\n".encode())

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)
