"""The work of `reve webhook listen`: receive events, save the images of their jobs, print a line for each.

An event is only a hint: the engine asks the API about its job and saves what that says. The events stored by an earlier
listener that was killed come first.
May import: webhooks, actions, runtime and every package below it.
"""

import math
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from reve_cli.actions.drive import engine_of, saver_of
from reve_cli.actions.generate import learn_account
from reve_cli.actions.unfinished import unfinished
from reve_cli.core.clock import DAY
from reve_cli.core.errors import ReveError, worst
from reve_cli.core.filesystem import local_path
from reve_cli.core.models import plural
from reve_cli.core.tasks import Task
from reve_cli.core.templates import ANY_JOB
from reve_cli.engine.naming import Naming
from reve_cli.engine.supply import Supply
from reve_cli.journal.states import CLOSED
from reve_cli.webhooks.cases import Case, Log
from reve_cli.webhooks.events import read_event
from reve_cli.webhooks.forwarding import Forwarded, Forwarder
from reve_cli.webhooks.ports import check_target, signing_keys, take_port
from reve_cli.webhooks.receiving import Delivery, Receiver

if TYPE_CHECKING:
    from reve_cli.engine.engine import Engine
    from reve_cli.engine.saving import Saver
    from reve_cli.journal.journal import Journal
    from reve_cli.journal.ledger import Ledger
    from reve_cli.journal.rows import Row
    from reve_cli.runtime import Runtime

# Tasks at work, at most: a page of jobs tells about as many.
_AT_ONCE = 100
# Seconds between looks at the journal while the command that submits a job is still at work, and the most looks.
_LOOK_SECONDS, _MOST_LOOKS = 0.25, 40


class Notes(Protocol):
    """Records elsewhere what a listener saved: in the manifests of batches."""

    def note(self, task: Task, naming: Naming) -> None:
        """A job has ended while its images were to be saved."""
        ...

    def tick(self) -> float:
        """Do what is due. Returns the seconds until the next call, at most."""
        ...


@dataclass(frozen=True)
class Wishes:
    """The options of `webhook listen`. jobs: stop when these have ended. count: stop after this many events.

    events: the names of those to print, count and forward; empty for all.
    """

    host: str
    port: int
    path: str
    out: str | None
    force: bool
    forward_to: str | None
    events: Sequence[str]
    jobs: Sequence[str]
    count: int | None


def listen(run: "Runtime", wishes: Wishes, notes: Notes) -> int:
    """Receive events until `wishes` are met, or until a signal. Returns the exit code."""
    run.take_your_time()
    if not wishes.path.startswith("/") or not wishes.path.isascii() or "?" in wishes.path:
        raise ReveError("usage", f"--path {wishes.path!r} must begin with / and have no query")
    if wishes.forward_to is not None:
        check_target(wishes.forward_to, "--forward-to")
    keys, ledger = signing_keys(run), run.ledger(begin=True)
    journal = ledger.journal
    if journal is None:
        raise ReveError("journal", f"webhook listen needs the journal: {ledger.lost}")
    naming = None if wishes.out is None else folder_naming(run, wishes.out, force=wishes.force)
    listener = Listener(run, wishes, ledger, journal, naming, _forwarder(run, wishes.forward_to), notes)

    def told(delivery: Delivery) -> None:
        run.inbox.put(lambda: listener.arrive(delivery))

    def warn(text: str) -> None:
        run.inbox.put(lambda: run.output.warn(text))

    receiver = Receiver(keys, wishes.path, journal.events.add, told, warn, run.process.clock)
    server = take_port(run, wishes.host, wishes.port, receiver)
    host = f"[{wishes.host}]" if ":" in wishes.host else wishes.host
    listener.load()
    server.start()
    run.output.note(f"listening on http://{host}:{server.port}{wishes.path}; press Ctrl-C to stop")
    return listener.run()


def folder_naming(run: "Runtime", out: str, *, force: bool) -> Naming:
    """The naming for a folder that takes the images of any number of jobs. Raises `ReveError`."""
    path = local_path(out, "--out")
    if not path or path == "-" or "{" in path or os.path.splitext(path)[1].lower() == ".png" or os.path.isfile(path):
        raise ReveError("usage", f"--out {out} must be a folder: images are named as by the setting name_template")
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise ReveError("output", f"cannot create the folder {out}: {error.strerror}") from error
    naming = run.naming(os.path.join(path, ""), [], force=force)
    naming.check([Task(1, "accepted", job_id=ANY_JOB)])
    return naming


