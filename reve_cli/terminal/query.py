"""Asks the terminal which pictures it can show.

Only an answer counts: TERM, which is often wrong, decides nothing. Keys that were typed ahead stay unread, because no
question is asked then. A key that is typed while the answer is on its way, mostly a few milliseconds, is lost:
systems no longer let a program put it back (TIOCSTI).
May import: nothing of ours. Has no effect on Windows.
"""

import contextlib
import os
import re
import select
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Protocol = Literal["kitty", "iterm2", "sixel"]

_PATIENCE = 0.5
"""Seconds to wait for the answers. A terminal answers within milliseconds, but its answer may take long to reach a
remote machine. An answer that comes too late appears on the shell's next line. Almost every terminal answers."""
_NAME, _CELL, _ATTRIBUTES = b"\x1b[>0q", b"\x1b[16t", b"\x1b[c"
_KITTY = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
_NAMED = re.compile(rb"\x1bP>\|([^\x1b]*)\x1b\\")
_SIZED = re.compile(rb"\x1b\[6;(\d{1,4});(\d{1,4})t")
_LAST = re.compile(rb"\x1b\[\?([\d;]*)c")
"""The answer to `_ATTRIBUTES`. Every terminal gives it, and answers in the order of the questions."""
_SIXEL = b"4"
_HAS_KITTY = b"\x1b_Gi=31;OK"
_MULTIPLEXERS = (b"tmux", b"screen", b"GNU Screen")
"""Programs that would show kitty's question as a title. A tmux that draws sixels answers so."""
_SPEAK_ITERM2 = (b"iTerm2", b"WezTerm", b"mintty")
_DEFERRED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGTSTP")


@dataclass(frozen=True)
class Abilities:
    """What a terminal can show. cell: width and height of a character in pixels, if known."""

    protocol: Protocol | None
    cell: tuple[int, int] | None = None


def ask() -> Abilities | None:
    """Ask the terminal of stdout what it can show.

    None if it cannot be asked: this process is not in its foreground, somebody typed ahead, another program reads from
    it, or it does not answer in time.
    """
    if sys.platform == "win32" or not _is_in_foreground():
        return None
    import termios

    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        with _alone(terminal):
            return _converse(terminal)
    except (OSError, termios.error):
        return None
    finally:
        os.close(terminal)


def _is_in_foreground() -> bool:
    """Whether stdout is the terminal that controls this process, and the process is in its foreground."""
    try:
        is_ours = os.tcgetpgrp(sys.stdout.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False
    return is_ours and threading.current_thread() is threading.main_thread()  # others cannot defer signals


@contextlib.contextmanager
def _alone(terminal: int) -> Iterator[None]:
    """Let this process alone read the terminal, without echo, until the end of the block.

    Signals that would end or stop the process come after the block, so that the terminal is always restored. Raises
    OSError if another program has changed how the terminal is read: two that restore it would disturb each other.
    """
    import termios

    before = termios.tcgetattr(terminal)
    if not before[3] & termios.ICANON:
        raise OSError("another program reads from this terminal")
    alone = termios.tcgetattr(terminal)
    alone[3] &= ~(termios.ICANON | termios.ECHO)
    arrived: list[int] = []
    signals = [getattr(signal, name) for name in _DEFERRED]
    handlers = {each: signal.signal(each, lambda number, _: arrived.append(number)) for each in signals}
    # a process that is moved to the background meanwhile must not be stopped before it has restored the terminal
    handlers[signal.SIGTTOU] = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        termios.tcsetattr(terminal, termios.TCSANOW, alone)
        try:
            yield
        finally:
            termios.tcsetattr(terminal, termios.TCSANOW, before)
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
        for number in arrived:
            os.kill(os.getpid(), number)


def _converse(terminal: int) -> Abilities | None:
    """Ask the questions. Terminals without a name are not asked about kitty's protocol: old ones print the question."""
    if select.select([terminal], [], [], 0)[0]:  # typed ahead
        return None
    answers = _answers(terminal, _NAME + _CELL + _ATTRIBUTES)
    last = _LAST.search(answers)
    if last is None:
        return None
    found = _NAMED.search(answers)
    name, cell = found[1] if found else b"", _cell(terminal, answers)
    if name.startswith(_SPEAK_ITERM2):
        return Abilities("iterm2", cell)
    may_ask = name and not name.startswith(_MULTIPLEXERS)
    if may_ask and _HAS_KITTY in _answers(terminal, _KITTY + _ATTRIBUTES):
        return Abilities("kitty", cell)
    return Abilities("sixel" if _SIXEL in last[1].split(b";") else None, cell)


def _cell(terminal: int, answers: bytes) -> tuple[int, int] | None:
    """The size of a character in pixels, by the system's record of the window or by the answer."""
    import fcntl
    import termios

    sized = _SIZED.search(answers)
    height, width = map(int, sized.groups()) if sized else (0, 0)
    rows, columns, *pixels = struct.unpack("HHHH", fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8)))
    if rows and columns and all(pixels):
        width, height = pixels[0] // columns, pixels[1] // rows
    return (width, height) if width and height else None


def _answers(terminal: int, questions: bytes) -> bytes:
    """Everything that the terminal sends until the last answer, or until the time is over."""
    answers, end = b"", time.monotonic() + _PATIENCE
    if select.select([], [terminal], [], _PATIENCE)[1]:  # it does not, while Ctrl-S stops its output
        os.write(terminal, questions)
        while not _LAST.search(answers) and (left := end - time.monotonic()) > 0:
            if select.select([terminal], [], [], left)[0]:
                answers += os.read(terminal, 4096)
    return answers
