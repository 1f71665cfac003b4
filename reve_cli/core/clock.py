"""Time, waiting and stopping. Tests replace all three.

Worker threads wait with `Clock.sleep` and check `Stop` before any step that cannot be undone. The main thread waits
with `Clock.receive`. Only the main thread calls `Stop.now`.

May import: nothing of ours.
"""

import queue
import threading
import time
from dataclasses import dataclass
from typing import TypeVar

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0  # in seconds

T = TypeVar("T")

_SLICE_SECONDS = 0.25  # longest wait of the main thread: Windows delivers Ctrl-C only between waits
_LONGEST_WAIT = 30 * DAY  # accepted as a time-out by every system call


class Stop:
    """Tells workers to stop: no new POST and no further poll. Only the signal handler sets `signum`."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self._event = threading.Event()

    def __bool__(self) -> bool:
        return self.signum is not None or self._event.is_set()

    def now(self) -> None:
        """Tell every worker to stop. Do not call it in a signal handler, because it takes a lock."""
        self._event.set()

    def wait(self, seconds: float) -> None:
        """Wait, at most until `now` is called."""
        self._event.wait(seconds)


class Clock:
    """The system's clocks, in seconds."""

    def monotonic(self) -> float:
        """Time that never jumps, for measuring waits."""
        return time.monotonic()

    def now(self) -> float:
        """Wall time, since the epoch."""
        return time.time()

    def uptime(self) -> float:
        """Time since the machine started, including sleep, which nobody can set. Wall time without such a clock."""
        boottime = getattr(time, "CLOCK_BOOTTIME", None)
        return self.now() if boottime is None else time.clock_gettime(boottime)

    def sleep(self, seconds: float, stop: Stop) -> None:
        """Sleep in a worker thread, at most until `stop`."""
        stop.wait(seconds)

    def receive(self, inbox: "queue.SimpleQueue[T]", seconds: float, idle: bool) -> T | None:
        """Return the next item of `inbox`, or None after `seconds`. idle: no worker is busy."""
        del idle  # only the tests' clock needs it, to know when time may jump
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            try:
                return inbox.get(timeout=max(0.0, min(left, _SLICE_SECONDS)))
            except queue.Empty:
                if left <= _SLICE_SECONDS:
                    return None


class Deadline:
    """The time limit of a whole command. `seconds` is infinite for no limit."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.seconds = seconds
        self._clock = clock
        self._end = clock.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, never more than the system can wait for."""
        return min(self._end - self._clock.monotonic(), _LONGEST_WAIT)

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return self.left <= 0


@dataclass(frozen=True)
class Limits:
    """Limits of one run, in seconds or as counts.

    connect: for a connection. silence: between two parts of an answer. tries: how often an optional request is sent.
    grace: for an unanswered POST after a signal. images: in one batch; a million takes a week at 100 a minute.
    image_bytes: the size of an image, while no larger one was seen.
    """

    connect: float = 10.0
    silence: float = 30.0
    tries: int = 5
    grace: float = 3.0
    images: int = 1_000_000
    image_bytes: int = 4 << 20
