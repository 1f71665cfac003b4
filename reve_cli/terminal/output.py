"""The printer: everything that reaches stdout and stderr goes through `Output`.

Data goes to stdout, everything else to stderr. With `--json`, every line on stdout is one JSON document. Text from the
user or the server is never parsed as markup, and its control characters never reach a terminal.
May import: core.errors, core.signals and the other modules of terminal.
"""

import math
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reve_cli.core.errors import ReveError
from reve_cli.terminal import streams
from reve_cli.terminal.live import Spinner
from reve_cli.terminal.styles import color_system, has_colors, paint, stderr_console, stdout_console, verdict, verdicts
from reve_cli.terminal.taskbar import knows_progress
from reve_cli.terminal.text import quote, safe

_FRAME = 0.1
"""Seconds between two frames of the spinner."""
_PAUSE = 0.25
"""Seconds without a spinner after a write to a pipe."""

if TYPE_CHECKING:
    from rich.console import Console

    from reve_cli.core.signals import Signals
    from reve_cli.settings.settings import Color
    from reve_cli.terminal.columns import Column, Layout


class Output:
    """Prints the results, notes and errors of one run.

    color: when to use colors; stdout has them on a terminal only, even with `always`.
    gave_up: returns True to stop waiting for a reader of stdout that does not read.
    is_live: whether stderr shows a spinner.
    reader_left: the reader of stdout is gone; nothing more is printed there, but the work goes on.
    error: why stdout cannot be written, to exit with.
    """

    def __init__(self, environ: Mapping[str, str], *, json: bool = False, quiet: bool = False) -> None:
        self.json, self.quiet = json, quiet
        self.color: Color = "auto"
        self.gave_up: Callable[[], bool] = lambda: False
        self.is_live = streams.can_animate(sys.stderr, environ) and not quiet
        self.reader_left = False
        self.error: ReveError | None = None
        self._environ = environ
        self._console: Console | None = None
        self._spinner = Spinner(self._stderr, tells_terminal=self.is_live and knows_progress(environ))
        self._shown: Callable[[], None] | None = None
        """Draws the spinner as it was drawn last; None if there is none."""
        self._quiet_until = 0.0
        """When the spinner may be drawn again, by the monotonic clock."""

    # stdout

    def line(self, text: str, style: str = "") -> None:
        """Print one line of data, such as a path, a URL or a job id. Off a terminal, paths keep their exact bytes.

        style: color of the first word on a terminal.
        """
        if not streams.stdout_is_terminal():
            self._write(streams.encode_path(text) + b"\n")
        else:
            first, space, rest = safe(text).partition(" ")
            self._write(streams.encode_text(f"{self._paint(first, style)}{space}{rest}\n"))

    def lines(self, *texts: str) -> None:
        """Print lines of data at once, so that nobody who waits for the first can miss the others."""
        on_terminal = streams.stdout_is_terminal()
        encoded = (streams.encode_text(safe(text)) if on_terminal else streams.encode_path(text) for text in texts)
        self._write(b"".join(each + b"\n" for each in encoded))

    def document(self, document: Mapping[str, Any]) -> None:
        """Print one JSON document on one line. It is ASCII, so it fits any locale and cannot control a terminal."""
        import json

        self._write(json.dumps(document, separators=(",", ":")).encode() + b"\n")

    def image(self, path: str) -> None:
        """Print the bytes of the file at `path`. If that fails, say that the file is still there."""
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                self._write(chunk)
        command = f"cat {quote(path)}"
        if self.error:
            self.error = ReveError("saved_elsewhere", f"{self.error.message}; the image is kept", hint=command)
        elif self.reader_left:
            self._say(f"the reader of standard output is gone; the image is kept: {command}")

    def picture(self, drawn: bytes) -> None:
        """Print a picture that `preview` has drawn for the terminal."""
        self._write(drawn)

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows: for people on a terminal, elsewhere tab-separated, without headers and with nothing cut."""
        if not streams.stdout_is_terminal():
            self.rows(rows)
            return
        from reve_cli.terminal.tables import blocks, fits, table

        console = self._stdout()
        if fits(headers, rows, console.width):
            self._write(streams.encode_text(table(headers, rows, console)))
        else:
            for line in blocks(headers, rows):
                self.line(line)

    def rows(self, rows: Iterable[Sequence[str]]) -> None:
        """Print rows tab-separated, without headers and with nothing cut, for other programs."""
        for row in rows:
            self._write(streams.encode_path("\t".join(map(safe, row))) + b"\n")

    def listing(
        self, table: "Sequence[Column]", rows: Sequence[Sequence[str]], layout: "Layout | None" = None
    ) -> "Layout":
        """Print rows for people, one line each. Returns the layout, with which more rows follow below the same header.

        layout: of the rows printed before; None for the first.
        """
        from reve_cli.terminal.columns import Layout

        shown = [[streams.printable(safe(cell)) for cell in row] for row in rows]
        if layout is None:
            layout = Layout(table, shown, shutil.get_terminal_size().columns)
            self._write(streams.encode_text(f"{self._paint(layout.header(), 'bold')}\n"))
        for row in shown:
            line = layout.line(row, self._paint)
            line = line if streams.printable(line) == line else line.replace("…", "~")
            self._write(streams.encode_text(f"{line}\n"))
        return layout

    def _paint(self, text: str, style: str) -> str:
        return paint(text, style) if has_colors(color_system(self.color, self._environ), self._environ) else text

    def _stdout(self) -> "Console":
        return stdout_console(color_system(self.color, self._environ))

    def _write(self, data: bytes) -> None:
        if self.reader_left or self.error:
            return
        if sys.stdout is None:  # closed before the start: descriptor 1 may now be a connection or an image
            self.error = ReveError("write_failed", "cannot write to standard output: it is closed")
            return
        self._make_room()
        try:
            streams.write(sys.stdout, data, self.gave_up)
        except BrokenPipeError:
            self.reader_left = True
            streams.discard_stdout()
        except OSError as error:
            self.error = ReveError("write_failed", f"cannot write to standard output: {error.strerror}")
            streams.discard_stdout()

    # stderr

    def note(self, text: str, *, has_verdicts: bool = False) -> None:
        """Print one line about progress, unless `--quiet`. Its first word has a color if it is a verdict.

        has_verdicts: any word of it may be a verdict. Not for a text with words of the user.
        """
        if not self.quiet:
            self._say(text, has_verdicts=has_verdicts)

    def warn(self, text: str) -> None:
        """Print one warning, even with `--quiet`."""
        self._say(f"warning: {text}")

    def debug(self, text: str) -> None:
        """Print one line for `--debug`."""
        self._say(f"debug: {text}", "dim")

    def fail(self, error: ReveError) -> None:
        """Print an error and its hint. For exit code 75 the hint is a command and stands on its own line."""
        self._say(f"error: {error.message}", "red")
        if error.hint:
            self._say(error.hint if error.exit_code == 75 else f"hint: {error.hint}")

    def secret(self, prompt: str, signals: "Signals") -> str:
        """Ask for a secret on the terminal, which does not show it. See `read_line`."""
        from reve_cli.terminal.secret import read_line

        return read_line(prompt, signals, self.gave_up, is_secret=True)

    def spin(self, text: str, *more: str, share: float | None = None, bar: bool = False) -> None:
        """Show a spinner with `text` beside it and `more` lines below it, if stderr can show one.

        share: of the work that is done, from 0 to 1, for a `bar` and for terminals that show progress themselves.
        """
        if self.is_live:
            self._shown = lambda: self._spinner.draw(text, *more, share=share, bar=bar)
            self.redraw()

    def redraw(self) -> float:
        """Draw the spinner again, if there is one. Returns the seconds until the next time."""
        if not self.is_live or self._shown is None:
            return math.inf
        if time.monotonic() >= self._quiet_until:
            try:
                self._shown()
            except OSError:
                self.is_live = False
        return _FRAME

    def rest(self) -> None:
        """Remove the spinner."""
        self._shown = None
        try:
            self._spinner.finish()
        except OSError:
            self.is_live = False

    def _make_room(self) -> None:
        """Remove the spinner before stdout is written: its reader may print the text on the same terminal.

        A reader such as `tee` prints a moment later, so the spinner stays away for that time.
        """
        if not self.is_live or streams.stdout_is_file():
            return
        try:
            self._spinner.clear()
        except OSError:
            self.is_live = False
        if not streams.stdout_is_terminal():
            self._quiet_until = time.monotonic() + _PAUSE

    @property
    def width(self) -> int:
        """Columns of the terminal that shows the spinner."""
        return self._stderr().width

    def _say(self, text: str, style: str = "", *, has_verdicts: bool = False) -> None:
        if sys.stderr is None:
            return
        text = safe(text)
        first = len(text.split(" ")[0])
        spans = [(0, len(text), style)] if style else verdicts(text) if has_verdicts else [(0, first, verdict(text))]
        spans = [span for span in spans if span[2]]
        try:
            if self._spinner.is_drawn or (spans and (self.is_live or self.color == "always")):
                self._print(text, spans)
            else:
                streams.write_stderr(f"{text}\n", self.gave_up)
        except OSError:
            pass  # stderr is the last way to tell anyone

    def _print(self, text: str, spans: Iterable[tuple[int, int, str]]) -> None:
        """Print a line on stderr, with styles."""
        from rich.text import Text

        line = Text(text)
        for start, end, style in spans:
            line.stylize(style, start, end)
        self._stderr().print(line, soft_wrap=True)

    def _stderr(self) -> "Console":
        if self._console is None:
            colors = color_system(self.color, self._environ)
            self._console = stderr_console(colors, force=self.color == "always")
        return self._console

    def surroundings(self) -> dict[str, Any]:
        """Describe the standard streams: which are terminals, and how text appears on them.

        `columns` is the width of stdout, None if it is not a terminal.
        """
        on_terminal = streams.stdout_is_terminal()
        return {
            "stdin": streams.stdin_is_terminal(),
            "stdout": on_terminal,
            "stderr": streams.is_terminal(sys.stderr),
            "columns": shutil.get_terminal_size().columns if on_terminal else None,
            "encoding": sys.stdout.encoding if sys.stdout else None,
            "term": self._environ.get("TERM"),
            "color": self.color,
            "noColor": color_system(self.color, self._environ) is None,
        }
