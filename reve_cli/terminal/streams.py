"""The standard streams: which are terminals, how text is encoded for them, and writing that never hangs.

May import: nothing of ours.
"""

import errno
import os
import select
import stat
import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

# bytes that a pipe takes at once as soon as it takes any (PIPE_BUF)
PART = 4096
# seconds between two looks at whether to give up
MOMENT = 0.25


def stdin_is_terminal() -> bool:
    return is_terminal(sys.stdin)


def stdout_is_open() -> bool:
    return sys.stdout is not None


def stdout_is_terminal() -> bool:
    return is_terminal(sys.stdout)


def stdout_is_file() -> bool:
    """Whether stdout is a regular file or the null device, which no terminal shows."""
    try:
        status = os.fstat(sys.stdout.fileno())
        return stat.S_ISREG(status.st_mode) or os.path.samestat(status, os.stat(os.devnull))
    except (OSError, ValueError, AttributeError):
        return False


def output_is_terminal() -> bool:
    """Whether stdout and stderr are both terminals."""
    return is_terminal(sys.stdout) and is_terminal(sys.stderr)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether `stream` is a terminal. A closed stream (None) is not."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def can_animate(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Whether `stream` can show a spinner: a terminal with escape sequences and an encoding with its characters."""
    return stream is not None and is_terminal(stream) and _is_utf8(stream) and not _is_dumb(environ)


def shows_blocks(environ: Mapping[str, str]) -> bool:
    """Whether stdout can show colored block characters."""
    return can_animate(sys.stdout, environ) and not environ.get("NO_COLOR")


def _is_utf8(stream: TextIO) -> bool:
    return stream.encoding.lower().replace("-", "") == "utf8"


def _is_dumb(environ: Mapping[str, str]) -> bool:
    """Whether the terminal may lack escape sequences. An unset TERM counts: CI systems often set none."""
    return os.name != "nt" and environ.get("TERM") in (None, "", "dumb")


def encode_text(text: str) -> bytes:
    """Encode text for stdout, with escapes for characters that its encoding lacks."""
    encoding = (sys.stdout and sys.stdout.encoding) or "utf-8"
    try:
        return text.encode(encoding, "surrogateescape")
    except UnicodeEncodeError:
        return text.encode(encoding, "backslashreplace")


def printable(text: str) -> str:
    """`text` as stdout will show it: with escapes for characters that its encoding lacks."""
    encoding = (sys.stdout and sys.stdout.encoding) or "utf-8"
    return encode_text(text).decode(encoding, "surrogateescape")


def encode_path(text: str) -> bytes:
    """Encode text as the file system encodes names, whatever the encoding of stdout: a printed path can be opened."""
    try:
        return os.fsencode(text) if os.name != "nt" else encode_text(text)
    except UnicodeEncodeError:
        return encode_text(text)


def write(stream: TextIO, data: bytes, gave_up: Callable[[], bool]) -> None:
    """Write all of `data`. While the reader does not read, wait until `gave_up` returns True.

    Raises TimeoutError after giving up, BrokenPipeError if the reader left, OSError for other failures.
    """
    stream.flush()
    file: Any = getattr(stream.buffer, "raw", stream.buffer)
    left = memoryview(data)
    while left:
        if os.name != "nt" and not _is_writable(file):
            if gave_up():
                raise TimeoutError(errno.ETIMEDOUT, "its reader does not read")
            continue
        left = left[file.write(left[:PART]) or 0 :]


def _is_writable(file: Any) -> bool:
    """Wait up to a moment for `file` to take a part. Returns whether it does."""
    try:
        return bool(select.select([], [file], [], MOMENT)[1])
    except (OSError, ValueError):  # not a descriptor, or one that select does not support
        return True


def write_stderr(text: str, gave_up: Callable[[], bool]) -> None:
    """Write text to stderr, with escapes for characters that its encoding lacks. Raises OSError."""
    write(sys.stderr, text.encode(sys.stderr.encoding, "backslashreplace"), gave_up)


def discard_stdout() -> None:
    """Send further output to the null device: the interpreter flushes stdout at exit and would fail again."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
    except OSError:
        pass