def _forwarder(run: "Runtime", url: str | None) -> Forwarder | None:
    if url is None:
        return None
    from reve_cli.webhooks.posting import Poster

    poster = Poster(url)
    run.resources.callback(poster.close)
    forwarder = Forwarder(poster, run.inbox, run.process.clock)
    run.resources.callback(forwarder.close)
    return forwarder


class Listener(Supply):
    """Gives the engine a task for each event that brings work, and watches how it ends."""

    pause = 30 * DAY
    sends = False

    def __init__(
        self,
        run: "Runtime",
        wishes: Wishes,
        ledger: "Ledger",
        journal: "Journal",
        naming: Naming | None,
        forwarder: Forwarder | None,
        notes: Notes,
    ) -> None:
        self._run, self._wishes, self._ledger, self._journal = run, wishes, ledger, journal
        self._naming, self._forwarder, self._notes = naming, forwarder, notes
        self._log = Log(run.output, wishes.events)
        self._arrived: deque[Delivery] = deque()
        self._later: list[tuple[float, Case]] = []
        self._tasks: dict[str, Task] = {}
        self._namings: dict[int, Naming] = {}
        self._cases: dict[str, list[Case]] = {}
        # Job and name of the events that `_record` is to record.
        self._settled: list[tuple[str, str]] = []
        self._last = self._open = 0
        self._left = set(wishes.jobs)
        self._saver: Saver = saver_of(run, lambda task: self._namings[task.index], ledger)
        self._engine: Engine

    def run(self) -> int:
        """Listen. Returns the exit code."""
        from reve_cli.engine.recovery import recovery_command

        def recover(task: Task) -> str:
            return recovery_command(task, self._namings.get(task.index), self._ledger, self._run.flags)

        run = self._run
        past = self._ledger.durations(run.settings.model)
        self._engine = engine_of(run, "saved", self._ledger, self._saver, self, recover, past, supply=self)
        self._engine.waiting.listens = True
        tasks = [self._watch(job) for job in self._wishes.jobs]
        self._engine.run([task for task in tasks if task is not None])
        self._record()
        run.output.rest()
        self._ledger.end(told=False)
        if not run.process.stop and not self._is_met and self._wishes.count and 75 not in self._log.codes:
            events = plural(self._wishes.count, "event")
            message = f"the time limit of {run.deadline.seconds:g} s passed before {events} came"
            resume = " ".join(["reve resume", *run.flags])
            error = (
                ReveError("unfinished", message, hint=resume) if unfinished(run) else ReveError("timed_out", message)
            )
            run.output.fail(error)
            self._log.codes.append(error.exit_code)
        return worst(self._log.codes)

    def load(self) -> None:
        """Take the events that an earlier listener stored and did not finish. Call it before new ones arrive."""
        for stored in self._journal.events.to_do():
            body = stored.body or b""
            headers = (("content-type", "application/json"), ("x-webhook-event", stored.event))
            try:
                event = read_event(body)
            except ValueError:
                continue
            self.arrive(
                Delivery(event, body, headers, stored.received, "hex" if stored.verified_as == "hex" else "bytes")
            )

    def arrive(self, delivery: Delivery) -> None:
        """Take an event that is stored. Called in the main thread."""
        self._arrived.append(delivery)

    # The engine's supply

    @property
    def is_empty(self) -> bool:
        return self._is_met and not self._open

    @property
    def _is_met(self) -> bool:
        """Whether the events or jobs that were asked for have come."""
        by_jobs = bool(self._wishes.jobs) and not self._left
        return by_jobs or (self._wishes.count is not None and self._log.count >= self._wishes.count)

    def more(self, running: int, waiting: int) -> Sequence[Task]:
        now = self._run.process.clock.monotonic()
        due = [case for at, case in self._later if at <= now]
        self._later = [each for each in self._later if each[0] > now]
        tasks = [self._work(case) for case in due]
        while self._arrived and running + len(tasks) < _AT_ONCE and not self._is_met:
            tasks.append(self._begin(self._arrived.popleft()))
        return [task for task in tasks if task is not None]

    def _begin(self, delivery: Delivery) -> Task | None:
        """Start the work that an event brings. Returns a new task for the engine, if it needs one."""
        case = Case(delivery)
        self._open += 1
        if delivery.is_new and self._forwarder and self._log.shows(delivery.event.name):
            case.is_forwarding = True
            self._forwarder.send(delivery, lambda outcome: self._forwarded(case, outcome))
        return self._work(case)

    def _work(self, case: Case) -> Task | None:
        """Find out what an event's job needs. Returns a new task for the engine, if it needs one."""
        assert case.delivery is not None
        event, task = case.delivery.event, None
        case.is_working = False
        if case.delivery.is_new and event.ends:
            known = self._tasks.get(event.job)
            task = None if known else self._task(event.job, event.images, case)
            if case.is_early and case.looks < _MOST_LOOKS:
                case.is_working, case.looks = True, case.looks + 1
                self._later.append((self._run.process.clock.monotonic() + _LOOK_SECONDS, case))
                return None
            if known or task:
                self._cases.setdefault(event.job, []).append(case)
                case.is_working = True
                self._engine.waiting.hear(event.job, task)
            else:
                self._left.discard(event.job)
        self._settle(case)
        return task

    def _watch(self, job: str) -> Task | None:
        """The task for a job that was named, until it ends; None if it has ended."""
        case = Case(None)
        task = self._task(job, 1, case)
        if task is None and case.is_over:
            self._left.discard(job)
        elif task is None:
            task = Task(self._number(), "accepted", job_id=job, only_watched=True)
            self._tasks[job] = task
        return task

    def _task(self, job: str, images: int, case: Case) -> Task | None:
        """A task that saves the images of a job; None if there is nothing to save here. images: how many it has."""
        from reve_cli.engine.unfinished import recover_files, step_of, task_of

        journal, ledger, clock = self._journal, self._ledger, self._run.process.clock
        row = self._row(job)
        if row is not None and row.out is not None and not ledger.account.may_fetch(row):
            learn_account(self._run, ledger)
        with journal.at_once():  # nobody else may save it between the look and the claim
            row = self._row(job)
            case.is_early = row is None and self._is_one_sent()
            if case.is_early and case.looks < _MOST_LOOKS:
                return None
            if row is not None and row.state in CLOSED:
                case.is_over, case.why = True, row.state
                return None
            if row is not None and row.out is not None:
                step = step_of(row, journal.runs.take_over(row), ledger, clock)
                if step.action != "fetch":
                    case.why, case.is_early = step.why, row.is_handed_over and step.action == "leave"
                    return None
                task = task_of(row, self._number(), clock, owned=step.owned)
                self._namings[task.index] = Naming.of_row(row.out, task.replaces)
                recover_files(task, row, self._saver)
                self._tasks[job] = task
                return task
        if self._naming is None:
            return None
        task = Task(self._number(), "accepted", job_id=job)
        if self._naming.has_all(task, images or 1):
            case.is_over, case.why = True, "saved"
            return None
        ledger.attach([task])
        self._namings[task.index], self._tasks[job] = self._naming, task
        return task

    def _row(self, job: str) -> "Row | None":
        row = self._journal.by_job([job]).get(job)
        return row if row is not None and row.origin == self._ledger.account.origin else None

    def _is_one_sent(self) -> bool:
        """Whether a request of another process waits for its job's id."""
        rows = self._journal.rows("state = 'sending' AND origin = :origin", {"origin": self._ledger.account.origin})
        return any(self._journal.runs.standing(row) == "live" for row in rows)

    def _number(self) -> int:
        self._last += 1
        return self._last

    # The engine's watcher

    def accepted(self, task: Task) -> None:
        raise AssertionError("a listener submits nothing")

    def say(self, text: str) -> None:
        self._run.output.note(text)

    def tick(self) -> float:
        self._record()
        until = min((at for at, _ in self._later), default=math.inf) - self._run.process.clock.monotonic()
        ticks = self._notes.tick(), self._forwarder.tick() if self._forwarder else self.pause
        return max(0.0, min(until, *ticks))

    def done(self, task: Task) -> None:
        job, naming = str(task.job_id), self._namings.pop(task.index, None)
        del self._tasks[job]
        self._left.discard(job)
        if naming is not None:
            self._notes.note(task, naming)
        if task.run and all(other.run != task.run for other in self._tasks.values()):
            self._journal.runs.release(task.run)
        cases = self._cases.pop(job, [])
        if not cases:
            self._log.ended(task)
        for case in cases:
            case.task, case.is_working = task, False
            self._settle(case)

    # The end of an event

    def _forwarded(self, case: Case, outcome: Forwarded) -> None:
        case.forwarded, case.is_forwarding = outcome, False
        self._settle(case)

    def _settle(self, case: Case) -> None:
        """Print an event whose work is over. If nothing is left to do, `_record` records that afterwards."""
        if case.is_working or case.is_forwarding:
            return
        self._open -= 1
        assert case.delivery is not None
        if case.delivery.is_new and case.succeeded:
            self._settled.append((case.delivery.event.job, case.delivery.event.name))
        self._log.event(case.delivery, case)

    def _record(self) -> None:
        """Record the settled events as done, in one commit. If reve is killed before it, they are printed again."""
        if self._settled:
            settled, self._settled = self._settled, []
            self._journal.events.done(settled)
