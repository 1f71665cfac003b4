"""reve in a process that can be killed at any step, and whose clocks can be moved.

    python -m tests.support.killable [--step N] [--steps FILE] [--signal NAME] [--later SECONDS] [--wall SECONDS]
        [--fast N] [--leap FILE] -- ARGUMENTS

A step is the beginning or the end of a call that leaves Python for the disk, the database or the network: statements of
SQL, fsync, link, unlink, open, write, send, receive, connect. They are counted over all threads.

--step N      send this process a signal (KILL unless `--signal` says otherwise) at its Nth step
--steps FILE  write the names of all steps, one a line
--later S     both clocks are S seconds ahead: what would have to wait need not
--wall S      the wall clock alone is moved, as a user might
--fast N      all clocks run N times as fast: what it would wait for takes less time
--leap FILE   once FILE exists, all clocks are an hour ahead: so a time limit passes when a test says so
"""

import argparse
import os
import queue
import signal
import sys
import threading
import time
from types import FrameType
from typing import IO, Any, TypeVar

T = TypeVar("T")
_CALLS = {
    "execute", "fsync", "link", "replace", "rename", "unlink", "open", "write", "close", "flush", "mkdir",
    "send", "sendall", "recv", "connect", "flock", "truncate",
}  # fmt: skip
_PLACES = ("reve_cli", "httpcore", "socket.py")


class Steps:
    """Counts steps, and ends the process at one of them."""

    def __init__(self, last: int, signum: int, log: IO[str] | None) -> None:
        self._last, self._signum, self._log = last, signum, log
        self._count, self._lock = 0, threading.Lock()

    def profile(self, frame: FrameType, event: str, call: Any) -> None:
        if event[:2] != "c_" or call.__name__ not in _CALLS or isinstance(getattr(call, "__self__", None), str | bytes):
            return
        if not any(place in frame.f_code.co_filename for place in _PLACES):
            return
        with self._lock:
            self._count += 1
            number = self._count
            if self._log:
                self._log.write(f"{event[2:]} {call.__name__} in {frame.f_code.co_name}\n")
        if number == self._last:
            os.kill(os.getpid(), self._signum)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--step", type=int, default=0)
    parser.add_argument("--steps")
    parser.add_argument("--signal", default="SIGKILL")
    parser.add_argument("--later", type=float, default=0.0)
    parser.add_argument("--wall", type=float, default=0.0)
    parser.add_argument("--fast", type=float, default=1.0)
    parser.add_argument("--leap")
    split = sys.argv.index("--")
    options, arguments = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1 :]

    from reve_cli.core.signals import Signals

    signals = Signals()
    signals.install()
    from reve_cli.app import run
    from reve_cli.core.clock import Clock, Limits, Stop
    from reve_cli.core.process import Process

    begun = time.monotonic()

    class Moved(Clock):
        def _ahead(self) -> float:
            leap = 3600 if options.leap and os.path.exists(options.leap) else 0
            return float((time.monotonic() - begun) * (options.fast - 1) + leap)

        def monotonic(self) -> float:
            return super().monotonic() + self._ahead()

        def now(self) -> float:
            return float(time.time() + options.later + options.wall + self._ahead())

        def uptime(self) -> float:
            return float(super().uptime() + options.later + self._ahead())

        def sleep(self, seconds: float, stop: Stop) -> None:
            super().sleep(seconds / options.fast, stop)

        def receive(self, inbox: "queue.SimpleQueue[T]", seconds: float, idle: bool) -> T | None:
            if not options.leap:
                return super().receive(inbox, seconds / options.fast, idle)
            end = self.monotonic() + seconds
            while (then := super().receive(inbox, 0.02, idle)) is None and self.monotonic() < end:
                pass
            return then

    # A busy machine must not look like a silent server, so the limit of silence is the usual one.
    process = Process(signals, clock=Moved(), limits=Limits(tries=3, grace=1))
    with open(options.steps or os.devnull, "w") as log:
        if options.step or options.steps:
            steps = Steps(options.step, getattr(signal, options.signal), log if options.steps else None)
            threading.setprofile(steps.profile)
            sys.setprofile(steps.profile)
        code = run(arguments, process)
        sys.setprofile(None)
        threading.setprofile(None)
    sys.exit(code)


if __name__ == "__main__":
    main()
