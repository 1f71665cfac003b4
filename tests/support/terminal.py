"""A real pseudo-terminal to run commands on, what a person would see on its screen, `reve` on the PATH, and waiting."""

import contextlib
import os
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

if sys.platform != "win32":  # it has none of these; tests that need them are skipped there
    import fcntl
    import pty
    import termios

PATIENCE = 300.0
"""Seconds after which a test gives up waiting: far more than anything here takes."""

_TAKE_THE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


def eventually(condition: Callable[[], Any], what: str) -> None:
    """Wait until `condition` holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.01)


@contextlib.contextmanager
def running(command: Sequence[str], **keywords: Any) -> "Iterator[subprocess.Popen[Any]]":
    """A process, killed at the end of the block if it still runs. Keywords are those of `Popen`."""
    with subprocess.Popen(command, **keywords) as process:
        try:
            yield process
        finally:
            process.kill()


def with_reve_on_path(command: Sequence[str], environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment of a shell in which `reve` is `command`."""
    tools = folder / "bin"
    tools.mkdir(parents=True)
    script = tools / "reve"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    script.chmod(0o755)
    return {**environ, "PATH": f"{tools}{os.pathsep}{environ['PATH']}"}


class Terminal:
    """A command in a session of its own, on a pseudo-terminal that controls it.

    Standard output and error go to the terminal unless `stdout` or `stderr` say otherwise. A context manager: the
    whole session ends with it. answers: what the terminal sends for each question that reaches it. before: its modes
    before the command began.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        columns: int = 80,
        stdout: IO[bytes] | int | None = None,
        stderr: IO[bytes] | int | None = None,
        answers: Mapping[bytes, bytes] | None = None,
    ) -> None:
        self.columns = columns
        self._answers, self._heard = answers or {}, 0
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.before = self.modes
        self.process = subprocess.Popen(
            [sys.executable, "-ISc", _TAKE_THE_TERMINAL, *command],
            stdin=slave,
            stdout=slave if stdout is None else stdout,
            stderr=slave if stderr is None else stderr,
            env={"TERM": "xterm-256color", "REVE_PREVIEW": "never", **env},
            start_new_session=True,
        )
        os.close(slave)
        self._seen = bytearray()
        self._ended, self._closing = threading.Event(), threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the window: nobody reads any more, and nobody types."""
        self._closing.set()
        self._reader.join(PATIENCE)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: nobody has the terminal open any more
            while not self._closing.is_set():
                if select.select([self._master], [], [], 0.05)[0]:
                    self._seen += os.read(self._master, 65536)
                    self._answer()
        self._ended.set()
        self._closing.wait()
        os.close(self._master)

    def _answer(self) -> None:
        """Answer the questions that have arrived, in their order."""
        while found := [(place, each) for each in self._answers if (place := self._seen.find(each, self._heard)) >= 0]:
            place, question = min(found)
            self._heard = place + len(question)
            os.write(self._master, self._answers[question])

    @property
    def seen(self) -> bytes:
        """Every byte that reached the terminal so far."""
        return bytes(self._seen)

    @property
    def screen(self) -> "Screen":
        return Screen(self.seen, self.columns)

    def expect(self, text: str) -> None:
        """Wait until `text` has reached the terminal."""
        eventually(lambda: text.encode() in self._seen or self.process.poll() is not None, f"{text!r}: {self.seen!r}")
        if self.process.poll() is not None:
            self._ended.wait(PATIENCE)
        assert text.encode() in self._seen, f"{text!r} is not in {self.seen!r}"

    @property
    def modes(self) -> list[Any]:
        """How the terminal is set, as termios says it."""
        return termios.tcgetattr(self._master)

    @modes.setter
    def modes(self, modes: list[Any]) -> None:
        termios.tcsetattr(self._master, termios.TCSANOW, modes)

    @property
    def echoes(self) -> bool:
        """Whether it shows what is typed."""
        return bool(self.modes[3] & termios.ECHO)

    def type(self, data: bytes) -> None:
        """What the keyboard sends: 0x03 is Ctrl-C."""
        os.write(self._master, data)

    def wait(self) -> int:
        """Wait for the end of the command. Returns its exit code, negative where it died by a signal."""
        code = self.process.wait(PATIENCE)
        assert self._ended.wait(PATIENCE), "something still has the terminal open"
        return code


class Screen:
    """What is on a terminal after some bytes. Knows only what this program may send and fails for anything else.

    rows: the lines on the screen, one where the terminal had to wrap it in two.
    erased: what stood in each row that was erased.
    styles: the parameters of every colour or style that was set.
    cursor_is_visible: at the end.
    """

    _TOKEN = re.compile(r"\x1b\[(?P<number>[\d;?]*)(?P<letter>[A-Za-z])|(?P<other>.)", re.DOTALL)

    def __init__(self, data: bytes, columns: int) -> None:
        self.erased: list[str] = []
        self.styles: list[str] = []
        self.cursor_is_visible = True
        self._cells: list[list[str]] = [[]]
        self._wrapped: set[int] = set()
        self._row = self._column = 0
        self._columns = columns
        for token in self._TOKEN.finditer(data.decode()):
            if token["letter"]:
                self._control(token["letter"], token["number"])
            elif token["other"] == "\r":
                self._column = 0
            elif token["other"] == "\n":
                self._down()
            else:
                self._put(token["other"])

    @property
    def rows(self) -> list[str]:
        rows: list[str] = []
        for number, cells in enumerate(self._cells):
            if number in self._wrapped:
                rows[-1] += "".join(cells)
            else:
                rows.append("".join(cells))
        return [row.rstrip() for row in rows]

    @property
    def text(self) -> str:
        """The rows, without empty ones at the end."""
        return "\n".join(self.rows).rstrip("\n")

    def _control(self, letter: str, number: str) -> None:
        if letter == "m":
            self.styles.append(number)
        elif letter == "K" and number == "2":
            self.erased.append("".join(self._cells[self._row]))
            assert self._row not in self._wrapped, f"half a line is erased: {self.erased[-1]!r}"
            self._cells[self._row] = []
        elif letter == "A":
            self._row -= int(number or 1)
            assert self._row >= 0, "the cursor leaves the screen"
        elif letter in "hl" and number == "?25":
            self.cursor_is_visible = letter == "h"
        else:
            raise AssertionError(f"this reached the terminal: ESC [ {number}{letter}")

    def _put(self, character: str) -> None:
        category = unicodedata.category(character)
        assert category not in ("Cc", "Cs", "Cf", "Zl", "Zp") or character == "\u200d", f"{character!r} on the terminal"
        cells = self._cells[self._row]
        if category in ("Mn", "Me") or character == "\u200d":
            assert self._column, f"{character!r} has nothing to join"
            cells[self._column - 1] += character
            return
        width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if self._column + width > self._columns:
            self._down()
            self._column = 0
            self._wrapped.add(self._row)
            cells = self._cells[self._row]
        cells += [" "] * (self._column - len(cells))
        cells[self._column : self._column + width] = [character, ""][:width]
        self._column += width

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._cells):
            self._cells.append([])
