"""How fast to ask: as fast as the API lets us, found out from its refusals, for all threads together.

The documented limit is second-hand, may be another for each account, and is shared with whatever else uses the key. So
requests are spread evenly from the start, at the rate that is heard of; a 429 says what the limit really is: what got
through in the last minute; and without one the rate creeps upward, ever more slowly where a limit has been met before.
Imports `clock`.
"""

import random
import threading
from collections import deque

from reve_cli.clock import Clock, Deadline, Stop

START = 490.0
"""Requests a minute before anything is known: just under the 500 that are heard of."""
_LEAST = 6.0
_WINDOW = 60.0
"""Seconds over which limits are counted."""
_MARGIN = 0.95
"""Of the limit that a refusal tells: to go on with, so that the next window is not over it as well."""
_HOLD = 0.98
"""Of that limit: what the rate soon comes back to."""
_RETURN = 0.01
"""Growth a second up to there."""
_PROBE = 0.001
"""Growth a second beyond."""
_CALM = 30.0
"""Seconds without a refusal after which that limit is forgotten: it was raised, or others use less of it."""
_FREE = 0.05
"""Growth a second from then on, until there is another refusal."""
_TELLING = 20.0
"""Seconds that a refusal must be about to tell the limit; else the rate is halved at most."""
_UNKNOWN = 0.004
"""Growth a second where nothing has been refused for a whole window."""


class Pace:
    """Lets requests through one by one, at a rate that follows the API's limit. Any thread may call any method.

    most: requests a minute that are never exceeded, None for none of our own.
    """

    def __init__(self, clock: Clock, most: float | None = None) -> None:
        self._clock, self._most = clock, most or float("inf")
        self._rate = min(START, self._most)
        self._lock = threading.Lock()
        self._next = self._next_urgent = self._closed_until = 0.0
        self._begun: float | None = None
        self._grown_at = self._refused_at = 0.0
        self._limit: float | None = None
        """Requests a minute that got through when the API last refused one."""
        self._passed: deque[float] = deque()
        """When requests of the last window got through."""

    @property
    def per_second(self) -> float:
        """Requests a second at present."""
        return self._rate / 60

    def wait(self, stop: Stop, deadline: Deadline, *, urgent: bool = False) -> None:
        """Wait for the turn of one request, no longer than until `stop` or `deadline`.

        urgent: before all that are waiting and are not urgent, which those that come later make up for.
        """
        while True:
            with self._lock:
                now, apart = self._clock.monotonic(), 60 / self._rate
                turn = max(now, self._next_urgent if urgent else self._next, self._closed_until)
                if urgent:
                    self._next_urgent = turn + apart
                self._next = max(turn, self._next) + apart
            self._clock.sleep(min(turn - now, max(0.0, deadline.left)), stop)
            if stop or deadline.passed or self._clock.monotonic() >= self._closed_until:
                return

    def passed(self) -> None:
        """A request was let through by the API."""
        with self._lock:
            now = self._clock.monotonic()
            if self._begun is None:
                self._begun = self._grown_at = now
            self._note(now)
            self._passed.append(now)
            self._grow(now)

    def refused(self, seconds: float) -> None:
        """A request was refused for its rate, and none is wanted for `seconds`."""
        with self._lock:
            now = self._clock.monotonic()
            if now >= self._closed_until:  # not one that was on its way when the first was refused
                self._note(now)
                seen = min(_WINDOW, now - (self._begun if self._begun is not None else now) + seconds)
                limit = len(self._passed) * _WINDOW / max(seen, 1.0)
                self._limit = max(_LEAST, limit if seen >= _TELLING else max(limit, self._rate / 2))
                self._rate = max(_LEAST, min(self._rate, self._limit) * _MARGIN)
            pause = max(seconds, 1.0)
            self._closed_until = max(self._closed_until, now + pause * random.uniform(1, 1.05))  # noqa: S311 - spreads
            self._next = max(self._next, self._closed_until)
            self._grown_at = self._refused_at = now

    def _note(self, now: float) -> None:
        while self._passed and self._passed[0] <= now - _WINDOW:
            self._passed.popleft()

    def _grow(self, now: float) -> None:
        seconds, self._grown_at = max(0.0, now - self._grown_at), now
        if self._limit is None:
            growth = _UNKNOWN if self._begun is not None and now - self._begun > _WINDOW else 0.0
        else:
            is_near = self._rate > self._limit * _HOLD
            growth = _FREE if now - self._refused_at > _CALM else _PROBE if is_near else _RETURN
        self._rate = min(self._rate * (1 + growth) ** seconds, self._most)
