"""The one printer: all that reaches stdout and stderr goes through here, and nothing else imports rich.

Data goes to stdout, everything else to stderr. With `--json`, every line on stdout is one JSON document. Text from the
user or the server is never parsed as markup, and no control character of it reaches a terminal. Imports `errors`.
"""

import contextlib
import errno
import os
import re
import select
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TextIO

from reve_cli.core.errors import ReveError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from reve_cli.core.signals import Signals
    from reve_cli.settings.settings import Color

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0 and C1 controls, line separators, bidirectional controls, and halves of characters."""
_PART = 4096
"""Bytes that a pipe takes whole once it takes any (PIPE_BUF)."""
_MOMENT = 0.25
_LAST_COLUMN = 20
"""Characters of a table's last column that there must be room for; it may be folded."""


def safe(text: str) -> str:
    """`text` as a terminal may see it: what could steer the terminal is written as an escape."""
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def in_words(name: str) -> str:
    """The name of a JSON field as people write it: `creditCost` is `credit cost`."""
    return re.sub("[A-Z]", lambda found: f" {found[0].lower()}", name)


def quote(text: str) -> str:
    """`text` as one word for a POSIX shell. What a terminal must not see is written in escapes (bash, zsh)."""
    if safe(text) == text:
        return shlex.quote(text)
    raw = text.encode(errors="surrogateescape")
    return "$'" + "".join(chr(b) if 32 <= b < 127 and b not in b"'\\" else f"\\x{b:02x}" for b in raw) + "'"


