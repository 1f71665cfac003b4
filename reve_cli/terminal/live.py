"""The spinner on the last lines of a terminal.

May import: terminal.styles, terminal.taskbar, terminal.text. Imports rich late.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from reve_cli.terminal.styles import verdicts
from reve_cli.terminal.taskbar import CLEAR, progress
from reve_cli.terminal.text import safe

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

_SHORTEST = 8
_SPINNER_WIDTH = 3
_LONGEST_BAR = 40


class Spinner:
    """A spinner with text beside it and lines below it. It turns each time it is drawn.

    console: returns the console to draw on; called when something is drawn. tells_terminal: the terminal itself shows
    progress as well (see `taskbar`).
    """

    def __init__(self, console: Callable[[], "Console"], *, tells_terminal: bool = False) -> None:
        self._console, self._tells_terminal = console, tells_terminal
        self._told = CLEAR
        self._live: Live | None = None

    @property
    def is_drawn(self) -> bool:
        return self._live is not None

    def draw(self, text: str, *more: str, share: float | None = None, bar: bool = False) -> None:
        """Draw the spinner with `text` beside it and `more` lines below, each cut to the width of the terminal.

        share: of the work that is done, from 0 to 1; None if that is unknown. bar: show it as a bar below `text`.
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
                for start, end, style in verdicts(line.plain):
                    line.stylize(style, start, end)
            self._spinner.update(text=lines[0])
            bars = [self._bar(share or 0.0)] if bar else []
            self._live.update(Group(self._spinner, *bars, *lines[1:]), refresh=True)
            self._tell(progress(share))
        except OSError:
            self._live = None
            raise

    def clear(self) -> None:
        """Remove the spinner from the terminal. Raises OSError if the terminal is gone."""
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def finish(self) -> None:
        """Remove the spinner, and the progress that the terminal itself shows. Raises OSError."""
        self.clear()
        self._tell(CLEAR)

    def _bar(self, share: float) -> "RenderableType":
        from rich.padding import Padding
        from rich.progress_bar import ProgressBar

        width = max(_SHORTEST, min(_LONGEST_BAR, self._console().width - 2 * _SPINNER_WIDTH))
        bar = ProgressBar(
            total=1.0,
            completed=share,
            width=width,
            style="bright_black",
            complete_style="green",
            finished_style="green",
        )
        return Padding(bar, (0, 0, 0, 2), expand=False)

    def _tell(self, sequence: str) -> None:
        """Send the terminal a sequence, unless it has it already."""
        if self._tells_terminal and sequence != self._told:
            self._told = sequence
            file = self._console().file
            file.write(sequence)
            file.flush()
