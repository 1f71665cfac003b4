"""Spaces out the requests of all threads, so that they stay below the API's rate limit.

Requests take turns at even intervals, except at the start of each minute: a tenth of its requests go at once, and the
others are a tenth slower. So a small batch is submitted at once, and the last requests of a large one need not wait for
polls. `Rate` tells how long an interval is. A refusal (status 429) closes the gate until its Retry-After has passed;
after it, all intervals are even, because some limits allow no bursts.
May import: core.clock, api.rate.
"""

import random
import threading

from reve_cli.api.rate import WINDOW, Rate
from reve_cli.core.clock import HOUR, Clock, Deadline, Stop

# Longest wait, in seconds, that a Retry-After can cause: a longer one may be a mistake. Urgent requests wait less,
# because the images of paid jobs expire while nobody polls.
LONGEST = HOUR
LONGEST_URGENT = WINDOW
# longest pause, in seconds, after a refusal without Retry-After
_LONGEST_PAUSE = 32.0
# the share of a minute's requests that go at once, in its first seconds
_BURST, _BURST_SECONDS = 0.1, 3.0


class Pace:
    """Gives each request its turn. Any thread may call any method.

    Urgent requests (polls) go before all others that wait: they lead to images that are already paid for.

    most: the user's own limit, in requests per minute; None for none. known, work, share: see `Rate`.
    """

    def __init__(
        self, clock: Clock, most: float | None = None, known: float | None = None, work: int = 0, share: float = 1.0
    ) -> None:
        self._clock, self._rate = clock, Rate(most or float("inf"), known, work, share)
        self._lock = threading.Lock()
        # when the next turn is free
        self._next = self._next_urgent = 0.0
        # when this minute began, how many requests may still go at once, and whether none do any more
        self._minute, self._at_once, self._is_even = -WINDOW, 0, False
        # when the gate opens after a refusal; for urgent requests it is never later than for others
        self._opens = self._opens_urgent = 0.0
        # seconds to wait after a refusal without Retry-After; doubled until a request succeeds
        self._pause = 1.0

    @property
    def per_second(self) -> float:
        """Requests per second at present."""
        return self._rate.per_minute / 60

    @property
    def learned(self) -> float | None:
        """Requests per minute to begin with next time; None if nothing was learned."""
        with self._lock:
            return self._rate.learned

    def wait(self, stop: Stop, deadline: Deadline, *, urgent: bool = False) -> None:
        """Wait for the turn of one request, or until `stop` or `deadline`.

        urgent: take the next turn of all; later requests wait longer to make up for it. A Retry-After delays an urgent
            request by `LONGEST_URGENT` at most.
        """
        while True:
            with self._lock:
                now = self._clock.monotonic()
                turn = max(now, self._next_urgent if urgent else self._next, self._gate(urgent))
                interval = self._interval(turn)
                if urgent:
                    self._next_urgent = turn + interval
                if turn >= self._opens:  # an urgent request takes no turn from others while the gate is closed to them
                    self._next = max(turn, self._next) + interval
            self._clock.sleep(min(turn - now, max(0.0, deadline.left)), stop)
            if stop or deadline.passed or self._clock.monotonic() >= self._gate(urgent):
                return

    def _interval(self, turn: float) -> float:
        """Seconds from this turn to the next."""
        interval = WINDOW / self._rate.per_minute
        if self._is_even:
            return interval
        if turn >= self._minute + WINDOW:
            self._minute, self._at_once = turn, int(self._rate.per_minute * _BURST)
        self._at_once -= 1
        return 0.0 if self._at_once > 0 and turn < self._minute + _BURST_SECONDS else interval / (1 - _BURST)

    def _gate(self, urgent: bool) -> float:
        return self._opens_urgent if urgent else self._opens

    def passed(self) -> None:
        """Record that the API did not refuse a request."""
        with self._lock:
            now = self._clock.monotonic()
            self._pause = 1.0
            # the few urgent requests that pass a closed gate say nothing about the limit
            self._rate.passed(now, may_grow=now >= self._opens)

    def refused(self, seconds: float) -> None:
        """Record that the API refused a request for its rate. `seconds`: its Retry-After, 0 if it has none."""
        with self._lock:
            now, self._is_even = self._clock.monotonic(), True
            if now >= self._opens_urgent:  # else it was sent before the gate closed: part of the same refusal
                self._rate.refused(now, seconds)
                seconds = max(seconds, self._pause)
                self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            self._opens_urgent = max(self._opens_urgent, now + min(seconds, LONGEST_URGENT))
            pause = min(seconds, LONGEST) * random.uniform(1, 1.05)  # noqa: S311 - spreads the threads
            self._opens = max(self._opens, now + pause)
            self._next = max(self._next, self._opens)
