"""Submit, wait, save: the one engine behind every command about jobs.

The main thread owns all state: it hands out work to daemon threads, takes back what is to be done with the outcome, and
watches the clock and the signals meanwhile. Work is one POST, one look at a job, one poll of all that are running, or
the saving of one job's images.

The ledger is told each fact before the next step.
Imports `supply`, `fetching`, `polling`, `saving`, `ledger`, `api`, `endings`, `schedule`, `http`, `tasks`, `models`,
`clock`, `signals` and `errors`.

    intent → sending → accepted → completed → saving → done
"""

import queue
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from reve_cli.api.endpoints import Accepted, Api
from reve_cli.api.http import FOREVER
from reve_cli.core import endings
from reve_cli.core.clock import Deadline
from reve_cli.core.endings import Goal
from reve_cli.core.errors import ReveError
from reve_cli.core.models import ENDED, Job, moment
from reve_cli.core.signals import Signals
from reve_cli.core.tasks import Task
from reve_cli.engine.fetching import Fetcher
from reve_cli.engine.polling import Found, Poller
from reve_cli.engine.saving import Saver
from reve_cli.engine.schedule import next_delay
from reve_cli.engine.supply import Supply, Watcher
from reve_cli.journal.ledger import Ledger

Then = Callable[[], None]
"""What the main thread does with the outcome of some work."""

_REPLAY_SLACK = 2.0
"""Seconds by which a job must be older than our first try to count as a replay: the server's date has whole seconds."""
_LAG = 30.0
"""Seconds for which an accepted job may still be unknown to the part of the API that is asked about it."""
_SPACING = 0.15
"""Seconds between the requests of polls, on average: 400 a minute, where 500 are allowed."""
_AT_FIRST = 50
"""Looks at single jobs that need no such spacing."""
_POLL_SHARE = 0.12
"""Of the rate at which the API is asked, where that is known: for polls."""


