"""What INT, TERM and HUP do. Imports `clock` for its `Stop`, and the standard library.

Until a job is at stake a signal ends the process at once. From then on the first one only sets a flag, so that what is
being written is finished and said, and the second one leaves at once. Either way the process dies *by the signal*: a
shell loop stops then, where it would go on after an exit with 130. Nothing is ever raised inside other code.
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
        """Take over the signals that are not ignored already (`nohup`, or a background job of a script)."""
        for signum in _WATCHED:
            if signal.getsignal(signum) != signal.SIG_IGN:
                signal.signal(signum, self._handle)

    def engage(self, stop: "Stop", wake: Callable[[], None], clean: Callable[[], None]) -> None:
        """From now on a first signal sets `stop.signum` and calls `wake`; a second calls `clean` and dies.

        Both run inside the handler: they must not take locks.
        """
        self._stop, self._wake, self._clean = stop, wake, clean

    @contextlib.contextmanager
    def cleaning(self, clean: Callable[[], None]) -> Iterator[None]:
        """`clean` is called at the end of this, or before a signal ends the process: it must not take locks."""
        self._clean = clean
        try:
            yield
        finally:
            clean()
            self._clean = lambda: None

    @property
    def signum(self) -> int | None:
        """The signal that this run was told to end by."""
        return self._stop.signum if self._stop else None

    def disengage(self) -> None:
        """Nothing is at stake any more: the next signal ends the process at once."""
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
    """End this process as if the signal had never been handled."""
    if os.name != "nt":
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)
    os._exit(128 + signum)  # Windows; and process 1 of a container, which the kernel spares


def die_by_broken_pipe() -> None:
    """End as a filter does whose reader went away."""
    if os.name == "nt":
        os._exit(1)
    die(signal.SIGPIPE)
