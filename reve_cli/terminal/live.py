"""The spinner on the last lines of a terminal.

May import: terminal.text. Imports rich late.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from reve_cli.terminal.text import safe

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

_SHORTEST = 8
_SPINNER_WIDTH = 3


class Spinner:
    """A spinner with text beside it and lines below it. It turns each time it is drawn.

    console: returns the console to draw on; called when something is drawn.
    """

    def __init__(self, console: Callable[[], "Console"]) -> None:
        self._console = console
        self._live: Live | None = None

    @property
    def is_drawn(self) -> bool:
        return self._live is not None

    def draw(self, text: str, *more: str) -> None:
        """Draw the spinner with `text` beside it and `more` lines below, each cut to the width of the terminal.

        Raises OSError if the terminal is gone; the spinner then counts as cleared.
        """
        try:
            if self._live is None:
                from rich.live import Live
                from rich.spinner import Spinner

                self._spinner = Spinner("dots")
                self._live = Live(self._spinner, console=self._console(), auto_refresh=False, transient=True)
                self._live.start()
            from rich.console import Group
            from rich.text import Text

            lines = [Text(safe(line), no_wrap=True, overflow="ellipsis") for line in (text, *more)]
            for line in lines:
                line.truncate(max(_SHORTEST, self._console().width - _SPINNER_WIDTH), overflow="ellipsis")
            self._spinner.update(text=lines[0])
            self._live.update(Group(self._spinner, *lines[1:]), refresh=True)
        except OSError:
            self._live = None
            raise

    def clear(self) -> None:
        """Remove the spinner from the terminal. Raises OSError if the terminal is gone."""
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()