class Output:
    """Where this run prints, and how."""

    def __init__(self, environ: Mapping[str, str], *, json: bool = False, quiet: bool = False) -> None:
        self.json, self.quiet = json, quiet
        self.reader_left = False
        """Standard output is a pipe that nobody reads any more: printing has stopped, work goes on."""
        self.color: Color = "auto"
        """When to use colours; `always` is also where stderr is no terminal, but never on stdout there."""
        self.error: ReveError | None = None
        """Standard output could not be written: what to exit with."""
        self.gave_up: Callable[[], bool] = lambda: False
        """Whether to wait no longer for a reader of standard output that does not read."""
        self._environ = environ
        self._live: Live | None = None
        self._console: Console | None = None
        self.is_live = _can_draw(sys.stderr) and not _is_dumb(environ) and not quiet

    # Standard output

    def line(self, text: str, style: str = "") -> None:
        """One line of data: a path, a URL, a job id. A file name's own bytes are kept where no terminal sees them.

        style: the colour of its first word, on a terminal.
        """
        if style and _is_terminal(sys.stdout):
            self._write(_encoded(self._styled(safe(text), style)))
            return
        self._write((_encoded(safe(text)) if _is_terminal(sys.stdout) else _name(text)) + b"\n")

    def document(self, document: Mapping[str, Any]) -> None:
        """One JSON document on one line, in ASCII: it passes through any locale and cannot steer a terminal."""
        import json

        self._write(json.dumps(document, separators=(",", ":")).encode() + b"\n")

    def image(self, path: str) -> None:
        """The bytes of the file at `path`."""
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                self._write(chunk)
        kept = f"cat {quote(path)}"
        if self.error:
            self.error = ReveError("saved_elsewhere", f"{self.error.message}; the image is kept", hint=kept)
        elif self.reader_left:
            self._say(f"the reader of standard output left; the image is kept: {kept}")

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows for people on a terminal, the last column folded; elsewhere tab-separated, no headers, nothing cut."""
        if not _is_terminal(sys.stdout):
            for row in rows:
                self._write(_name("\t".join(map(safe, row))) + b"\n")
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        console = Console(highlight=False, no_color=False, color_system=self._color_system)
        widths = [max(map(len, map(safe, column))) for column in zip(headers, *rows, strict=True)]
        room = min(widths[-1], _LAST_COLUMN)
        if console.width < sum(widths[:-1]) + 3 * (len(widths) - 1) + room:
            # a block for each row: a job id or a path that is folded cannot be copied
            name_width = max(map(len, headers))
            for number, row in enumerate(rows):
                if number:
                    self.line("")
                for header, cell in zip(headers, row, strict=True):
                    if cell:
                        self.line(f"{header.lower():{name_width}}  {cell}")
            return
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for number, header in enumerate(headers):
            table.add_column(header, no_wrap=number < len(headers) - 1, overflow="fold")
        for row in rows:
            table.add_row(*(Text(safe(cell)) for cell in row))
        with console.capture() as capture:
            console.print(table)
        self._write(_encoded(capture.get()))

    def _styled(self, text: str, style: str) -> str:
        from rich.console import Console
        from rich.text import Text

        console, line = Console(highlight=False, no_color=False, color_system=self._color_system), Text(text)
        line.stylize(style, 0, len(text.split(" ")[0]))
        with console.capture() as capture:
            console.print(line, soft_wrap=True)
        return capture.get()

    def _write(self, data: bytes) -> None:
        if self.reader_left or self.error:
            return
        if sys.stdout is None:  # closed from the start: descriptor 1 may by now be a connection, or an image
            self.error = ReveError("write_failed", "standard output cannot be written: it is closed")
            return
        if _is_terminal(sys.stdout):
            self.rest()  # what follows would stand behind the spinner
        try:
            _write_all(sys.stdout, data, self.gave_up)
        except BrokenPipeError:
            self.reader_left = True
            forget_stdout()
        except OSError as error:
            self.error = ReveError("write_failed", f"standard output cannot be written: {error.strerror}")
            forget_stdout()

    # Standard error

    def note(self, text: str) -> None:
        """One line about what happens, unless `--quiet`."""
        if not self.quiet:
            self._say(text)

    def warn(self, text: str) -> None:
        """One line about what is not as safe as it should be, even with `--quiet`."""
        self._say(f"warning: {text}")

    def debug(self, text: str) -> None:
        self._say(f"debug: {text}", "dim")

    def fail(self, error: ReveError) -> None:
        """What went wrong and what to do about it. The command that finishes a paid job stands on a line of its own."""
        self._say(f"error: {error.message}", "red")
        if error.hint:
            self._say(error.hint if error.exit_code == 75 else f"hint: {error.hint}")

    def secret(self, prompt: str, signals: "Signals") -> str:
        """The line that is typed at standard input's terminal, which does not show it. Empty at the end of input.

        Whatever ends this, a signal too, the terminal is then as it was. Raises `ReveError` (code `timed_out`) where
        nothing is typed until `gave_up` says so.
        """
        if sys.platform == "win32":
            import getpass

            return getpass.getpass(safe(prompt))
        import signal
        import termios

        terminal = sys.stdin.fileno()
        before, unseen = termios.tcgetattr(terminal), termios.tcgetattr(terminal)
        unseen[3] = unseen[3] & ~termios.ECHO | termios.ECHONL
        for key in (termios.VSUSP, termios.VQUIT):  # some shells would keep the terminal as those leave it
            unseen[6][key] = bytes([os.fpathconf(terminal, "PC_VDISABLE") & 255])

        def show_again() -> None:
            with contextlib.suppress(termios.error):  # the window was closed
                termios.tcflush(terminal, termios.TCIFLUSH)  # a shell would show what is typed and not yet read
                termios.tcsetattr(terminal, termios.TCSANOW, before)

        def hide(*_: object) -> None:
            termios.tcsetattr(terminal, termios.TCSANOW, unseen)

        typed = b""
        with signals.cleaning(show_again):
            continued = signal.signal(signal.SIGCONT, hide)  # a shell may have set the terminal meanwhile
            try:
                termios.tcsetattr(terminal, termios.TCSAFLUSH, unseen)
                self._say(prompt, end="")
                while not typed.endswith(b"\n"):
                    if select.select([terminal], [], [], _MOMENT)[0]:
                        part = os.read(terminal, _PART)
                        if not part:
                            break
                        typed += part
                    elif self.gave_up():
                        break
            finally:
                signal.signal(signal.SIGCONT, continued)
        if not typed.endswith(b"\n"):
            self._say("")  # nobody has ended the line of the prompt
        if not typed and self.gave_up():
            raise ReveError("timed_out", "nothing was typed within the time limit")
        return typed.decode(errors="replace")

    def _say(self, text: str, style: str = "", end: str = "\n") -> None:
        if sys.stderr is None:
            return
        try:
            if self._live is not None or (style and (self.is_live or self.color == "always")):
                self._terminal().print(safe(text), style=style or None, markup=False, highlight=False, soft_wrap=True)
            else:
                line = f"{safe(text)}{end}".encode(sys.stderr.encoding, "backslashreplace")
                _write_all(sys.stderr, line, self.gave_up)
        except OSError:
            pass  # nobody to tell

    def spin(self, text: str, *more: str) -> None:
        """Show `text` beside a spinner on the last line of a terminal, with `more` lines below; nothing elsewhere."""
        if not self.is_live:
            return
        try:
            if self._live is None:
                from rich.live import Live
                from rich.spinner import Spinner

                self._spinner = Spinner("dots")
                self._live = Live(self._spinner, console=self._terminal(), auto_refresh=False, transient=True)
                self._live.start()
            from rich.console import Group
            from rich.text import Text

            lines = [Text(safe(line), no_wrap=True, overflow="ellipsis") for line in (text, *more)]
            for line in lines:
                line.truncate(max(8, self._terminal().width - 3), overflow="ellipsis")
            self._spinner.update(text=lines[0])
            self._live.update(Group(self._spinner, *lines[1:]), refresh=True)
        except OSError:
            self.is_live, self._live = False, None

    @property
    def width(self) -> int:
        """Columns of the terminal that is drawn on."""
        return self._terminal().width

    def rest(self) -> None:
        """Take the spinner away."""
        if self._live is not None:
            live, self._live = self._live, None
            try:
                live.stop()
            except OSError:
                self.is_live = False

    def _terminal(self) -> "Console":
        if self._console is None:
            from rich.console import Console

            class Steady(Console):
                """Never hides the cursor: it would flicker, and a killed process would leave it hidden."""

                def show_cursor(self, show: bool = True) -> bool:
                    return show

            forced = True if self.color == "always" else None
            self._console = Steady(
                stderr=True,
                emoji=False,
                highlight=False,
                no_color=False,
                color_system=self._color_system,
                force_terminal=forced,
            )
        return self._console

    def surroundings(self) -> dict[str, Any]:
        """What this run reads from and prints on. `columns` are those of stdout, None where it is no terminal."""
        streams = {"stdin": sys.stdin, "stdout": sys.stdout, "stderr": sys.stderr}
        return {
            **{name: _is_terminal(stream) for name, stream in streams.items()},
            "columns": shutil.get_terminal_size().columns if _is_terminal(sys.stdout) else None,
            "encoding": sys.stdout.encoding if sys.stdout else None,
            "term": self._environ.get("TERM"),
            "color": self.color,
            "noColor": self._color_system is None,
        }

    @property
    def _color_system(self) -> Literal["auto", "standard"] | None:
        """What rich may use: nothing at all, not even bold, where there are to be no colors."""
        if self.color == "never" or (self.color == "auto" and self._environ.get("NO_COLOR")):
            return None
        return "standard" if self.color == "always" else "auto"


def is_one_screen() -> bool:
    """Whether standard output and error are both shown on a terminal."""
    return _is_terminal(sys.stdout) and _is_terminal(sys.stderr)


def stdin_is_terminal() -> bool:
    return _is_terminal(sys.stdin)


def stdout_is_terminal() -> bool:
    return _is_terminal(sys.stdout)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def _is_dumb(environ: Mapping[str, str]) -> bool:
    """Whether the terminal is said to know no escape sequences; one that says nothing, as in CI, may be so."""
    return os.name != "nt" and environ.get("TERM") in (None, "", "dumb")


def _can_draw(stream: TextIO | None) -> bool:
    """Whether a spinner comes out as one: on a terminal, in an encoding that has its characters."""
    return stream is not None and _is_terminal(stream) and stream.encoding.lower().replace("-", "") == "utf8"


def _encoded(text: str) -> bytes:
    """As this locale writes text."""
    encoding = (sys.stdout and sys.stdout.encoding) or "utf-8"
    try:
        return text.encode(encoding, "surrogateescape")
    except UnicodeEncodeError:
        return text.encode(encoding, "backslashreplace")


def _name(text: str) -> bytes:
    """As the file system writes names, whatever the encoding of the stream: what is printed can be opened."""
    try:
        return os.fsencode(text) if os.name != "nt" else _encoded(text)
    except UnicodeEncodeError:
        return _encoded(text)


def _write_all(stream: TextIO, data: bytes, gave_up: Callable[[], bool] = lambda: False) -> None:
    """Write all of `data`, part by part, waiting for the reader no longer than until `gave_up` says so.

    Raises TimeoutError once `gave_up` says so, BrokenPipeError where the reader left, OSError for the rest.
    """
    stream.flush()
    file: Any = getattr(stream.buffer, "raw", stream.buffer)
    left = memoryview(data)
    while left:
        if os.name != "nt" and not _is_writable(file):
            if gave_up():
                raise TimeoutError(errno.ETIMEDOUT, "its reader does not read")
            continue
        left = left[file.write(left[:_PART]) or 0 :]


def _is_writable(file: Any) -> bool:
    """Whether a part can be written without waiting; waits a moment for it."""
    try:
        return bool(select.select([], [file], [], _MOMENT)[1])
    except (OSError, ValueError):  # no descriptor, or one that cannot be waited for
        return True


def forget_stdout() -> None:
    """Let nothing more reach the broken stream: not even what the interpreter flushes at its end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
    except OSError:
        pass
