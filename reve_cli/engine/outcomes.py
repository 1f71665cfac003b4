"""What an answer means for a task: its next phase, its end, or another request with a new key.

The ledger learns every fact before the next step. Whether a request may be sent again with the *same* key is decided
elsewhere: `api.sending` (retries), `Ledger.sending` (23 hours) and `unfinished` (after a crash).
May import: engine.saving, engine.supply, engine.waiting, journal, api, core.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from reve_cli.api.endpoints import Accepted
from reve_cli.core import endings
from reve_cli.core.clock import Clock
from reve_cli.core.endings import Goal
from reve_cli.core.errors import ReveError
from reve_cli.core.models import ENDED, Job, moment
from reve_cli.core.tasks import Task
from reve_cli.engine.saving import Saver
from reve_cli.engine.supply import Supply, Watcher
from reve_cli.engine.waiting import Waiting
from reve_cli.journal.ledger import Ledger

# A job older than our first try by this many seconds is a replay: the server's date has whole seconds.
_REPLAY_SLACK = 2.0


@dataclass
class Outcomes:
    """Judges answers and moves tasks on. Used by the main thread only."""

    goal: Goal
    ledger: Ledger
    saver: Saver | None
    supply: Supply
    waiting: Waiting
    watcher: Watcher
    clock: Clock
    is_over: Callable[[], bool]
    """Whether the run is winding down."""
    recover: Callable[[Task], str]
    """The command that finishes a task."""
    is_simulated: Callable[[], bool]
    """Whether the API is the sandbox."""
    refusal: ReveError | None = None
    """Why no more requests are sent: what holds for one holds for all, such as a refused key or a full folder."""

    # Answers

    def accepted(self, task: Task, accepted: Accepted) -> None:
        """The request was answered with a job id."""
        now = self.clock.monotonic()
        task.job_id, task.phase = accepted.job_id, "accepted"
        task.job = Job(id=accepted.job_id, status=accepted.status)
        task.accepted_at, task.asked_at = now, accepted.asked_at
        self.ledger.accepted(task)
        if accepted.status in ENDED or self.waiting.looks_at_once:
            task.due = now
        else:
            self.waiting.schedule(task)
        self.ledger.afterwards(lambda: self.watcher.accepted(task))
        if self.goal == "accepted":
            if task.key_is_given or task.scope:  # the job may be another request's, or have failed: look once
                task.due = now
            else:
                self.end(task, None)

    def polled(self, task: Task, answer: Job | ReveError | None) -> None:
        """A poll or a look brought this about the job of `task`; None if nothing. Another may have been faster."""
        if task.phase != "accepted":
            return
        if isinstance(answer, Job):
            self.found(task, answer)
        elif answer is not None and not self.waiting.may_yet_appear(task, answer):
            self.fail(task, answer)
        else:
            self.waiting.schedule(task)

    def looked(self, tasks: Sequence[Task], answers: Mapping[str, Job | ReveError] | None) -> None:
        """A look at `tasks` brought these `answers`, by job; None if the API gave none."""
        self.waiting.looked(tasks, answers)
        self.answered(tasks, answers or {})

    def answered(self, tasks: Sequence[Task], answers: Mapping[str, Job | ReveError]) -> None:
        """A request about the jobs of `tasks` brought these `answers`, by job. They may concern jobs heard of since."""

        def note() -> None:
            for task in tasks:
                self.polled(task, answers.get(str(task.job_id)))
            for task in self.waiting.heard:
                if isinstance(job := answers.get(str(task.job_id)), Job) and job.ended:
                    self.found(task, job)

        if answers and len(tasks) > 1:
            self.ledger.at_once(note)
        else:
            note()

    def found(self, task: Task, job: Job) -> None:
        """The API said where the job stands."""
        task.missing_since = None
        if task.accepted_at is None:
            created, now = moment(job.created_at), self.clock.monotonic()
            task.accepted_at = now if created is None else now - max(0.0, self.clock.now() - created)
        first = task.job is None or task.job.created_at is None
        if job.input is None:  # a page lacks it
            known = task.job.input if task.job else None
            job = replace(job, input=known or (task.noted.wire() if task.noted else None))
        task.job = job
        if first:
            task.ended_before = job.ended
        if first and task.request is not None:
            self._note_replay(task, job)
        self.waiting.schedule(task)
        if job.ended:
            self.waiting.ended(task)
        if task.phase == "accepted" and (job.ended or self.goal not in ("ended", "saved")):
            self._conclude(task, job)

    def fail(self, task: Task, error: ReveError) -> None:
        """Work for a task raised `error`. While the run winds down, its reason says more than a lost connection."""
        given_up = task.phase == "accepted" and self.is_over() and error.exit_code == 6
        if task.phase != "done" and not given_up:
            self.end(task, error)

    def end(self, task: Task, error: ReveError | None) -> None:
        """End a task, unless its request is to be made again. error: None if it reached the goal."""
        if error is not None:
            try:
                if self._replace_old_job(task, error) or self._try_again(task, error):
                    return
            except ReveError as refused:
                error = refused
            if task.phase == "sending" and (error.exit_code in (3, 4) or error.code == "journal"):
                self.refusal = error
            task.error = endings.final(task, error, self.goal, self.recover, simulated=self.is_simulated())
        self.ledger.ended(task, saved=self._is_saved(task))
        task.phase = "done"
        self.waiting.forget(task)
        self.ledger.afterwards(lambda: self.watcher.done(task))

    def _note_replay(self, task: Task, job: Job) -> None:
        """Note whether an earlier request made the job; end the task if that request was a different one."""
        created = moment(job.created_at)
        if created is not None:
            task.replayed = created < task.asked_at - _REPLAY_SLACK
        surely_ours = not task.key_is_given or (created is not None and created > task.asked_at + _REPLAY_SLACK)
        if not surely_ours and task.request is not None and not task.request.matches(job):
            self.end(task, ReveError("key_mismatch", f"the idempotency key belongs to another request: job {job.id}"))

    def _conclude(self, task: Task, job: Job) -> None:
        """Decide what to do with a job that is not polled again: save its images, submit it again, or end."""
        self.ledger.completed(task)
        error = endings.of_job(job, key_is_given=task.key_is_given)
        if self.goal in ("accepted", "seen"):
            try:
                if error is not None and self._replace_old_job(task, error):
                    return
                error = None
            except ReveError as refused:
                error = refused
        if error is None and self._is_saved(task):
            task.phase = "completed"
            if task.request is None and self.saver is not None:
                error = self.saver.refusal(task)
            if error is None:
                return
        self.end(task, error)

    def _is_saved(self, task: Task) -> bool:
        """Whether the images of `task` are to be saved."""
        return self.goal in ("saved", "saved if ended") and not task.only_watched

    # Submitted again, with a new key

    def _replace_old_job(self, task: Task, error: ReveError) -> bool:
        """Submit again, with a new key, a job that had failed or expired before this run. Returns whether it does.

        Raises `ReveError` if a spending cap forbids it.
        """
        over = error.code not in ("job_failed", "job_cancelled", "expired") or self.is_over() or bool(task.files)
        if over or not (task.may_renew and task.ended_before and (task.adopted or task.replayed)):
            return False
        note = f"{error.message}; it had ended before this run, so it is submitted again with a new key"
        self.ledger.afterwards(lambda: self.watcher.say(note))
        self.ledger.renew(task, "expired" if error.code == "expired" else "failed")
        return True

    def _try_again(self, task: Task, error: ReveError) -> bool:
        """Submit again, with a new key, a job whose failure the supply holds to be temporary. Returns whether it does.

        Raises `ReveError` if a spending cap forbids it.
        """
        seconds = None if self.is_over() or self.refusal else self.supply.again(task, error)
        if seconds is None:
            return False
        self.ledger.renew(task, "failed")
        task.due = self.clock.monotonic() + seconds
        return True
