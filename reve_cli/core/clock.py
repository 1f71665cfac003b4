"""Time, waiting and being told to stop: the three things that tests make up. Imports the standard library only.

Worker threads wait with `Clock.sleep` and look at `Stop` before anything that cannot be taken back. The main thread
waits with `Clock.receive` and is the only one that calls `Stop.now`.
"""

import queue
import threading
import time
from dataclasses import dataclass
from typing import TypeVar

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0  # in seconds

T = TypeVar("T")

_SLICE = 0.25
"""Longest uninterrupted wait of the main thread, in seconds: Windows delivers Ctrl-C only between waits."""

_LONGEST_WAIT = 30 * DAY
"""Seconds of one wait that every call of every system takes."""


class Stop:
    """Whether to wind down: no new POST, no further poll. `signum` is set by the signal handler alone."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self._event = threading.Event()

    def __bool__(self) -> bool:
        return self.signum is not None or self._event.is_set()

    def now(self) -> None:
        """Ask every worker to wind down. Never called in a signal handler: it takes a lock."""
        self._event.set()

    def wait(self, seconds: float) -> None:
        self._event.wait(seconds)


class Clock:
    """The system's clocks, in seconds."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> float:
        """Wall time since the epoch."""
        return time.time()

    def uptime(self) -> float:
        """Since the machine was started, its sleep included: nobody can set it. Wall time where no system tells it."""
        boottime = getattr(time, "CLOCK_BOOTTIME", None)
        return self.now() if boottime is None else time.clock_gettime(boottime)

    def sleep(self, seconds: float, stop: Stop) -> None:
        """Sleep in a worker thread, no longer than until `stop`."""
        stop.wait(seconds)

    def receive(self, inbox: "queue.SimpleQueue[T]", seconds: float, idle: bool) -> T | None:
        """The next item of `inbox`, or None if there is none within `seconds`. `idle`: no worker is at work."""
        del idle  # only a made-up clock needs to know whether time may jump
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            try:
                return inbox.get(timeout=max(0.0, min(left, _SLICE)))
            except queue.Empty:
                if left <= _SLICE:
                    return None


class Deadline:
    """The one time limit of a whole command, infinite for none."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.seconds = seconds
        self._clock = clock
        self._end = clock.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds to wait at most: always a number that can be waited for."""
        return min(self._end - self._clock.monotonic(), _LONGEST_WAIT)

    @property
    def passed(self) -> bool:
        return self.left <= 0


@dataclass(frozen=True)
class Limits:
    """Patience in seconds, and the counts that bound a run.

    tries: how often a request that need not succeed is sent at most.
    images: the most of one batch. A million is a week's work at 100 a minute; more is a slip of the hand.
    """

    connect: float = 10.0
    silence: float = 30.0
    tries: int = 5
    grace: float = 3.0
    images: int = 1_000_000
