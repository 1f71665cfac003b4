"""How many requests per minute the API allows, learned from its answers.

The documented limit (500) is second-hand, may differ between accounts, and is shared with every other program that uses
the key. So the rate starts just below it, or at what an earlier run learned, and adapts:

- A refusal (status 429) shows the limit: the number of requests that succeeded in the last minute.
- After a refusal the rate drops a little below this limit, and soon grows back to just under it.
- From there it grows very slowly, to find out whether the limit has risen.
- After many requests without a refusal, the old limit is forgotten and the rate grows faster.
- If nothing is known and there is work for minutes, the rate grows from the first request. With less work it does not:
  a refusal holds up the polls for the rest of the minute.

May import: nothing of ours.
"""

from collections import deque

# requests per minute before anything is known
START = 497.0
# the rate never falls below this many requests per minute
_LEAST = 6.0
# it does not begin lower than this, because what an earlier run learned may have been an outage
_LEAST_KNOWN = 30.0
# seconds over which the API counts requests
WINDOW = 60.0
# this many requests are work for minutes
_MANY = 1000

# A refusal shows the limit only if requests were counted for this many seconds, and this many of them succeeded.
# Otherwise it at most halves the rate.
_MIN_SECONDS = 20.0
_MIN_REQUESTS = 10
# If the rate grew from the first request, and the API counts over less than a minute, the limit is at least the rate of
# the last 10 s.
_SHORT = 10.0
# the rate then grows to no more than this many times the rate of the last 10 s: something else may hold up requests
_USED = 2.0
# if processes share the rate, none grows for this many windows: the others may not all work
_SHARED_WINDOWS = 4
# if nothing was refused, the next run begins at the last rate, but at no more than this many times what has succeeded
_ABOVE = 1.1
# a refusal lowers a known limit to no less than this share, because it may have another cause
_FALL = 0.9
# the share of the limit to continue with after a refusal, so that the next window stays below it
_MARGIN = 0.95
# the share of the limit that the rate soon returns to
_HOLD = 0.98
# requests without a refusal after which the limit is forgotten; until more requests than the limit succeed in one
# window, the rate then grows to no more than this many times the limit
_CALM, _BEYOND = 200, 1.2

# Growth of the rate with each request that succeeds. Growth depends on requests, not on time, so refusals are the same
# share of requests whatever the limit is.
_RETURN = 0.002  # up to the share _HOLD of the limit
_PROBE = 0.0002  # beyond that share
_FORGOTTEN = 0.006  # with a forgotten limit, or from a low rate that an earlier run learned
_UNKNOWN = 0.0005  # if nothing was refused for the first whole window
_EAGER = 0.003  # if nothing is known and there is work for minutes


class Rate:
    """The request rate. Not thread-safe: `Pace` holds a lock. Times are monotonic seconds.

    most: the user's own limit, in requests per minute. known: what an earlier run learned. work: the number of requests
    that are to come. share: the part of the work that this process does, if others do the rest with the same key at
    the same time. Each begins with that part of the rate, and none grows soon, so that they end at about the same time.
    per_minute: the rate at present.
    """

    def __init__(self, most: float, known: float | None = None, work: int = 0, share: float = 1.0) -> None:
        self._most, self._is_shared = most, share < 1
        begin = max(known or START, _LEAST_KNOWN) * share * (_HOLD if self._is_shared else 1)
        self.per_minute = max(_LEAST, min(begin, most))
        # a rate above its share grows no faster than one at its share, so that shares become equal again
        self._fair = self.per_minute if self._is_shared else float("inf")
        self._is_eager = known is None and work >= _MANY and not self._is_shared
        self._limit: float | None = None
        # when the first request and each request of the last window succeeded
        self._first: float | None = None
        self._recent: deque[float] = deque()
        # requests that succeeded since the last refusal, and the most of them in one window
        self._calm = self._best = 0

    @property
    def learned(self) -> float | None:
        """The rate to begin with next time; None if nothing was learned, or others may have used the rate as well."""
        if self._is_shared:
            return None
        if self._limit is not None:
            return max(self._limit, self._best) * _HOLD
        return min(self.per_minute, self._best * _ABOVE) if self._best > START else None

    def passed(self, now: float, *, may_grow: bool) -> None:
        """Record a request that was not refused. The rate grows if `may_grow`."""
        self._forget(now)
        self._first = now if self._first is None else self._first
        self._recent.append(now)
        self._best = max(self._best, min(len(self._recent), self._calm + 1))
        if may_grow:
            self._calm += 1
            step = min(self.per_minute, self._fair) * self._growth(now)
            self.per_minute = min(self.per_minute + step, self._most)

    def refused(self, now: float, seconds: float) -> None:
        """Lower the rate after a refusal. `seconds`: its Retry-After, 0 if it has none."""
        self._forget(now)
        counted = min(WINDOW, now - (self._first or now) + seconds)
        limit = len(self._recent) * WINDOW / max(counted, 1.0)
        if counted < _MIN_SECONDS or len(self._recent) < _MIN_REQUESTS:
            limit = max(limit, self.per_minute / 2)
        if self._is_eager and counted < WINDOW - 1:
            latest = sum(at > now - _SHORT for at in self._recent)
            limit = max(limit, latest * WINDOW / (_SHORT + max(seconds, 1.0)))
        self._is_eager = False
        self._limit = max(_LEAST, limit, (self._limit or 0.0) * _FALL)
        self.per_minute = max(_LEAST, min(self.per_minute, self._limit) * _MARGIN)
        self._calm = self._best = 0

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0] <= now - WINDOW:
            self._recent.popleft()

    def _growth(self, now: float) -> float:
        if self._limit is None:
            if self._is_eager:
                enough = int(self.per_minute / _USED * _SHORT / WINDOW)
                return _EAGER if len(self._recent) > enough and self._recent[-enough - 1] > now - _SHORT else 0.0
            if self._first is None or now - self._first <= WINDOW * (_SHARED_WINDOWS if self._is_shared else 1):
                return 0.0
            return _UNKNOWN if self.per_minute >= START else _FORGOTTEN
        if self._calm > _CALM:
            return 0.0 if self._best <= self._limit < self.per_minute / _BEYOND else _FORGOTTEN
        return _PROBE if self.per_minute > self._limit * _HOLD else _RETURN