@dataclass
class Engine:
    """Takes tasks to a goal. `inbox` carries what workers want done in the main thread."""

    api: Api
    ledger: Ledger
    saver: Saver | None
    inbox: "queue.SimpleQueue[Then]"
    deadline: Deadline
    signals: Signals
    watcher: Watcher
    recover: Callable[[Task], str]
    """The command that finishes a task."""
    past: Sequence[float] = ()
    """Seconds that earlier jobs took, newest first."""
    supply: Supply = field(default_factory=Supply)
    poller: Poller | None = None

    def __post_init__(self) -> None:
        self._clock, self._stop, self._limits = self.api.http.clock, self.api.http.stop, self.api.http.limits
        self._busy: Counter[str] = Counter()
        self._goal: Goal = "seen"
        self._refusal: ReveError | None = None
        """What the API said of the key or the credits: what it says of one request it says of all."""
        self._poller = self.poller or Poller(self.api)
        self._open: list[Task] = []
        """Those that are not done."""
        self._next_poll = 0.0
        """Monotonic time before which there is no further poll."""
        self._unanswered = 0
        """Polls in a row that brought nothing."""

    def run(self, tasks: Sequence[Task], goal: Goal) -> None:
        """Take `tasks` as far as `goal`, or to an error each. Never raises for what happens to a task.

        On a signal or at the deadline it winds down: every task ends with what is known about it.
        """
        self._goal = goal
        clean = self.saver.clean if self.saver else lambda: None
        to_look_at = (task for task in tasks if task.phase == "accepted" and task.job is None)
        for number, task in enumerate(to_look_at):
            task.due = self._clock.monotonic() + max(0, number - _AT_FIRST) * _SPACING
        self.signals.engage(self._stop, lambda: self.inbox.put(lambda: None), clean)
        try:
            self._open = list(tasks)
            while self._fill() and not self._over():
                self._dispatch(self._open)
                tick = self.watcher.tick()
                self._receive(min(self._until_due(self._open), tick) if self._open else 0.0)
            if self._open:
                self._wind_down(self._open)
        except Exception as error:  # a fault of ours must not hide jobs that are paid for
            self._rest()
            if all(task.phase == "done" for task in self._open):
                raise  # what failed is the telling of it
            self._each(list(self._open), endings.fault(error))()
        finally:
            if self._stop.signum is None:
                self.signals.disengage()

    # The main thread: what is next

    def _over(self) -> bool:
        return bool(self._stop) or self.deadline.passed

    def _fill(self) -> bool:
        """Forget what is done, and take more from the supply where there is room. Returns whether there is work."""
        self._open = [task for task in self._open if task.phase != "done"]
        self._refusal = self._refusal or self.supply.refusal
        if not self.supply.is_empty and not self._refusal and not self._over():
            waiting = sum(task.phase in ("intent", "sending") for task in self._open)
            more = self.supply.more(len(self._open), waiting)
            self._open += (task for task in more if task.phase != "done")
        return bool(self._open) or (not self.supply.is_empty and not self._refusal)

    def _dispatch(self, tasks: list[Task]) -> None:
        """Start all work that can be started."""
        now = self._clock.monotonic()
        for task in tasks:
            if task.phase == "intent" and self._refusal and not task.was_sent:
                self._end(task, self._refusal)
            elif task.phase == "intent" and self._free("send") and task.due <= now:
                task.phase = "sending"
                self._start("send", [task], partial(self._send, task))
            elif task.phase == "completed" and self._free("save"):
                task.phase = "saving"
                self._start("save", [task], partial(self._save, task))
            elif task.phase == "accepted" and task.job is None and self._free("look") and task.due <= now:
                task.due = FOREVER
                self._start("look", [task], partial(self._look, task))
        running = [task for task in tasks if task.phase == "accepted" and task.job is not None]
        due = any(task.due <= now for task in running)
        if due and self._free("poll") and self._next_poll <= now:
            self._start("poll", running, lambda: self._poll(running))

    def _free(self, kind: str) -> bool:
        return self._busy[kind] < self.supply.at_once[kind]

    def _until_due(self, tasks: list[Task]) -> float:
        now = self._clock.monotonic()
        waiting = [task.due for task in tasks if (task.phase == "intent" or not task.job) and task.due > now]
        if not self._busy["poll"]:
            running = (task.due for task in tasks if task.phase == "accepted" and task.job)
            waiting += (max(due, self._next_poll) for due in running)
        return max(0.0, min(min(waiting, default=FOREVER) - now, self.deadline.left))

    def _receive(self, seconds: float) -> bool:
        then = self._clock.receive(self.inbox, seconds, idle=not self._busy.total())
        if then is not None:
            then()
        return then is not None

    def _start(self, kind: str, tasks: list[Task], work: Callable[[], Then]) -> None:
        """Do `work` in a thread of its own, and what it returns in this one."""
        self._busy[kind] += 1

        def run() -> None:
            try:
                then = work()
            except ReveError as error:
                then = self._each(tasks, error)
            except Exception as error:  # a fault of ours must not lose the other jobs
                then = self._each(tasks, endings.fault(error))

            def finish() -> None:
                self._busy[kind] -= 1
                then()

            self.inbox.put(finish)

        threading.Thread(target=run, daemon=True, name=kind).start()

    def _each(self, tasks: list[Task], error: ReveError) -> Then:
        def fail() -> None:
            for task in tasks:
                self._fail(task, error)

        return fail

    def _fail(self, task: Task, error: ReveError) -> None:
        """End `task` with what a worker met, unless the end of the whole command says it better."""
        given_up = task.phase == "accepted" and self._over() and error.exit_code == 6
        if task.phase != "done" and not given_up:
            self._end(task, error)

    # Worker threads: one kind of work each, returning what the main thread does then

    def _send(self, task: Task) -> Then:
        assert task.request is not None
        assert task.idempotency_key is not None
        accepted = self.api.submit(
            task.request,
            task.idempotency_key,
            self.deadline,
            lambda: self.ledger.sending(task, self._server_time),
            lambda: setattr(task, "was_sent", True),
            perhaps=task.was_sent,
        )
        return lambda: self._take_acceptance(task, accepted)

    def _ask_account(self) -> Then:
        account = self.api.account(self.deadline)
        return lambda: self.ledger.note_account(account.name)

    def _look(self, task: Task) -> Then:
        patient = self._goal in ("ended", "saved")
        job = self._job(task, FOREVER if patient else self._limits.tries)
        return lambda: self._take_job(task, job)

    def _poll(self, tasks: list[Task]) -> Then:
        made = {str(task.job_id): moment(task.job.created_at if task.job else None) or task.asked_at for task in tasks}
        found, requests = self._poller.ask(made, self.deadline)
        return lambda: self._take_poll(tasks, found, pause=requests / self._polls_a_second())

    def _polls_a_second(self) -> float:
        """Requests that polls may make."""
        pace = self.api.http.pace
        return 1 / _SPACING if pace is None else pace.per_second * _POLL_SHARE

    def _save(self, task: Task) -> Then:
        assert self.saver is not None
        error = Fetcher(self.api, self.saver, self.deadline).save(task)
        return lambda: self._end(task, error)

    def _job(self, task: Task, tries: float) -> Job:
        assert task.job_id is not None
        return self.api.job(task.job_id, self.deadline, tries=tries)

    # The main thread again: taking outcomes

    def _take_acceptance(self, task: Task, accepted: Accepted) -> None:
        now = self._clock.monotonic()
        task.job_id, task.phase = accepted.job_id, "accepted"
        task.job = Job(id=accepted.job_id, status=accepted.status)
        task.accepted_at, task.asked_at = now, accepted.asked_at
        self.ledger.accepted(task)
        if self.ledger.account_is_unknown and not self._busy["account"]:
            self._start("account", [], self._ask_account)
        task.due = now + (0 if accepted.status in ENDED else self._delay(task))
        self.watcher.accepted(task)
        if self._goal == "accepted":
            if task.key_is_given or task.scope:  # the job may be another request's, or have failed: look once
                task.due = now
            else:
                self._end(task, None)

    def _take_poll(self, tasks: list[Task], answer: Found | None, pause: float) -> None:
        """Take what a poll found. The next one is at least `pause` seconds away, and more where there is no answer."""
        self._unanswered = 0 if answer is not None else min(self._unanswered + 1, 6)
        pause, found = max(pause, 2.0**self._unanswered / 2 if self._unanswered else 0.0), answer or {}
        for task in tasks:
            outcome = found.get(str(task.job_id))
            if isinstance(outcome, Job):
                self._take_job(task, outcome)
            elif outcome is not None and not self._may_yet_appear(task, outcome):
                self._fail(task, outcome)
            else:
                task.due = self._clock.monotonic() + self._delay(task)
        self._next_poll = self._clock.monotonic() + pause

    def _may_yet_appear(self, task: Task, error: ReveError) -> bool:
        """Whether a job that was just accepted is not known everywhere yet."""
        fresh = task.accepted_at is not None and self._clock.monotonic() - task.accepted_at < _LAG
        return error.code == "not_found" and task.request is not None and fresh

    def _take_job(self, task: Task, job: Job) -> None:
        if task.phase != "accepted":
            return
        now = self._clock.monotonic()
        if task.accepted_at is None:
            created = moment(job.created_at)
            task.accepted_at = now if created is None else now - max(0.0, self._clock.now() - created)
        first = task.job is None or task.job.created_at is None
        task.job = job if job.input is not None else replace(job, input=task.job.input if task.job else None)
        if first:
            task.ended_before = job.ended
        if first and task.request is not None:
            self._note_replay(task, job)
        task.due = now + self._delay(task)
        if task.phase == "accepted" and (job.ended or self._goal not in ("ended", "saved")):
            self._conclude(task, job)

    def _note_replay(self, task: Task, job: Job) -> None:
        """Tell a job that an earlier request made from one that this request made, and not take another's for ours."""
        created = moment(job.created_at)
        if created is not None:
            task.replayed = created < task.asked_at - _REPLAY_SLACK
        surely_ours = not task.key_is_given or (created is not None and created > task.asked_at + _REPLAY_SLACK)
        if not surely_ours and task.request is not None and not task.request.matches(job):
            self._end(task, ReveError("key_mismatch", f"the idempotency key belongs to another request: job {job.id}"))

    def _conclude(self, task: Task, job: Job) -> None:
        """What to do with a job that will not be polled again."""
        self.ledger.completed(task)
        error = endings.of_job(job, key_is_given=task.key_is_given)
        if self._goal in ("accepted", "seen"):
            if error is not None and self._is_made_anew(task, error):
                return
            error = None
        if error is None and self._goal in ("saved", "saved if ended"):
            task.phase = "completed"
            if task.request is None and self.saver is not None:
                error = self.saver.refusal(task)
            if error is None:
                return
        self._end(task, error)

    def _end(self, task: Task, error: ReveError | None) -> None:
        """A task is done, well or with `error`."""
        if error is not None:
            if self._is_made_anew(task, error) or self._is_tried_again(task, error):
                return
            if task.phase == "sending" and error.exit_code in (3, 4):
                self._refusal = error
            task.error = endings.final(task, error, self._goal, self.recover)
        self.ledger.ended(task, saved=self._goal in ("saved", "saved if ended"))
        task.phase = "done"
        self.watcher.done(task)

    def _is_made_anew(self, task: Task, error: ReveError) -> bool:
        """Begin again, with a new key, what had failed or expired before this run asked for it."""
        over = error.code not in ("job_failed", "job_cancelled", "expired") or self._over() or bool(task.files)
        if over or not (task.may_renew and task.ended_before and (task.adopted or task.replayed)):
            return False
        self.watcher.say(f"{error.message}; it had ended before: made anew, with a new key")
        try:
            self.ledger.renew(task, "expired" if error.code == "expired" else "failed")
        except ReveError as refused:
            self._end(task, refused)
        return True

    def _is_tried_again(self, task: Task, error: ReveError) -> bool:
        """Begin again, with a new key, what failed for a reason that may be gone by then."""
        seconds = None if self._over() or self._refusal else self.supply.again(task, error)
        if seconds is None:
            return False
        try:
            self.ledger.renew(task, "failed")
        except ReveError as refused:
            self._end(task, refused)
        else:
            task.due = self._clock.monotonic() + seconds
        return True

    def _delay(self, task: Task) -> float:
        elapsed = max(0.0, self._clock.monotonic() - (task.accepted_at or 0.0))
        return next_delay(elapsed, task.job.progress if task.job else None, self.past, random.random)

    def _server_time(self) -> float:
        return self.api.account(self.deadline).at

    # Winding down

    def _rest(self) -> None:
        """Let workers begin nothing new, and leave nothing half done on disk."""
        self._stop.now()
        if self.saver:
            self.saver.close()

    @staticmethod
    def _is_awaiting(tasks: list[Task]) -> bool:
        """Whether any request has left that is not answered. What has not left by now never will: see `Http.send`."""
        return any(task.phase == "sending" and task.was_sent for task in tasks)

    def _wind_down(self, tasks: list[Task]) -> None:
        """A signal, or the deadline: nothing new is begun, an unanswered POST may still give its id."""
        signum, seconds = self._stop.signum, self.deadline.seconds
        self._rest()
        end = self._clock.monotonic() + self._limits.grace
        if self._is_awaiting(tasks):
            self.watcher.say(f"waiting up to {self._limits.grace:g} s for the answer to what may have been sent")
        while self._is_awaiting(tasks) and (left := end - self._clock.monotonic()) > 0:
            self._receive(left)
        while self._receive(0):
            pass
        trouble = f" ({self.api.http.trouble})" if self.api.http.trouble else ""
        why = "interrupted" if signum is not None else f"the time limit of {seconds:g} s passed{trouble}"
        for task in tasks:
            if task.phase == "saving" and self.saver and self.saver.has_saved(task):
                self._end(task, None)
            elif task.phase != "done":
                self._end(task, endings.cut_short(task, why, interrupted=signum is not None, goal=self._goal))
