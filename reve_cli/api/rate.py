"""How many requests per minute the API allows, learned from its answers.

The documented limit (500) is second-hand, may differ between accounts, and is shared with every other program that uses
the key. So the rate starts just below it and adapts:

- A refusal (status 429) shows the limit: the number of requests that succeeded in the last minute.
- After a refusal the rate drops a little below this limit, and soon grows back to just under it.
- From there it grows very slowly, to find out whether the limit has risen.
- After many requests without a refusal, the old limit is forgotten and the rate grows faster.

May import: nothing of ours.
"""

from collections import deque

# requests per minute before anything is known
START = 490.0
# the rate never falls below so many requests per minute
_LEAST = 6.0
# seconds over which the API counts requests
WINDOW = 60.0

# A refusal shows the limit only if requests were counted for so many seconds and so many of them succeeded. Otherwise
# it at most halves the rate.
_MIN_SECONDS = 20.0
_MIN_REQUESTS = 10
# a refusal lowers a known limit to no less than this share, because it may have another cause
_FALL = 0.9
# the share of the limit to continue with after a refusal, so that the next window stays below it
_MARGIN = 0.95
# the share of the limit that the rate soon returns to
_HOLD = 0.98
# requests without a refusal after which the limit is forgotten
_CALM = 200

# Growth of the rate with each request that succeeds. Growth depends on requests, not on time, so refusals are the same
# share of requests whatever the limit is.
_RETURN = 0.002  # up to the share _HOLD of the limit
_PROBE = 0.0002  # beyond that share
_FORGOTTEN = 0.006  # with a forgotten limit
_UNKNOWN = 0.0005  # if nothing was refused for the first whole window


class Rate:
    """The request rate. Not thread-safe: `Pace` holds a lock. Times are monotonic seconds.

    most: the user's own limit, in requests per minute.
    per_minute: the rate at present.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self.per_minute = min(START, most)
        self._limit: float | None = None
        # when the first request and each request of the last window succeeded
        self._first: float | None = None
        self._recent: deque[float] = deque()
        # requests that succeeded since the last refusal
        self._calm = 0

    def passed(self, now: float, *, may_grow: bool) -> None:
        """Record a request that was not refused. The rate grows if `may_grow`."""
        self._forget(now)
        self._first = now if self._first is None else self._first
        self._recent.append(now)
        if may_grow:
            self._calm += 1
            self.per_minute = min(self.per_minute * (1 + self._growth(now)), self._most)

    def refused(self, now: float, seconds: float) -> None:
        """Lower the rate after a refusal. `seconds`: its Retry-After, 0 if it has none."""
        self._forget(now)
        counted = min(WINDOW, now - (self._first or now) + seconds)
        limit = len(self._recent) * WINDOW / max(counted, 1.0)
        if counted < _MIN_SECONDS or len(self._recent) < _MIN_REQUESTS:
            limit = max(limit, self.per_minute / 2)
        self._limit = max(_LEAST, limit, (self._limit or 0.0) * _FALL)
        self.per_minute = max(_LEAST, min(self.per_minute, self._limit) * _MARGIN)
        self._calm = 0

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0] <= now - WINDOW:
            self._recent.popleft()

    def _growth(self, now: float) -> float:
        if self._limit is None:
            return _UNKNOWN if self._first is not None and now - self._first > WINDOW else 0.0
        if self._calm > _CALM:
            return _FORGOTTEN
        return _PROBE if self.per_minute > self._limit * _HOLD else _RETURN
