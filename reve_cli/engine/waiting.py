"""When to ask about each job, and when a job that the API does not know counts as lost.

`schedule` computes the interval for one job from how long jobs take; `polling` decides which requests ask about many.
Here is what lies between: the due time of each job, and pauses between polls that keep within the rate limit.
May import: engine.polling, engine.schedule, api, core.
"""

import random
from collections.abc import Sequence
from heapq import nsmallest

from reve_cli.api.endpoints import Api
from reve_cli.api.sending import FOREVER
from reve_cli.core.clock import Deadline
from reve_cli.core.errors import ReveError
from reve_cli.core.models import moment
from reve_cli.core.tasks import Task
from reve_cli.engine.polling import Found, Poller
from reve_cli.engine.schedule import next_delay

# Seconds for which the API may answer 404 for a job that it has accepted: parts of it lag behind.
_LAG = 30.0
# Seconds between requests that ask about jobs, on average: 400 a minute, while the API allows 500.
_SPACING = 0.15
# So many first looks at single jobs need no spacing.
_AT_FIRST = 50
# The share of the allowed rate that polls may use, if the rate is known; and while requests wait. The wall time of a
# batch is longer by the second, and its images are later by half the time between two polls.
_POLL_SHARE = 0.12
_POLL_SHARE_BESIDE_REQUESTS = 0.055
# While requests wait, a poll is worth its turn if so many jobs are older than a fifth of the past jobs were, or than
# so many seconds if there is no past.
_WORTH_A_POLL, _EARLY_PART, _EARLY_SECONDS = 8, 0.2, 10.0
# Polls without an answer double the pause at most this often.
_MOST_DOUBLINGS = 6


class Waiting:
    """Sets and reads `Task.due`: the monotonic time at which to ask about a job, or to send its request."""

    def __init__(self, api: Api, poller: Poller, past: Sequence[float]) -> None:
        """past: seconds that earlier jobs took, newest first."""
        self._api, self._clock, self._poller, self._past = api, api.http.clock, poller, past
        # The end of the last poll, and how many requests it took.
        self._polled_at, self._polled_with = -FOREVER, 0
        self._unanswered = 0

    @property
    def looks_at_once(self) -> bool:
        """Whether to ask about a job as soon as it is accepted: a fast or repeated one may have ended."""
        return not self._poller.gives_way

    def spread(self, tasks: Sequence[Task]) -> None:
        """Space out the first looks at many jobs."""
        to_look_at = (task for task in tasks if task.phase == "accepted" and task.job is None)
        for number, task in enumerate(to_look_at):
            task.due = self._clock.monotonic() + max(0, number - _AT_FIRST) * _SPACING

    def schedule(self, task: Task) -> None:
        """Set when to ask about a job next."""
        since = task.missing_since if task.accepted_at is None else task.accepted_at
        elapsed = max(0.0, self._clock.monotonic() - (since or 0.0))
        progress = task.job.progress if task.job else None
        task.due = self._clock.monotonic() + next_delay(elapsed, progress, self._past, random.random)

    def next_poll(self, running: Sequence[Task], *, sending: bool) -> float:
        """The monotonic time of the next poll of `running` jobs. sending: requests wait for their turns."""
        if not running:
            return FOREVER
        gives_way, pace = sending and self._poller.gives_way, self._api.sender.pace
        share = _POLL_SHARE_BESIDE_REQUESTS if gives_way else _POLL_SHARE
        per_second = 1 / _SPACING if pace is None else pace.per_second * share
        # after polls that were not answered, from 1 s to 32 s
        backoff = 2.0**self._unanswered / 2 if self._unanswered else 0.0
        earliest = self._polled_at + max(self._polled_with / per_second, backoff)
        if not gives_way:
            return max(earliest, min(task.due for task in running))
        accepted = nsmallest(_WORTH_A_POLL, (task.accepted_at or 0.0 for task in running))
        return max(earliest, accepted[-1] + (self._poller.usual(_EARLY_PART) or _EARLY_SECONDS))

    def seconds(self, tasks: Sequence[Task], *, polling: bool, sending: bool) -> float:
        """Seconds until one of `tasks` is due. polling: a poll is under way, so none is due before it ends."""
        now = self._clock.monotonic()
        due = [task.due for task in tasks if (task.phase == "intent" or not task.job) and task.due > now]
        if not polling:
            running = [task for task in tasks if task.phase == "accepted" and task.job]
            due.append(self.next_poll(running, sending=sending))
        return min(due, default=FOREVER) - now

    def poll(self, tasks: Sequence[Task], deadline: Deadline) -> tuple[Found | None, int]:
        """Ask about all of `tasks`. Runs in a worker thread.

        Returns what the API said, None if it did not answer, and the number of requests.
        """
        made = {str(task.job_id): moment(task.job.created_at if task.job else None) or task.asked_at for task in tasks}
        return self._poller.ask(made, deadline)

    def polled(self, requests: int, *, answered: bool) -> None:
        """A poll ended, after so many requests."""
        self._polled_at, self._polled_with = self._clock.monotonic(), requests
        self._unanswered = 0 if answered else min(self._unanswered + 1, _MOST_DOUBLINGS)

    def may_yet_appear(self, task: Task, error: ReveError) -> bool:
        """Whether `error` is a 404 for a job that was surely submitted, and is not repeated for long.

        Otherwise `error` ends the task.
        """
        if error.code != "not_found" or not (task.request or task.is_known):
            return False
        now = self._clock.monotonic()
        if task.missing_since is None:
            task.missing_since = now
        return now - task.missing_since < _LAG
