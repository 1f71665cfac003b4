"""Obstacles: causes that keep all requests of a kind waiting, such as a rate limit or an outage.

They are kept for people who wait: a batch shows them beside its progress.
May import: core.clock.
"""

import threading
from dataclasses import dataclass

from reve_cli.core.clock import Clock

# seconds without success before a wait is shown as an obstacle
_LASTING = 5.0
# an obstacle is dropped this many seconds after its next try was due: nobody is trying any more
_OVERDUE = 90.0
# seconds before the same obstacle is announced again
_SILENCE = 10.0


@dataclass(frozen=True)
class _Wait:
    """Requests of one method waiting for one cause. `since` and `until` (the next try) are monotonic seconds."""

    since: float
    until: float
    cause: str


class Obstacles:
    """Records which requests fail at present, and why. Any thread may call any method.

    GET and POST are recorded apart, because a GET may succeed while every POST is refused.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waits: dict[str, _Wait] = {}
        self._announced: dict[str, float] = {}

    def met(self, method: str, seconds: float, cause: str) -> None:
        """Record that a request failed and is tried again in `seconds`."""
        with self._lock:
            now = self._clock.monotonic()
            before = self._waits.get(method)
            self._waits[method] = _Wait(before.since if before else now, now + seconds, cause)

    def passed(self, method: str, started: float) -> None:
        """Record that a request sent at `started` succeeded. It ends the obstacle unless it was sent before it."""
        with self._lock:
            if method in self._waits and self._waits[method].since <= started:
                del self._waits[method]

    def is_news(self, cause: str) -> bool:
        """Whether to announce `cause` now. Returns False for some seconds afterwards."""
        with self._lock:
            now = self._clock.monotonic()
            is_news = now - self._announced.get(cause, -_SILENCE) >= _SILENCE
            if is_news:
                self._announced[cause] = now
            return is_news

    def tell(self) -> str:
        """Describe the obstacle with the longest wait, as in `rate limit reached: waiting 2 min`; empty if none."""
        now = self._clock.monotonic()
        with self._lock:
            waits = [wait for wait in self._waits.values() if wait.since + _LASTING <= now < wait.until + _OVERDUE]
        if not waits:
            return ""
        longest = max(waits, key=lambda wait: wait.until)
        minutes = (longest.until - now) / 60
        return f"{longest.cause}: waiting" + (f" {minutes:.0f} min" if minutes > 1 else "")
