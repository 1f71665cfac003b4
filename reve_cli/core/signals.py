"""Handlers for INT, TERM and HUP.

While no job is at stake, a signal ends the process at once. While one is, the first signal only sets a flag, so that
writes finish and messages are printed; the second ends the process at once. In both cases the process dies by the
signal, because a shell loop would continue after an exit with 130. A handler never raises an exception.

May import: core.clock (for types only).
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reve_cli.core.clock import Stop

_WATCHED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


class Signals:
    """The process's signal handlers."""

    def __init__(self) -> None:
        self._stop: Stop | None = None
        self._wake: Callable[[], None] = lambda: None
        self._clean: Callable[[], None] = lambda: None

    def install(self) -> None:
        """Handle every signal that is not ignored already, as with `nohup` or in a script's background job."""
        for signum in _WATCHED:
            if signal.getsignal(signum) != signal.SIG_IGN:
                signal.signal(signum, self._handle)

    def engage(self, stop: "Stop", wake: Callable[[], None], clean: Callable[[], None]) -> None:
        """From now on, a first signal sets `stop.signum` and calls `wake`; a second calls `clean` and ends the process.

        Both functions run inside the handler, so they must not take locks.
        """
        self._stop, self._wake, self._clean = stop, wake, clean

    @contextlib.contextmanager
    def cleaning(self, clean: Callable[[], None]) -> Iterator[None]:
        """Call `clean` at the end of the block, or before a signal ends the process. It must not take locks."""
        self._clean = clean
        try:
            yield
        finally:
            clean()
            self._clean = lambda: None

    @property
    def signum(self) -> int | None:
        """The signal that told this run to stop, or None."""
        return self._stop.signum if self._stop else None

    def disengage(self) -> None:
        """From now on, a signal ends the process at once."""
        self._stop, self._clean = None, lambda: None

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        del frame
        if self._stop is None or self._stop.signum is not None:
            self._clean()
            die(signum)
        else:
            self._stop.signum = signum
            self._wake()


def die(signum: int) -> None:
    """End this process by the signal's default action."""
    if os.name != "nt":
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)
    os._exit(128 + signum)  # Windows, and process 1 of a container, which the kernel does not kill


def die_by_broken_pipe() -> None:
    """End this process like any filter whose reader has closed the pipe."""
    if os.name == "nt":
        os._exit(1)
    die(signal.SIGPIPE)
