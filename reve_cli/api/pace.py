"""How fast to ask: as fast as the API lets us, found out from its refusals, for all threads together.

The documented limit is second-hand, may be another for each account, and is shared with whatever else uses the key. So
requests are spread evenly from the start, at the rate that is heard of; a 429 says what the limit really is: what got
through in the last minute; and without one the rate creeps upward, ever more slowly where a limit has been met before.
Imports `clock`.
"""

import random
import threading
from collections import deque

from reve_cli.core.clock import HOUR, MINUTE, Clock, Deadline, Stop

START = 490.0
"""Requests a minute before anything is known: just under the 500 that are heard of."""
_LEAST = 6.0
_WINDOW = MINUTE
"""Seconds over which limits are counted."""
LONGEST = HOUR
"""Seconds that are waited at a time at most, whatever a refusal asks for: it may be a mistake, and"""
LONGEST_URGENT = _WINDOW
"""seconds that urgent requests are: the images of jobs that are paid for expire while nobody asks."""
_TELLING = 20.0
"""Seconds that a refusal must be about to tell the limit, and"""
_ENOUGH = 10
"""requests that got through in them; else the rate is halved at most."""
_FALL = 0.9
"""Of a limit that was found: the least that the next refusal makes of it, which may have had another reason."""
_MARGIN = 0.95
"""Of the limit that a refusal tells: to go on with, so that the next window is not over it as well."""
_HOLD = 0.98
"""Of that limit: what the rate soon comes back to."""
_RETURN = 0.002
"""Growth up to there with each request that gets through. So growth, and refusals with it, take their share of
requests, whatever the limit."""
_PROBE = 0.0002
"""Growth beyond."""
_CALM = 200
"""Requests without a refusal after which that limit is forgotten: it was raised, or others use less of it."""
_FREE = 0.006
"""Growth from then on, until there is another refusal."""
_UNKNOWN = 0.0005
"""Growth where nothing has been refused for a whole window."""
_LONGEST_PAUSE = 32.0
"""Seconds of the longest pause that is made where no refusal asks for one."""


class Pace:
    """Lets requests through one by one, at a rate that follows the API's limit. Any thread may call any method.

    most: requests a minute that are never exceeded, None for none of our own.
    """

    def __init__(self, clock: Clock, most: float | None = None) -> None:
        self._clock, self._most = clock, most or float("inf")
        self._rate = min(START, self._most)
        self._lock = threading.Lock()
        self._next = self._next_urgent = 0.0
        self._closed_until = self._urgent_closed_until = 0.0
        """When requests may go on after a refusal; urgent ones are never held back longer than others."""
        self._begun: float | None = None
        self._calm = 0
        """Requests that got through since the last refusal."""
        self._limit: float | None = None
        """Requests a minute that got through when the API last refused one."""
        self._passed: deque[float] = deque()
        """When requests of the last window got through."""
        self._pause = 1.0
        """Seconds to wait after a refusal that does not ask for more: doubled until something gets through."""

    @property
    def per_second(self) -> float:
        """Requests a second at present."""
        return self._rate / 60

    def wait(self, stop: Stop, deadline: Deadline, *, urgent: bool = False) -> None:
        """Wait for the turn of one request, no longer than until `stop` or `deadline`.

        urgent: before all that are waiting and are not urgent, which those that come later make up for. It is a
        question that may lead to what is paid for, so no refusal holds it back for more than `LONGEST_URGENT`.
        """
        while True:
            with self._lock:
                now, apart = self._clock.monotonic(), 60 / self._rate
                turn = max(now, self._next_urgent if urgent else self._next, self._opens(urgent))
                if urgent:
                    self._next_urgent = turn + apart
                if turn >= self._closed_until:  # what goes while others may not takes nothing from them
                    self._next = max(turn, self._next) + apart
            self._clock.sleep(min(turn - now, max(0.0, deadline.left)), stop)
            if stop or deadline.passed or self._clock.monotonic() >= self._opens(urgent):
                return

    def _opens(self, urgent: bool) -> float:
        return self._urgent_closed_until if urgent else self._closed_until

    def passed(self) -> None:
        """A request was let through by the API."""
        with self._lock:
            now = self._forget_old()
            self._begun = now if self._begun is None else self._begun
            self._passed.append(now)
            self._pause = 1.0
            if now >= self._closed_until:  # the few that go on meanwhile tell nothing of the limit
                self._calm += 1
                self._rate = min(self._rate * (1 + self._growth(now)), self._most)

    def refused(self, seconds: float) -> None:
        """A request was refused for its rate, and none is wanted for `seconds`, 0 where that is not said."""
        with self._lock:
            now = self._forget_old()
            if now >= self._urgent_closed_until:  # not one that was on its way when the first was refused
                seen = min(_WINDOW, now - (self._begun or now) + seconds)
                limit = len(self._passed) * _WINDOW / max(seen, 1.0)
                if seen < _TELLING or len(self._passed) < _ENOUGH:
                    limit = max(limit, self._rate / 2)
                self._limit = max(_LEAST, limit, (self._limit or 0.0) * _FALL)
                self._rate = max(_LEAST, min(self._rate, self._limit) * _MARGIN)
                seconds = max(seconds, self._pause)
                self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            self._urgent_closed_until = max(self._urgent_closed_until, now + min(seconds, LONGEST_URGENT))
            pause = min(seconds, LONGEST) * random.uniform(1, 1.05)  # noqa: S311 - spreads
            self._closed_until = max(self._closed_until, now + pause)
            self._next = max(self._next, self._closed_until)
            self._calm = 0

    def _forget_old(self) -> float:
        """Forget what got through before the last window. Returns what time it is."""
        now = self._clock.monotonic()
        while self._passed and self._passed[0] <= now - _WINDOW:
            self._passed.popleft()
        return now

    def _growth(self, now: float) -> float:
        if self._limit is None:
            return _UNKNOWN if self._begun is not None and now - self._begun > _WINDOW else 0.0
        if self._calm > _CALM:
            return _FREE
        return _PROBE if self._rate > self._limit * _HOLD else _RETURN
