"""Submit, wait, save: the one loop behind every command about jobs.

The main thread owns all state. It starts work in threads, handles the outcome of each, and watches the clock and the
signals meanwhile. A piece of work is one POST, one look at a job, one poll of all running jobs, or saving the images of
one job.

    intent → sending → accepted → completed → saving → done

May import: every other module of the engine, journal, api, core.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from reve_cli.api.endpoints import Accepted, Api
from reve_cli.api.sending import FOREVER
from reve_cli.core import endings
from reve_cli.core.clock import Deadline
from reve_cli.core.endings import Goal
from reve_cli.core.errors import ReveError
from reve_cli.core.signals import Signals
from reve_cli.core.tasks import Phase, Task
from reve_cli.engine.fetching import Fetcher
from reve_cli.engine.outcomes import Outcomes
from reve_cli.engine.polling import Poller
from reve_cli.engine.saving import Saver
from reve_cli.engine.supply import Supply, Watcher
from reve_cli.engine.waiting import Waiting
from reve_cli.engine.workers import Inbox, Then, Workers
from reve_cli.journal.ledger import Ledger

# The tasks by the phase that they had at the start of a turn.
_InPhase = defaultdict[Phase, list[Task]]


@dataclass
class Engine:
    """Takes tasks to a goal. Built for one run."""

    goal: Goal
    api: Api
    ledger: Ledger
    saver: Saver | None
    inbox: Inbox
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
        self._workers = Workers(self.inbox, self.supply.at_once)
        self.waiting = Waiting(self.api, self.poller or Poller(self.api), self.past, self.watcher.say)
        self._outcomes = Outcomes(
            goal=self.goal,
            ledger=self.ledger,
            saver=self.saver,
            supply=self.supply,
            waiting=self.waiting,
            watcher=self.watcher,
            clock=self._clock,
            is_over=self._over,
            recover=self.recover,
            is_simulated=lambda: self.api.http.simulated,
        )
        # The tasks that are not done.
        self._open: list[Task] = []

    def run(self, tasks: Sequence[Task]) -> None:
        """Take each of `tasks` to the goal or to an error. Never raises for what happens to a task.

        On a signal or at the deadline it winds down: every task ends with what is known about it.
        """
        self.waiting.spread(tasks)
        clean = self.saver.clean if self.saver else lambda: None
        self.signals.engage(self._stop, lambda: self.inbox.put(lambda: None), clean)
        try:
            self._open = list(tasks)
            while self._fill() and not self._over():
                due = self._dispatch()
                tick = self.watcher.tick()
                pause = due - self._clock.monotonic() if self._open else self.supply.pause
                seconds = max(0.0, min(pause, self.deadline.left))
                expects = not self._open and tick >= seconds > 0
                self._workers.receive(min(seconds, tick), expects=expects, group=self.ledger)
            if self._open:
                self._wind_down()
            if self.saver and self.saver.moved:
                many = f"{self.saver.moved} images" if self.saver.moved > 1 else "1 image"
                self.watcher.say(f"moved {many} out of the rescue folder, to the paths asked for")
        except Exception as error:  # a bug in reve must not hide jobs that are paid for
            self._rest()
            if all(task.phase == "done" for task in self._open):
                raise  # printing failed, not the work
            self._fail_each(self._open, endings.fault(error))
        finally:
            self._workers.close()
            if self._stop.signum is None:
                self.signals.disengage()

    # What is next

    def _over(self) -> bool:
        return bool(self._stop) or self.deadline.passed

    def _fill(self) -> bool:
        """Drop tasks that are done, and take more from the supply if there is room. Returns whether there is work."""
        outcomes = self._outcomes
        self._open = [task for task in self._open if task.phase != "done"]
        self.waiting.tasks = self._open
        outcomes.refusal = outcomes.refusal or self.supply.refusal or self._trouble
        if not self.supply.is_empty and not outcomes.refusal and not self._over():
            phases = [task.phase for task in self._open]
            more = self.supply.more(len(self._open), phases.count("intent") + phases.count("sending"))
            self._open += (task for task in more if task.phase != "done")
        return bool(self._open) or (not self.supply.is_empty and not outcomes.refusal)

    @property
    def refusal(self) -> ReveError | None:
        """Why no more requests are sent; None if there is no reason."""
        return self._outcomes.refusal

    @property
    def _trouble(self) -> ReveError | None:
        """Why an image could not be written to its own path; None while all could."""
        return self.saver.trouble if self.saver and self.supply.sends else None

    def _most_to_send(self, in_phase: _InPhase) -> float:
        """How many requests may be sent now: the rescue folder has room for the images of that many more jobs.

        Zero while rescued images are being moved, because that tells whether their folders can be written. If there is
        no room and no job at work whose end may bring some, no request is sent any more.
        """
        if self.saver is None:
            return FOREVER
        if any(task.files for task in (*in_phase["completed"], *in_phase["saving"])):
            return 0
        at_work = len(self._open) - sum(task.phase in ("intent", "done") for task in in_phase["intent"])
        room = self.saver.room() - at_work
        if room < 1 and not at_work:
            self._outcomes.refusal = self._outcomes.refusal or self.saver.no_room()
        return room

    def _dispatch(self) -> float:
        """Start all work that can be started. Returns the monotonic time at which more can be."""
        now, workers = self._clock.monotonic(), self._workers
        in_phase: _InPhase = defaultdict(list)
        for task in self._open:
            in_phase[task.phase].append(task)
        most: float | None = None
        due = FOREVER
        for task in in_phase["intent"]:
            may_start = task.due <= now and workers.have_room("send")
            if most is None and may_start and not task.was_sent:
                most = self._most_to_send(in_phase)
            if self._outcomes.refusal and not task.was_sent:
                self._outcomes.end(task, self._outcomes.refusal)
            elif may_start and (task.was_sent or most is None or most >= 1):
                task.phase, most = "sending", None if most is None else most - 1
                self._start("send", self._send, task)
            elif now < task.due:
                due = min(due, task.due)
        for task in in_phase["completed"]:
            if workers.have_room("save"):
                task.phase = "saving"
                self._start("save", self._save, task)
        accepted = in_phase["accepted"]
        running = [task for task in accepted if self.waiting.is_polled(task)]
        if len(running) < len(accepted):
            for tasks in self.waiting.looks():
                if workers.have_room("look"):
                    self.waiting.begin_look(tasks)
                    workers.start("look", partial(self._look, tasks), partial(self._not_found, tasks))
            due = min((due, *(task.due for task in accepted if task.due > now and not self.waiting.is_polled(task))))
        if not workers.have_room("poll"):
            return due
        sending = any(task.phase == "sending" for task in (*in_phase["sending"], *in_phase["intent"]))
        next_poll = self.waiting.next_poll(running, sending=sending)
        if next_poll > now:
            return min(due, next_poll)
        workers.start("poll", lambda: self._poll(running), partial(self._fail_each, running))
        return due

    def _start(self, kind: str, work: Callable[[Task], Then], task: Task) -> None:
        self._workers.start(kind, lambda: work(task), partial(self._outcomes.fail, task))

    def _fail_each(self, tasks: Sequence[Task], error: ReveError) -> None:
        for task in tasks:
            self._outcomes.fail(task, error)

    def _not_found(self, tasks: Sequence[Task], error: ReveError) -> None:
        self._outcomes.answered(tasks, {str(task.job_id): error for task in tasks})

    # In worker threads: each does one kind of work and returns what the main thread does then

    def _send(self, task: Task) -> Then:
        assert task.request is not None
        assert task.idempotency_key is not None
        accepted = self.api.submit(
            task.request,
            task.idempotency_key,
            self.deadline,
            lambda: self._may_send(task),
            lambda: setattr(task, "was_sent", True),
            perhaps=task.was_sent,
        )
        return lambda: self._take_acceptance(task, accepted)

    def _may_send(self, task: Task) -> None:
        """Record that a request is about to be sent. Raises `ReveError` if it must not be."""
        if self._trouble and not task.was_sent:
            raise self._trouble
        self.ledger.sending(task, self._server_time)

    def _take_acceptance(self, task: Task, accepted: Accepted) -> None:
        self._outcomes.accepted(task, accepted)
        if self.ledger.account_is_unknown and not self._workers.are_busy("account"):
            self._workers.start("account", self._ask_account, lambda _: None)  # what fails here is asked again later

    def _ask_account(self) -> Then:
        account = self.api.account(self.deadline)
        return lambda: self.ledger.account.note(account.name)

    def _server_time(self) -> float:
        return self.api.account(self.deadline).at

    def _look(self, tasks: Sequence[Task]) -> Then:
        if len(tasks) > 1:
            found, _ = self.waiting.poll(tasks, self.deadline, ended=True)
        else:
            patient = self.goal in ("ended", "saved") and self.deadline.seconds < FOREVER
            job = str(tasks[0].job_id)
            found = {job: self.api.job(job, self.deadline, tries=FOREVER if patient else self._limits.tries)}
        return lambda: self._outcomes.looked(tasks, found)

    def _poll(self, tasks: Sequence[Task]) -> Then:
        found, requests = self.waiting.poll(tasks, self.deadline)

        def take() -> None:
            self._outcomes.answered(tasks, found or {})
            self.waiting.polled(requests, answered=found is not None)

        return take

    def _save(self, task: Task) -> Then:
        assert self.saver is not None
        error = Fetcher(self.api, self.saver, self.deadline).save(task)
        return lambda: self._outcomes.end(task, error)

    # Winding down

    def _rest(self) -> None:
        """Let workers begin nothing new, and leave nothing half done on disk."""
        self._stop.now()
        if self.saver:
            self.saver.close()

    def _is_awaiting(self) -> bool:
        """Whether a request has left and is not answered. One that has not left by now never will: see `Sender`."""
        return any(task.phase == "sending" and task.was_sent for task in self._open)

    def _wind_down(self) -> None:
        """After a signal or at the deadline: begin nothing new, but give an unanswered POST time for its job id."""
        signum, seconds = self._stop.signum, self.deadline.seconds
        self._rest()
        end = self._clock.monotonic() + self._limits.grace
        if self._is_awaiting():
            self.watcher.say(
                f"waiting up to {self._limits.grace:g} s for the answer to a request that may have been sent"
            )
        while self._is_awaiting() and (left := end - self._clock.monotonic()) > 0:
            self._workers.receive(left)
        while self._workers.receive(0):
            pass
        trouble = f" ({self.api.sender.trouble})" if self.api.sender.trouble else ""
        why = "interrupted" if signum is not None else f"the time limit of {seconds:g} s passed{trouble}"
        for task in self._open:
            if task.phase == "saving" and self.saver and self.saver.has_saved(task):
                self._outcomes.end(task, None)
            elif task.phase != "done":
                self._outcomes.end(task, endings.cut_short(task, why, interrupted=signum is not None, goal=self.goal))
