"""Submit, wait, save: the one engine behind every command about jobs.

The main thread owns all state: it hands out work to daemon threads, takes back what is to be done with the outcome, and
watches the clock and the signals meanwhile. Work is one POST, one look at a job, one poll of all that are running, or
the saving of one job's images. Imports `api`, `download`, `schedule`, `http`, `models`, `clock`, `signals`, `errors`.

    intent → sending → accepted → completed → saving → done
"""

import contextlib
import queue
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol

from reve_cli.api import PAGE, Accepted, Api
from reve_cli.clock import Deadline
from reve_cli.download import Saver, Unusable
from reve_cli.errors import ErrorCode, ReveError
from reve_cli.models import ENDED, Job, SavedFile, Task, moment
from reve_cli.schedule import next_delay
from reve_cli.signals import Signals

Then = Callable[[], None]
"""What the main thread does with the outcome of some work."""

FOREVER = float("inf")
_AT_ONCE = {"send": 4, "look": 4, "poll": 1, "save": 4}
"""How many threads do the same kind of work at once."""
_MISSING_AT_ONCE = 10
"""Jobs missing from the pages that are asked for by id in one poll."""
_REPLAY_SLACK = 2.0
"""Seconds by which a job must be older than our first try to count as a replay: the server's date has whole seconds."""
_EXPIRY = 24 * 3600


Goal = Literal["accepted", "seen", "ended", "saved", "saved if ended"]
"""How far a command takes its jobs."""


class Watcher(Protocol):
    """Who is told what happens, always in the main thread."""

    def accepted(self, task: Task) -> None: ...
    def done(self, task: Task) -> None: ...
    def say(self, text: str) -> None: ...
    def tick(self) -> float:
        """Show where things stand. Returns how soon, in seconds, this should be called again at the latest."""
        ...


