"""The counts of a batch while it runs, and the reason why it stops submitting.

May import: core.
"""

from collections import Counter, deque

from reve_cli.core.clock import MINUTE
from reve_cli.core.errors import ReveError, worst
from reve_cli.core.models import plural
from reve_cli.core.tasks import Task

_WINDOW = MINUTE
"""Seconds over which the rate is measured."""


class Tally:
    """Counts how the images of a batch ended. total: all of them. there: those that existed before.

    now: the monotonic time at which the batch started.
    """

    def __init__(self, total: int, there: int, now: float) -> None:
        self.total, self.there = total, there
        self.saved = 0
        self.failures = 0
        """Images that were tried and not saved as requested, for whatever reason."""
        self.failed = 0
        """Failures that are final: `resume` cannot finish them."""
        self.elsewhere = 0
        """Images saved, but not at the requested path, and not to be moved by reve."""
        self.rescued = 0
        """Images in the rescue folder, or not converted."""
        self.retries = 0
        self.spent = 0.0
        """Credits charged by this run."""
        self.pending = 0
        """Charges that are not known yet."""
        self.paid_before: set[int] = set()
        """Indexes of tasks that an earlier run paid for and reported."""
        self.unfinished_runs: set[str] = set()
        """Runs with unfinished jobs; the empty string stands for a job that is not in the journal."""
        self.codes: Counter[int] = Counter()
        """Exit codes of the tasks that ended."""
        self._started = now
        self._saved_at: deque[float] = deque()

    def add(self, task: Task, now: float, *, unbegun: bool) -> None:
        """Count a task that ended. unbegun: nothing was tried for it."""
        error = task.error
        self.codes[error.exit_code if error else 0] += 1
        if error is None:
            self.saved += 1
            self._saved_at.append(now)
        elif not unbegun:
            self.failures += 1
            elsewhere = error.code == "saved_elsewhere" and not task.rescued
            self.elsewhere += elsewhere
            self.rescued += task.rescued
            self.failed += error.exit_code != 75
            if error.exit_code == 75 and not elsewhere:
                self.unfinished_runs.add(task.run or "")
        if task.job_id and not task.replayed and task.index not in self.paid_before:
            self.spent += task.charge or 0.0
            self.pending += task.charge is None
        else:
            self.pending += task.job_id is None and error is not None and error.exit_code == 75
        self.paid_before.discard(task.index)

    @property
    def unfinished(self) -> int:
        """Images that were paid for, or may have been, and are not saved where a user would look."""
        return self.codes[75] - self.elsewhere

    @property
    def unbegun(self) -> int:
        """Images for which nothing was tried."""
        return self.total - self.there - self.saved - self.failed - self.codes[75]

    @property
    def left(self) -> int:
        """Images that are still to be made."""
        return self.total - self.there - self.saved - self.failures

    def elapsed(self, now: float) -> float:
        return now - self._started

    def per_minute(self, now: float) -> float:
        """Images saved per minute, measured over the last minute."""
        while self._saved_at and self._saved_at[0] <= now - _WINDOW:
            self._saved_at.popleft()
        return len(self._saved_at) * MINUTE / max(min(self.elapsed(now), _WINDOW), 1.0)

    def exit_code(self, refusal: ReveError | None) -> int:
        """The worst exit code, including that of the refusal that stopped the batch."""
        return worst([*self.codes, refusal.exit_code if refusal else 0])


def is_unbegun(task: Task) -> bool:
    """Whether nothing was tried for `task`, because the batch stopped first."""
    return task.first_uptime is None and not task.was_sent and task.job_id is None


def is_refused(task: Task, error: ReveError) -> bool:
    """Whether the API refused the request of `task`, and would refuse it again."""
    return task.first_uptime is not None and task.job_id is None and error.code in ("invalid_request", "gateway")


class Stop:
    """Why a batch submits no more. max_failures: it stops after this many."""

    def __init__(self, max_failures: int | None) -> None:
        self._max_failures = max_failures
        self.refusal: ReveError | None = None
        """Stops at once: items that wait to be sent are not sent either."""
        self.over_cap: ReveError | None = None
        """Takes no more items; those that the spending caps allowed are still sent."""

    @property
    def reason(self) -> ReveError | None:
        return self.refusal or self.over_cap

    def because(self, error: ReveError) -> None:
        """Stop; the first reason counts."""
        if error.code == "over_cap":
            message = error.message.removesuffix("; nothing was submitted")
            self.over_cap = self.over_cap or error.with_(message=f"{message}; stopped submitting")
        else:
            self.refusal = self.refusal or error

    def after_failure(self, error: ReveError, failures: int) -> None:
        """Stop if `error` applies to all requests, or if there are too many failures."""
        if self.refusal is not None:
            return
        if error.exit_code in (3, 4):
            self.because(error)
        elif self._max_failures is not None and failures >= self._max_failures:
            self.because(ReveError(error.code, f"{plural(self._max_failures, 'image')} failed; stopped submitting"))
