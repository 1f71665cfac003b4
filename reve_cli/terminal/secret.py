"""Reads a line from the terminal: a secret, which is not shown, or an answer.

May import: core.errors, core.signals, terminal.streams, terminal.text.
"""

import contextlib
import os
import select
import sys
from collections.abc import Callable

from reve_cli.core.errors import ReveError
from reve_cli.core.signals import Signals
from reve_cli.terminal.streams import MOMENT, PART, write_stderr
from reve_cli.terminal.text import safe


def read_line(prompt: str, signals: Signals, gave_up: Callable[[], bool], *, is_secret: bool) -> str:
    """Show `prompt` on stderr and return the line that is typed, with its end. Empty at the end of input.

    is_secret: the terminal does not show what is typed. It is always restored, also when a signal ends the process.
    Raises `ReveError` (code `timed_out`) if nothing is typed before `gave_up` returns True.
    """
    if sys.platform == "win32":
        import getpass

        if is_secret:
            return getpass.getpass(safe(prompt))
        write_stderr(safe(prompt), gave_up)
        return sys.stdin.readline()
    import signal
    import termios

    terminal = sys.stdin.fileno()
    shown, hidden = termios.tcgetattr(terminal), termios.tcgetattr(terminal)
    if is_secret:
        hidden[3] = hidden[3] & ~termios.ECHO | termios.ECHONL
    for key in (termios.VSUSP, termios.VQUIT):  # after these, some shells keep the terminal as it is
        hidden[6][key] = bytes([os.fpathconf(terminal, "PC_VDISABLE") & 255])

    def show() -> None:
        with contextlib.suppress(termios.error):  # the window was closed
            termios.tcflush(terminal, termios.TCIFLUSH)  # else the shell shows what was typed and not read
            termios.tcsetattr(terminal, termios.TCSANOW, shown)

    def hide(*_: object) -> None:
        termios.tcsetattr(terminal, termios.TCSANOW, hidden)

    def say(text: str) -> None:
        if sys.stderr is not None:
            with contextlib.suppress(OSError):
                write_stderr(text, gave_up)

    typed = b""
    with signals.cleaning(show):
        continued = signal.signal(signal.SIGCONT, hide)  # a shell may have changed the terminal meanwhile
        try:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, hidden)
            say(safe(prompt))
            while not typed.endswith(b"\n"):
                if select.select([terminal], [], [], MOMENT)[0]:
                    part = os.read(terminal, PART)
                    if not part:
                        break
                    typed += part
                elif gave_up():
                    break
        finally:
            signal.signal(signal.SIGCONT, continued)
    if not typed.endswith(b"\n"):
        say("\n")  # the cursor is still behind the prompt
    if not typed and gave_up():
        raise ReveError("timed_out", "nothing was typed within the time limit")
    return typed.decode(errors="replace")


def agrees(question: str, signals: Signals, gave_up: Callable[[], bool]) -> bool:
    """Ask on the terminal whether to go on. Anything but y and yes is no. Raises as `read_line` does."""
    return read_line(f"{question} [y/N] ", signals, gave_up, is_secret=False).strip().lower() in ("y", "yes")