@dataclass
class Engine:
    """Takes tasks to a goal. `inbox` carries what workers want done in the main thread."""

    api: Api
    saver: Saver | None
    inbox: "queue.SimpleQueue[Then]"
    deadline: Deadline
    signals: Signals
    watcher: Watcher
    recover: Callable[[Task], str]
    """The command that finishes a task."""

    def __post_init__(self) -> None:
        self._clock, self._stop, self._limits = self.api.http.clock, self.api.http.stop, self.api.http.limits
        self._busy: Counter[str] = Counter()
        self._accepted_at: dict[int, float] = {}
        self._asked_at: dict[int, float] = {}
        self._next_poll: dict[int, float] = {}
        self._goal: Goal = "seen"

    def run(self, tasks: Sequence[Task], goal: Goal) -> None:
        """Take `tasks` as far as `goal`, or to an error each. Never raises for what happens to a task.

        On a signal or at the deadline it winds down: every task ends with what is known about it.
        """
        self._goal = goal
        clean = self.saver.clean if self.saver else lambda: None
        self.signals.engage(self._stop, lambda: self.inbox.put(lambda: None), clean)
        try:
            while (open_tasks := [task for task in tasks if task.phase != "done"]) and not self._over():
                self._dispatch(open_tasks)
                self._receive(min(self._until_next_poll(open_tasks), self.watcher.tick()))
            if open_tasks:
                self._wind_down(open_tasks)
        except Exception as error:  # a fault of ours must not hide jobs that are paid for
            self._each(list(tasks), _fault(error))()
        finally:
            if self._stop.signum is None:
                self.signals.disengage()

    # The main thread: what is next

    def _over(self) -> bool:
        return bool(self._stop) or self.deadline.passed

    def _dispatch(self, tasks: list[Task]) -> None:
        """Start all work that can be started."""
        for task in tasks:
            if task.phase == "intent" and self._free("send"):
                task.phase = "sending"
                self._start("send", [task], partial(self._send, task))
            elif task.phase == "completed" and self._free("save"):
                task.phase = "saving"
                self._start("save", [task], partial(self._save, task))
            elif task.phase == "accepted" and self._is_unseen(task) and self._free("look"):
                self._next_poll[task.index] = FOREVER
                self._start("look", [task], partial(self._look, task))
        running = [task for task in tasks if task.phase == "accepted" and task.job is not None]
        due = any(self._next_poll[task.index] <= self._clock.monotonic() for task in running)
        if due and self._free("poll"):
            self._start("poll", running, lambda: self._poll(running))

    def _is_unseen(self, task: Task) -> bool:
        """Whether a task is a job of an earlier command that has not been asked for yet."""
        return task.job is None and task.index not in self._next_poll

    def _free(self, kind: str) -> bool:
        return self._busy[kind] < _AT_ONCE[kind]

    def _until_next_poll(self, tasks: list[Task]) -> float:
        if self._busy["poll"]:
            return self.deadline.left
        polls = (self._next_poll.get(task.index, FOREVER) for task in tasks if task.phase == "accepted")
        return max(0.0, min(min(polls, default=FOREVER) - self._clock.monotonic(), self.deadline.left))

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
                then = self._each(tasks, _fault(error))

            def finish() -> None:
                self._busy[kind] -= 1
                then()

            self.inbox.put(finish)

        threading.Thread(target=run, daemon=True, name=kind).start()

    def _each(self, tasks: list[Task], error: ReveError) -> Then:
        def fail() -> None:
            for task in tasks:
                if task.phase != "done":
                    self._fail(task, error)

        return fail

    # Worker threads: one kind of work each, returning what the main thread does then

    def _send(self, task: Task) -> Then:
        assert task.request is not None
        assert task.idempotency_key is not None
        accepted = self.api.submit(task.request, task.idempotency_key, self.deadline)
        return lambda: self._take_acceptance(task, accepted)

    def _look(self, task: Task) -> Then:
        patient = self._goal in ("ended", "saved")
        job = self._job(task, FOREVER if patient else self._limits.tries)
        return lambda: self._take_job(task, job)

    def _poll(self, tasks: list[Task]) -> Then:
        if len(tasks) == 1:
            job = self._job(tasks[0], FOREVER)
            return lambda: self._take_job(tasks[0], job)
        found: dict[str | None, Job | ReveError] = {job.id: job for job in self._pages(len(tasks))}
        missing = [task for task in tasks if task.job_id not in found]
        for task in sorted(missing, key=lambda task: self._next_poll[task.index])[:_MISSING_AT_ONCE]:
            try:
                found[task.job_id] = self._job(task, 1)
            except ReveError as error:
                if error.exit_code != 6:  # a refusal; anything else is for the next poll
                    found[task.job_id] = error

        def take() -> None:
            for task in tasks:
                outcome = found.get(task.job_id)
                if isinstance(outcome, Job):
                    self._take_job(task, outcome)
                elif outcome is not None:
                    self._fail(task, outcome)
                else:
                    self._next_poll[task.index] = self._clock.monotonic() + self._delay(task)

        return take

    def _pages(self, count: int) -> list[Job]:
        """The newest jobs, at least `count` of them if there are so many; only those whose page tells enough.

        What a page leaves out, and pages that are not to be had, prove nothing: such jobs are asked for by id.
        """
        jobs: list[Job] = []
        cursor: str | None = None
        with contextlib.suppress(ReveError):
            for _ in range(count // PAGE + 1):
                page = self.api.page(cursor, self.deadline, tries=self._limits.tries)
                jobs += (job for job in page.jobs if job.urls or job.status != "COMPLETED")
                cursor = page.cursor
                if cursor is None:
                    break
        return jobs

    def _save(self, task: Task) -> Then:
        """Save all images of a job."""
        assert task.job is not None
        files: list[SavedFile] = []
        problem: ReveError | None = None
        for number, url in enumerate(task.job.urls, start=1):
            try:
                saved, elsewhere = self._save_image(task, url, number)
                files.append(saved)
                problem = elsewhere or problem
            except ReveError as error:
                problem = error
            except (Unusable, OSError) as error:
                problem = ReveError("unsaved", f"the image of job {task.job_id} could not be saved: {error}")
        return lambda: self._take_files(task, files, problem)

    def _save_image(self, task: Task, url: str, number: int) -> tuple[SavedFile, ReveError | None]:
        """Save one image. A URL that is refused is asked for afresh once: it may have been renewed."""
        assert self.saver is not None
        try:
            return self.saver.save(task, url, number, self.deadline)
        except Unusable as error:
            if not error.gone:
                raise
            job = self._job(task, self._limits.tries)
            if job.expired or self._is_old(job):
                raise _expired(job) from error
            if url in job.urls or len(job.urls) < number:
                raise
            return self.saver.save(task, job.urls[number - 1], number, self.deadline)

    def _job(self, task: Task, tries: float) -> Job:
        assert task.job_id is not None
        return self.api.job(task.job_id, self.deadline, tries=tries)

    # The main thread again: taking outcomes

    def _take_acceptance(self, task: Task, accepted: Accepted) -> None:
        now = self._clock.monotonic()
        task.job_id, task.phase = accepted.job_id, "accepted"
        task.job = Job(id=accepted.job_id, status=accepted.status)
        self._accepted_at[task.index] = now
        self._asked_at[task.index] = accepted.asked_at
        self._next_poll[task.index] = now + (0 if accepted.status in ENDED else self._delay(task))
        self.watcher.accepted(task)
        if self._goal == "accepted":
            if task.key_is_given:  # the job may be another request's: look once
                self._next_poll[task.index] = now
            else:
                self._done(task)

    def _take_job(self, task: Task, job: Job) -> None:
        if task.phase != "accepted":
            return
        now = self._clock.monotonic()
        if task.index not in self._accepted_at:
            self._accepted_at[task.index] = now - max(0.0, self._clock.now() - (moment(job.created_at) or FOREVER))
        first = task.job is None or task.job.created_at is None
        task.job = job if job.input is not None else replace(job, input=task.job.input if task.job else None)
        if first and task.request is not None:
            self._note_replay(task, job)
        self._next_poll[task.index] = now + self._delay(task)
        if task.phase == "accepted" and (job.ended or self._goal not in ("ended", "saved")):
            self._conclude(task, job)

    def _note_replay(self, task: Task, job: Job) -> None:
        """Tell a job that an earlier request made from one that this request made, and not take another's for ours."""
        created = moment(job.created_at)
        if created is not None:
            task.replayed = created < self._asked_at[task.index] - _REPLAY_SLACK
        if task.key_is_given and task.request is not None and not task.request.matches(job):
            self._fail(task, ReveError("key_mismatch", f"the idempotency key belongs to another request: job {job.id}"))

    def _conclude(self, task: Task, job: Job) -> None:
        """What to do with a job that will not be polled again."""
        if self._goal in ("accepted", "seen"):
            return self._done(task)
        if not job.ended:
            return self._fail(task, ReveError("unfinished", f"job {job.id} is still running ({job.status})"))
        if job.status != "COMPLETED":
            code: ErrorCode = "job_failed" if job.status == "FAILED" else "job_cancelled"
            said = f": {job.error}" if job.error else ""
            hint = "an idempotency key answers with its job for 24 hours: use a new one" if task.key_is_given else None
            return self._fail(task, ReveError(code, f"job {job.id} {job.status}{said}; not charged", hint=hint))
        if job.expired:
            return self._fail(task, _expired(job))
        if not job.urls:
            return self._fail(task, ReveError("no_image", f"job {job.id} COMPLETED, but names no image"))
        if self._goal == "ended":
            return self._done(task)
        try:
            if task.request is None and self.saver is not None:
                self.saver.check(task)
        except ReveError as error:
            return self._fail(task, error)
        task.phase = "completed"
        return None

    def _take_files(self, task: Task, files: list[SavedFile], problem: ReveError | None) -> None:
        task.files = files
        if problem is None:
            self._done(task)
        elif problem.code == "unsaved" and self._goal == "saved if ended":
            self._fail(task, ReveError("download", problem.message))
        else:
            self._fail(task, problem)

    def _fail(self, task: Task, error: ReveError) -> None:
        """End a task with `error`. Once its job is accepted, whatever keeps it from its file is 75, not a refusal."""
        ours = task.request is not None and task.job_id is not None
        settled = error.code in ("job_failed", "job_cancelled", "expired", "key_mismatch") or error.exit_code == 75
        gave_up = self._goal in ("ended", "saved") and error.exit_code == 6
        if task.job_id and task.job_id not in error.message:
            error = error.about(f"job {task.job_id}")
        if task.job_id and (ours or gave_up) and not settled:
            message = f"not seen to its end: {error.message}"
            error = ReveError("unfinished", message, request_id=error.request_id, details=error.details)
        elif task.phase == "sending" and error.code == "internal":
            error = ReveError("unsettled", error.message)
        if error.exit_code == 75 and error.hint is None:
            said = f"{error.message}; paid for, or perhaps: do not submit it again, but finish it with:"
            hint = self.recover(task)
            error = ReveError(error.code, said, hint=hint, request_id=error.request_id, details=error.details)
        task.error = error
        self._done(task)

    def _done(self, task: Task) -> None:
        task.phase = "done"
        self.watcher.done(task)

    def _delay(self, task: Task) -> float:
        elapsed = max(0.0, self._clock.monotonic() - self._accepted_at[task.index])
        return next_delay(elapsed, task.job.progress if task.job else None, random.random)

    def _is_old(self, job: Job) -> bool:
        created = moment(job.completed_at) or moment(job.created_at)
        return created is not None and self._clock.now() - created > _EXPIRY

    # Winding down

    def _wind_down(self, tasks: list[Task]) -> None:
        """A signal, or the deadline: nothing new is begun, an unanswered POST may still give its id."""
        signum, seconds = self._stop.signum, self.deadline.seconds
        self._stop.now()
        if self.saver:
            self.saver.close()
        if self._busy["send"]:
            self.watcher.say(f"waiting up to {self._limits.grace:g} s for the answer to what was sent")
        end = self._clock.monotonic() + self._limits.grace
        while self._busy["send"] and (left := end - self._clock.monotonic()) > 0:
            self._receive(left)
        while self._receive(0):
            pass
        why = "interrupted" if signum is not None else f"the time limit of {seconds:g} s passed"
        for task in tasks:
            if task.phase == "intent":
                code: ErrorCode = "interrupted" if signum is not None else "timed_out"
                self._fail(task, ReveError(code, f"{why} before the request was sent: nothing was submitted"))
            elif task.phase == "sending":
                self._fail(task, ReveError("unsettled", f"{why} before the request was answered"))
            elif task.phase != "done":
                self._fail(task, self._unfinished(task, why))

    def _unfinished(self, task: Task, why: str) -> ReveError:
        if self._goal == "seen":
            return ReveError("timed_out", f"{why} before job {task.job_id} was looked up")
        if task.phase == "accepted":
            return ReveError("unfinished", f"{why} before job {task.job_id} ended")
        return ReveError("unsaved", f"{why} before the image of job {task.job_id} was saved")


def _fault(error: Exception) -> ReveError:
    return ReveError("internal", f"{type(error).__name__}: {error}")


def _expired(job: Job) -> ReveError:
    return ReveError("expired", f"the images of job {job.id} have expired: the server keeps them for 24 hours")
