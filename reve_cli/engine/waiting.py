"""When to ask about each job, and when a job that the API does not know counts as lost.

`schedule` computes the interval for one job from how long jobs take; `polling` decides which requests ask about many.
Here is what lies between: the due time of each job, and pauses between polls that keep within the rate limit.
May import: engine.polling, engine.schedule, api, core.
"""

import random
from collections.abc import Sequence

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
# The share of the allowed rate that polls may use, if the rate is known.
_POLL_SHARE = 0.12
# Polls without an answer double the pause at most this often.
_MOST_DOUBLINGS = 6


class Waiting:
    """Sets and reads `Task.due`: the monotonic time at which to ask about a job, or to send its request."""

    def __init__(self, api: Api, poller: Poller, past: Sequence[float]) -> None:
        """past: seconds that earlier jobs took, newest first."""
        self._api, self._clock, self._poller, self._past = api, api.http.clock, poller, past
        self._next_poll = 0.0
        self._unanswered = 0

    @property
    def looks_at_once(self) -> bool:
        """Whether to ask about a job as soon as it is accepted: a fast or repeated one may have ended."""
        return self._poller.looks_at_once

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

    def poll_is_due(self, running: Sequence[Task]) -> bool:
        """Whether to ask about `running` jobs now."""
        now = self._clock.monotonic()
        return self._next_poll <= now and any(task.due <= now for task in running)

    def seconds(self, tasks: Sequence[Task], *, polling: bool) -> float:
        """Seconds until one of `tasks` is due. polling: a poll is under way, so none is due before it ends."""
        now = self._clock.monotonic()
        due = [task.due for task in tasks if (task.phase == "intent" or not task.job) and task.due > now]
        if not polling:
            running = (task.due for task in tasks if task.phase == "accepted" and task.job)
            due += (max(task_due, self._next_poll) for task_due in running)
        return min(due, default=FOREVER) - now

    def poll(self, tasks: Sequence[Task], deadline: Deadline) -> tuple[Found | None, float]:
        """Ask about running jobs, in a worker thread.

        Returns what the API said, None if it did not answer, and the seconds to leave before the next poll.
        """
        made = {str(task.job_id): moment(task.job.created_at if task.job else None) or task.asked_at for task in tasks}
        found, requests = self._poller.ask(made, deadline)
        pace = self._api.sender.pace
        per_second = 1 / _SPACING if pace is None else pace.per_second * _POLL_SHARE
        return found, requests / per_second

    def pause(self, seconds: float, *, answered: bool) -> None:
        """Leave `seconds` before the next poll; more after each poll that is not answered, from 1 s to 32 s."""
        self._unanswered = 0 if answered else min(self._unanswered + 1, _MOST_DOUBLINGS)
        backoff = 2.0**self._unanswered / 2 if self._unanswered else 0.0
        self._next_poll = self._clock.monotonic() + max(seconds, backoff)

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
