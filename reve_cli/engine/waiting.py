"""When to ask about each job, and when a job that the API does not know counts as lost.

`schedule` computes the interval for one job from how long jobs take; `polling` decides which requests ask about many.
Here is what lies between: the due time of each job, and pauses between polls that keep within the rate limit.
May import: engine.polling, engine.schedule, api, core.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from reve_cli.api.endpoints import Api
from reve_cli.api.sending import FOREVER
from reve_cli.core.clock import Deadline
from reve_cli.core.errors import ReveError
from reve_cli.core.models import Job, moment
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
# Seconds after the first look at a job of which an event came, until the next looks; later it is polled as usual.
_AFTER_EVENT = (0.25, 0.75, 1.75, 3.75, 7.75)
# Seconds between two looks, at least, so that events that come meanwhile share the second one: a step further after a
# look that finds no end, and a step back after one that finds the end of all jobs that are new in it. And at least so
# many turns of the rate limit. `tests/bench/early.py` counts the looks.
_APART, _TURNS = (0.25, 0.25, 0.5, 1.0, 2.0), 2
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
        # The jobs that have ended according to a webhook, each with the time of the first look after that.
        self._heard: dict[str, float | None] = {}
        # The jobs that are looked at for the first time since then.
        self._first_looks: set[str] = set()
        # When the last look after an event began, and the step in `_APART`.
        self._looked_at, self._step = -FOREVER, 0
        # The jobs to ask for by id at their next look, because pages leave them out.
        self._left_out: set[str] = set()
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
        """Space out the looks at many single jobs."""
        to_look_at = (task for task in tasks if task.phase == "accepted" and not self._may_share(task))
        for number, task in enumerate(to_look_at):
            task.due = self._clock.monotonic() + max(0, number - _AT_FIRST) * _SPACING

    def schedule(self, task: Task) -> None:
        """Set when to ask about a job next."""
        if task.job_id in self._left_out:
            return
        since = task.missing_since if task.accepted_at is None else task.accepted_at
        elapsed = max(0.0, self._clock.monotonic() - (since or 0.0))
        task.due = self._clock.monotonic() + self._delay(task, elapsed)

    def _delay(self, task: Task, elapsed: float) -> float:
        is_heard = task.job_id in self._heard
        if is_heard and (seconds := self._until_look(task)) is not None:
            return seconds
        progress = task.job.progress if task.job else None
        delay = next_delay(elapsed, progress, self._past, random.random)
        if not self._relies_on_events or is_heard:
            return delay
        left = (usual(self._past) or _USUAL) + _PATIENCE - elapsed
        if left <= 0:
            self._listen_no_more(f"no webhook event has come for job {task.job_id}, which should have ended")
            return delay
        return max(delay, min(_RARELY * random.uniform(0.9, 1.1), left))  # noqa: S311 (spreads polls, no secret)

    def _until_look(self, task: Task) -> float | None:
        """Seconds until the next look at a job of which an event came; None if its first look was long ago."""
        first, now = self._heard[str(task.job_id)], self._clock.monotonic()
        ahead = 0.0 if first is None else next((at - now + first for at in _AFTER_EVENT if at > now - first), None)
        if ahead is None or not self._may_share(task):
            return ahead
        pace = self._api.sender.pace
        apart = max(_APART[self._step], _TURNS / pace.per_second if pace else 0.0)
        return max(ahead, self._looked_at + apart - now)

    def _is_expected(self, task: Task) -> bool:
        """Whether an event came a moment ago, and the API does not yet say that the job has ended."""
        first = self._heard.get(str(task.job_id), -FOREVER)
        return task.phase == "accepted" and (first is None or self._clock.monotonic() - first < _AFTER_EVENT[-1])

    def _may_share(self, task: Task) -> bool:
        """Whether a page of jobs tells enough about `task`: pages lack what a job was asked for."""
        is_known = task.job is not None or (not task.key_is_given and (task.request or task.noted) is not None)
        return is_known and task.job_id not in self._left_out

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

    def hear(self, job: str, new: Task | None = None) -> None:
        """A webhook says that a job has ended: ask about it now, or once it is accepted.

        new: its task, if that begins now. Call it in the main thread, as `show_progress`.
        """
        self._has_heard, self._missed = True, 0
        if job in self._heard:
            return
        self._heard[job] = None
        for task in [*self.tasks, new] if new else self.tasks:
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
        """The tasks to look at now. Those about which a page tells enough go together, even if some are due later."""
        now = self._clock.monotonic()
        to_look_at = [
            each for each in self.tasks if each.phase == "accepted" and each.due < FOREVER and not self.is_polled(each)
        ]
        together = [task for task in to_look_at if self._may_share(task)]
        is_due = any(task.due <= now for task in together)
        alone = ([task] for task in to_look_at if task.due <= now and not self._may_share(task))
        return [*([together] if is_due else []), *alone]

    def begin_look(self, tasks: Sequence[Task]) -> None:
        """Note that a look at `tasks` begins."""
        now = self._clock.monotonic()
        for task in tasks:
            task.due, job = FOREVER, str(task.job_id)
            if job in self._heard:
                self._looked_at = now if self._may_share(task) else self._looked_at
                if self._heard[job] is None:
                    self._heard[job] = now
                    self._first_looks.add(job)
        if len(tasks) == 1:
            self._left_out.discard(str(tasks[0].job_id))

    def looked(self, tasks: Sequence[Task], found: Mapping[str, Job | ReveError] | None) -> None:
        """Note what a look at `tasks` found. Those that its pages leave out are asked for by id next."""
        found, answered = found or {}, found is not None
        jobs = {str(task.job_id): task for task in tasks}
        ended = {name for name in jobs if isinstance(job := found.get(name), Job) and job.ended}
        new = self._first_looks & jobs.keys()
        self._first_looks -= new
        if new and new <= ended:
            self._step = max(0, self._step - 1)
        elif not ended and any(map(self._is_expected, tasks)):
            self._step = min(self._step + 1, len(_APART) - 1)
        if len(tasks) > 1:
            left_out = {name for name, task in jobs.items() if name not in found and (answered or task.job is None)}
            self._left_out |= left_out
            self.spread([task for name, task in jobs.items() if name in left_out])

    def forget(self, task: Task) -> None:
        """Drop what is known of the looks at a task that is done."""
        job = str(task.job_id)
        self._heard.pop(job, None)
        self._first_looks.discard(job)
        self._left_out.discard(job)

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
