"""Runs reve with a clock that is FACTOR times as fast: `python tests/bench/fast.py FACTOR ARGUMENTS`.

Waiting takes less time; computing does not. The last line on stderr has the CPU seconds and the peak memory in MiB.
"""

import contextlib
import queue
import re
import resource
import sys
import time
from pathlib import Path
from typing import TypeVar

from reve_cli.core.signals import Signals

T = TypeVar("T")


def peak(most: int) -> float:
    """Peak memory in MiB. most: by the system, in KiB; on Linux it includes that of the parent process at the start."""
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text()):
            return int(found[1]) / 1024
    return most / 1024


def main() -> None:
    factor = float(sys.argv[1])
    signals = Signals()
    signals.install()
    from reve_cli.app import run
    from reve_cli.core.clock import Clock, Stop
    from reve_cli.core.process import Process

    class Fast(Clock):
        _wall, _start = time.time(), time.monotonic()

        def monotonic(self) -> float:
            return self._start + (time.monotonic() - self._start) * factor

        def now(self) -> float:
            return self._wall + (time.time() - self._wall) * factor

        def uptime(self) -> float:
            return self.monotonic()

        def sleep(self, seconds: float, stop: Stop) -> None:
            super().sleep(seconds / factor, stop)

        def receive(self, inbox: "queue.SimpleQueue[T]", seconds: float, idle: bool) -> T | None:
            return super().receive(inbox, seconds / factor, idle)

    code = run(sys.argv[2:], Process(signals, clock=Fast()))
    used = resource.getrusage(resource.RUSAGE_SELF)
    sys.stderr.write(f"used {used.ru_utime + used.ru_stime:.2f} {peak(used.ru_maxrss):.1f}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
