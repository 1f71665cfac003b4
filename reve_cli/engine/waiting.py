"""When to ask about each job, and when a job that the API does not know counts as lost.

`schedule` computes the interval for one job from how long jobs take; `polling` decides which requests ask about many.
Here is what lies between: the due time of each job, and pauses between polls that keep within the rate limit.
May import: engine.polling, engine.schedule, api, core.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from reve_cli.api.endpoints import Api
from reve_cli.api.sending import FOREVER
from reve_cli.core.clock import Deadline
from reve_cli.core.errors import ReveError
from reve_cli.core.models import moment
from reve_cli.core.tasks import Task
from reve_cli.engine.polling import FEW, Found, Poller
from reve_cli.engine.schedule import next_delay, usual, worth_a_poll

# Seconds for which the API may answer 404 for a job that it has accepted: parts of it lag behind.
_LAG = 30.0
# Seconds between requests that ask about jobs, on average: 400 a minute, while the API allows 500.
_SPACING = 0.15
# This many first looks at single jobs need no spacing.
_AT_FIRST = 50
# The share of the allowed rate that polls may use, if the rate is known: usually, and while requests wait. The second
# share makes a batch longer by as much.
_POLL_SHARE = 0.2
_POLL_SHARE_BESIDE_REQUESTS = 0.1
# A poll of many jobs is worth this many seconds of lateness, summed up over the images: for each running job, and while
# requests wait. The second is for one request a second; divided by the rate, it lets polls use a twentieth of it.
_COST, _COST_BESIDE_REQUESTS = 0.1, 230.0
# Seconds between two such polls, at most.
_LONGEST, _LONGEST_BESIDE_REQUESTS = 3.0, 20.0
# This is computed anew when so many more jobs run.
_ANEW = 16
# Without past jobs, the first poll is due when the oldest job is this many seconds old, and each next one when that job
# is twice as old as at the last poll, at most this many seconds later.
_EARLY_SECONDS, _LONGEST_GAP = 1.0, 4.0
# Seconds between looks at a job after a webhook said that it has ended, until the API says so too.
_AFTER_EVENT = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
# Turns of the rate limit between two such looks. Events that come meanwhile share the second, one request for all.
_TURNS = 2
# Seconds between polls of a job while webhooks are expected.
_RARELY = 60.0
# Seconds after the usual end of a job within which a webhook must come; and the usual duration without past jobs.
_PATIENCE, _USUAL = 60.0, 15.0
# If this many jobs ended without an event, each after this many seconds, events do not arrive. Before the first event
# of a batch, the seconds count from the first time that a job had ended.
_MOST_MISSED, _LATE = 3, 30.0
# Polls without an answer double the pause at most this often.
_MOST_DOUBLINGS = 6


class Waiting:
    """Sets and reads `Task.due`: the monotonic time at which to ask about a job, or to send its request."""

    def __init__(
        self, api: Api, poller: Poller, past: Sequence[float], say: Callable[[str], None] = lambda text: None
    ) -> None:
        """past: seconds that earlier jobs took, newest first. say: prints a note."""
        self._api, self._clock, self._poller, self._past, self._say = api, api.http.clock, poller, past, say
        # The end of the last poll, and how many requests it took.
        self._polled_at, self._polled_with = -FOREVER, 0
        self._unanswered = 0
        # Seconds after the last poll when the next is worth its cost, and for which jobs that was computed.
        self._worth, self._judged = 0.0, (0, -FOREVER, False)
        # The tasks that are not done.
        self.tasks: Sequence[Task] = ()
        # Whether webhooks are expected: `hear` is called for each job that ends.
        self.listens = False
        self._has_heard = False
        # The jobs that have ended according to a webhook, each with the number of polls since then.
        self._heard: dict[str, int] = {}
        # When the last look after an event began.
        self._looked_at = -FOREVER
        # Jobs that were found to have ended, long after they were accepted, since the last event.
        self._missed = 0
        # When the first job was found to have ended without an event.
        self._missed_since = FOREVER

    @property
    def looks_at_once(self) -> bool:
        """Whether to ask about a job as soon as it is accepted: a fast or repeated one may have ended."""
        return not self._poller.gives_way

    @property
    def _relies_on_events(self) -> bool:
        """Whether to poll rarely. In a batch only once an event has come: catching up on hundreds of jobs is slow."""
        return self.listens and (self._has_heard or not self._poller.gives_way)

    def spread(self, tasks: Sequence[Task]) -> None:
        """Space out the first looks at many jobs."""
        to_look_at = (task for task in tasks if task.phase == "accepted" and task.job is None)
        for number, task in enumerate(to_look_at):
            task.due = self._clock.monotonic() + max(0, number - _AT_FIRST) * _SPACING

    def schedule(self, task: Task) -> None:
        """Set when to ask about a job next."""
        since = task.missing_since if task.accepted_at is None else task.accepted_at
        elapsed = max(0.0, self._clock.monotonic() - (since or 0.0))
        task.due = self._clock.monotonic() + self._delay(task, elapsed)

    def _delay(self, task: Task, elapsed: float) -> float:
        looks = self._heard.get(str(task.job_id))
        if looks is not None and looks < len(_AFTER_EVENT):
            self._heard[str(task.job_id)] = looks + 1
            pace = self._api.sender.pace
            gap = max(_TURNS / pace.per_second if pace else 0.0, min(_AFTER_EVENT[looks], _AFTER_EVENT[1]))
            return max(_AFTER_EVENT[looks], self._looked_at + gap - self._clock.monotonic())
        progress = task.job.progress if task.job else None
        delay = next_delay(elapsed, progress, self._past, random.random)
        if not self._relies_on_events or looks is not None:
            return delay
        left = (usual(self._past) or _USUAL) + _PATIENCE - elapsed
        if left <= 0:
            self._listen_no_more(f"no webhook event has come for job {task.job_id}, which should have ended")
            return delay
        return max(delay, min(_RARELY * random.uniform(0.9, 1.1), left))  # noqa: S311 (spreads polls, no secret)

    def ended(self, task: Task) -> None:
        """The API says that the job of `task` has ended. If no event said so before, a few times, poll as usual."""
        if not self.listens or task.job_id in self._heard:
            return
        now = self._clock.monotonic()
        self._missed_since = min(self._missed_since, now)
        since = (task.accepted_at or 0.0) if self._relies_on_events else self._missed_since
        self._missed += now - since > _LATE
        if self._missed == _MOST_MISSED:
            self._listen_no_more(f"no webhook events have come for {_MOST_MISSED} jobs that have ended")

    def _listen_no_more(self, why: str) -> None:
        self.listens = False
        self._say(f"{why}: polling as usual")
        for task in self.tasks:
            if task.phase == "accepted" and task.job is not None and task.due < FOREVER:
                self.schedule(task)

    def has_task(self, job: str) -> bool:
        """Whether a task that is not done has this job. Any thread may ask."""
        return any(task.job_id == job for task in self.tasks)

    def hear(self, job: str, *, is_new: bool = False) -> None:
        """A webhook says that a job has ended: ask about it now, or once it is accepted.

        is_new: its task begins now, with a look at the job. Call it in the main thread, as `show_progress`.
        """
        self._has_heard, self._missed = True, 0
        if job not in self._heard:
            self._heard[job] = int(is_new)
            for task in self.tasks:
                if task.job_id == job and task.phase == "accepted" and task.due < FOREVER:
                    self.schedule(task)

    def show_progress(self, job: str, progress: float) -> None:
        """A webhook says how far a job is."""
        for task in self.tasks:
            if task.job is not None and task.job_id == job and not task.job.ended:
                task.job = replace(task.job, progress=progress)

    def is_polled(self, task: Task) -> bool:
        """Whether polls ask about `task`: something is known of it, and no webhook says that its job has ended."""
        return task.phase == "accepted" and task.job is not None and task.job_id not in self._heard

    @property
    def heard(self) -> list[Task]:
        """The tasks whose jobs have ended according to a webhook, but were running when last asked about."""
        return [each for each in self.tasks if each.phase == "accepted" and each.job and each.job_id in self._heard]

    def looks(self) -> Sequence[Sequence[Task]]:
        """The tasks to look at now: together if their jobs have ended according to webhooks, else alone."""
        now = self._clock.monotonic()
        due = [each for each in self.tasks if each.phase == "accepted" and each.due <= now and not self.is_polled(each)]
        together = [task for task in due if task.job is not None]
        return [*([together] if together else []), *([task] for task in due if task.job is None)]

    def begin_look(self, tasks: Sequence[Task]) -> None:
        """Note that a look at `tasks` begins."""
        for task in tasks:
            task.due = FOREVER
            if task.job_id in self._heard:
                self._looked_at = self._clock.monotonic()

    def forget(self, task: Task) -> None:
        """Drop what webhooks said of a task that is done."""
        self._heard.pop(str(task.job_id), None)

    def next_poll(self, running: Sequence[Task], *, sending: bool) -> float:
        """The monotonic time of the next poll of `running` jobs. sending: requests wait for their turns."""
        if not running:
            return FOREVER
        pace, together = self._api.sender.pace, self._poller.gives_way and not self._relies_on_events
        sending = sending and together
        share = _POLL_SHARE_BESIDE_REQUESTS if sending else _POLL_SHARE
        per_second = 1 / _SPACING if pace is None else pace.per_second * share
        # after polls that were not answered, from 1 s to 32 s
        backoff = 2.0**self._unanswered / 2 if self._unanswered else 0.0
        earliest = self._polled_at + max(self._polled_with / per_second, backoff)
        past = self._poller.past
        if not together or len(running) <= FEW or not (past or sending):
            return max(earliest, min(task.due for task in running))
        oldest = min(task.accepted_at or 0.0 for task in running)
        if not past:
            return max(earliest, oldest + _EARLY_SECONDS, self._polled_at + min(self._polled_at - oldest, _LONGEST_GAP))
        since = max(self._polled_at, oldest)
        jobs = len(running) // _ANEW, since, sending
        if jobs != self._judged:
            ages = [since - (task.accepted_at or 0.0) for task in running]
            cost, longest = _COST * len(running), _LONGEST
            if sending and pace:
                cost, longest = _COST_BESIDE_REQUESTS / pace.per_second, _LONGEST_BESIDE_REQUESTS
            self._judged, self._worth = jobs, worth_a_poll(ages, past, cost, longest)
        return max(earliest, since + self._worth)

    def poll(self, tasks: Sequence[Task], deadline: Deadline, *, ended: bool = False) -> tuple[Found | None, int]:
        """Ask about all of `tasks`. Runs in a worker thread. ended: their jobs have ended, according to webhooks.

        Returns what the API said, None if it did not answer, and the number of requests.
        """
        made = {str(task.job_id): moment(task.job.created_at if task.job else None) or task.asked_at for task in tasks}
        return (self._poller.ask_ended if ended else self._poller.ask)(made, deadline)

    def polled(self, requests: int, *, answered: bool) -> None:
        """Note that a poll ended. requests: how many it took."""
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
