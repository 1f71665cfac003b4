"""Sends a request again and again until it is answered, refused or out of time.

What an answer means is decided in `judging`; this module decides when to try again and when to stop.
May import: core.clock, core.errors, api.answers, api.http, api.judging, api.obstacles, api.pace. Loads httpx.
"""

import random
from collections.abc import Callable
from typing import TypeVar

from reve_cli.api.answers import Answer, Failure
from reve_cli.api.http import Http, Request, Say
from reve_cli.api.judging import Verdict, error_of, judge, obstacle_of, settled
from reve_cli.api.obstacles import Obstacles
from reve_cli.api.pace import LONGEST, LONGEST_URGENT, Pace
from reve_cli.core.clock import Deadline
from reve_cli.core.errors import ReveError

T = TypeVar("T")

# as a number of tries: until the deadline
FOREVER = float("inf")
# waits longer than this, in seconds, are announced
_LOUD_WAIT = 2.0
_CONFLICT_TRIES = 3
_LONGEST_BACKOFF = 30.0


class Sender:
    """Sends requests through one `Http` until they are answered. Any thread may use it.

    say: prints a note.
    pace: the request rate for a command with many requests, which also shows `obstacles` itself.
    obstacles: the reasons why requests are not getting through.
    """

    def __init__(self, http: Http, say: Say) -> None:
        self.http = http
        self.pace: Pace | None = None
        self.obstacles = Obstacles(http.clock)
        self._say = say
        self._trouble: str | None = None

    @property
    def trouble(self) -> str | None:
        """Why the newest try has no usable answer (yet), for a message about a time limit; None if it has one."""
        if self.http.is_connecting:
            return f"still connecting to {self.http.base_url}: the server or its name server does not answer"
        return self._trouble

    def send(
        self,
        request: Request,
        read: Callable[[Answer], T | None],
        deadline: Deadline,
        *,
        tries: float,
        before: Callable[[], None] = lambda: None,
        leaving: Callable[[], None] = lambda: None,
        perhaps: bool = False,
    ) -> T:
        """Send a request, with the same bytes on every try, until `read` returns something for its answer.

        Args:
            read: extracts the result from an answer; returns None if the answer does not hold it.
            tries: how often to try. With `FOREVER`, it tries until the deadline; otherwise it also stops if the next
                try would be after the deadline.
            before: called before every try; an error that it raises prevents the try.
            leaving: called just before the first byte of a try leaves, see `Http.exchange`.
            perhaps: an earlier process may have sent this POST, and it may have been accepted.

        Raises `ReveError`: `unsettled` (exit code 75) if any try may have been accepted, else the last error.
        """
        http = self.http
        number = conflicts = 0
        conflict: ReveError | None = None
        error = ReveError("timed_out", f"the time limit of {deadline.seconds:g} s passed before the request was sent")
        while True:
            if http.stop or deadline.passed:
                if number == 0 and http.stop.signum is not None:
                    error = ReveError("interrupted", "interrupted before the request was sent")
                raise settled(conflict or error, perhaps)
            if self.pace and not self._is_turn(self.pace, request, deadline):
                continue
            try:
                before()
            except ReveError as refused:
                raise settled(refused, perhaps) from refused
            number += 1
            started = http.clock.monotonic()
            outcome = http.exchange(request, deadline, leaving)
            self._adjust_pace(outcome)
            result = read(outcome) if isinstance(outcome, Answer) else None
            verdict, code = judge(request.method, outcome, result is not None)
            if verdict in (Verdict.OK, Verdict.REFUSED):
                self.obstacles.passed(request.method, started)
            if result is not None and verdict is Verdict.OK:
                self._trouble = None
                return result
            error = error_of(code, outcome, http.base_url)
            self._trouble = error.message
            perhaps |= verdict in (Verdict.PERHAPS, Verdict.CONFLICT)
            if verdict is Verdict.CONFLICT:
                conflicts, conflict = conflicts + 1, error
            if verdict is Verdict.REFUSED:
                raise settled(conflict or error, perhaps)
            delay = max(backoff(number, verdict), outcome.retry_after(http.clock) if isinstance(outcome, Answer) else 0)
            if self.pace or tries == FOREVER:  # one absurd Retry-After must not end a long run
                delay = min(delay, LONGEST if request.method == "POST" else LONGEST_URGENT)
            if self.pace and code == "rate_limited":
                number -= 1  # the limit concerns all requests: it uses up no try of this one
            obstacle = obstacle_of(code, outcome)
            self.obstacles.met(request.method, delay, obstacle)
            hopeless = delay >= deadline.left or (isinstance(outcome, Failure) and outcome.lasting)
            if number >= tries or conflicts >= _CONFLICT_TRIES or (hopeless and tries != FOREVER):
                raise settled(conflict or error, perhaps)
            if delay > _LOUD_WAIT and not self.pace and self.obstacles.is_news(obstacle):
                self._say(f"{error.message}; trying again in {delay:.0f} s")
            http.clock.sleep(min(delay, max(0.0, deadline.left)), http.stop)

    def _is_turn(self, pace: Pace, request: Request, deadline: Deadline) -> bool:
        """Wait for the request's turn. Returns False if the run ends first.

        A GET goes first: finished images must not wait until others are submitted.
        """
        pace.wait(self.http.stop, deadline, urgent=request.method == "GET")
        return not (self.http.stop or deadline.passed)

    def _adjust_pace(self, outcome: Answer | Failure) -> None:
        if self.pace and isinstance(outcome, Answer):
            if outcome.status == 429:
                self.pace.refused(outcome.retry_after(self.http.clock))
            else:
                self.pace.passed()


def backoff(number: int, verdict: Verdict) -> float:
    """Seconds to wait after try `number`: doubled each time, with jitter.

    If the try may have been accepted, wait at least 2 s: the server needs time to record the idempotency key.
    """
    first = 2.0 if verdict in (Verdict.PERHAPS, Verdict.CONFLICT) else 0.5
    seconds = min(first * 2.0 ** min(number - 1, 10), _LONGEST_BACKOFF)
    return seconds * random.uniform(1, 1.25)  # noqa: S311 - jitter needs no secure randomness
