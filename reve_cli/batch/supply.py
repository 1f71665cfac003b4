"""The items of a batch as tasks of the engine: begun as room appears, taken up where they were, and noted as they end.

The order of steps: a row in the journal before a request leaves, the journal's last fact of it before a line in the
manifest, and that before it is printed. So what the manifest does not know, the journal does.
Imports `runtime`, `earlier`, `target`, `worklist`, `manifest`, `progress`, `takeup`, `jobs`, `polling`, `recovery`,
`ledger`, `naming`, `tasks`, `errors`; slow to load, like `jobs`.
"""

import os
import re
from collections import Counter
from collections.abc import Sequence

from reve_cli.batch.earlier import BatchRun, identity_in, left_behind
from reve_cli.batch.manifest import FINAL, Manifest
from reve_cli.batch.progress import Progress
from reve_cli.batch.target import Target, beginning, check_name
from reve_cli.batch.worklist import Planned, Worklist
from reve_cli.core.errors import ReveError
from reve_cli.core.tasks import Task
from reve_cli.engine.engine import Engine
from reve_cli.engine.naming import Naming
from reve_cli.engine.polling import PagePoller
from reve_cli.engine.recovery import finish_command, resume_command
from reve_cli.engine.supply import Supply
from reve_cli.engine.takeup import left, recover_files, step_of, task_of, unsettled
from reve_cli.journal.journal import Row, Standing
from reve_cli.journal.ledger import Ledger
from reve_cli.journal.states import FREE
from reve_cli.runtime import Runtime

_AHEAD = 32
"""Items that are noted, and wait for their turn to be sent."""
_AT_ONCE = {"send": 16, "look": 8, "poll": 1, "save": 16, "account": 1}
_TRANSIENT = re.compile(r"capacity|try again|retry|temporar|overload|unavailable|busy|time[d -]*out", re.IGNORECASE)
_REMADE = 10
"""How many keys in a row may turn out to stand for what had failed before."""
_AGAIN = 5.0
"""Seconds before a failed job is made again, doubling with each attempt."""


class BatchSupply(Supply):
    """One run of `batch`: what it takes from the worklist, and what it notes of it.

    max_failures: after so many nothing more is begun. in_flight: jobs at once at most.
    """

    at_once = _AT_ONCE

    def __init__(
        self,
        run: Runtime,
        batch: BatchRun,
        worklist: Worklist,
        target: Target,
        manifest: Manifest,
        ledger: Ledger,
        progress: Progress,
        *,
        retries: int,
        max_failures: int | None,
        in_flight: int,
    ) -> None:
        self._run, self._batch, self._worklist, self._target = run, batch, worklist, target
        self._manifest, self._ledger, self._progress = manifest, ledger, progress
        self._retries, self._max_failures, self._in_flight = retries, max_failures, in_flight
        self._planned: dict[int, Planned] = {}
        self._namings: dict[int, Naming] = {}
        self._tasks: dict[int, Task] = {}
        """Those that are at work, like the two before, by their index."""
        self._retried: Counter[int] = Counter()
        self._remade: Counter[int] = Counter()
        self._standing: dict[str, Standing] = {}
        self._is_over = False
        self._identity = identity_in(target.folder)
        self._over_cap: ReveError | None = None
        """Why no more are begun, where those that the caps have let in are made all the same."""
        self._saver = run.saver(lambda task: self._namings[task.index], ledger)
        progress.note = self._note
        progress.running = lambda: Counter(task.phase for task in self._tasks.values())

    def make(self, model: str) -> None:
        """Make all that are left."""
        run, ledger = self._run, self._ledger
        engine = Engine(
            goal="saved",
            api=run.api,
            ledger=ledger,
            saver=self._saver,
            inbox=run.inbox,
            deadline=run.deadline,
            signals=run.process.signals,
            watcher=self._progress,
            recover=self._recover,
            past=ledger.durations(model),
            supply=self,
            poller=PagePoller(run.api),
        )
        engine.run([])
        run.output.rest()

    def tell(self) -> int:
        """Say what came of it all. Returns the exit code."""
        refusal, journal = self.refusal or self._over_cap, self._ledger.journal
        if refusal is None and self._progress.unbegun and not self._run.process.stop:
            refusal = ReveError("timed_out", f"the time limit of {self._run.deadline.seconds:g} s passed")
        if not self._manifest.is_there:
            known = "; the journal knows what was made" if journal else ""
            self._run.output.warn(f"{self._manifest.path} was moved, replaced or removed meanwhile{known}")
        again = "run the same command again" + (", without --new" if self._batch.is_new else "")
        finish = (lambda runs: resume_command(runs, self._run.flags)) if journal else None
        if others := left_behind(self._batch, self._ledger, self._progress.unfinished):
            theirs = resume_command(others, self._run.flags)
            self._run.output.warn(
                f"lines that are gone have jobs that are paid for and not saved; to save them: {theirs}"
            )
        self._progress.total(again, finish, refusal)
        return self._progress.exit_code(refusal)

    # Where tasks come from

    @property
    def is_empty(self) -> bool:
        return self._is_over or self._over_cap is not None

    def more(self, running: int, waiting: int) -> Sequence[Task]:
        """The next items as tasks, once there is room for some."""
        room = min(_AHEAD - waiting, self._in_flight - running)
        if room < min(_AHEAD // 2, self._in_flight):
            return ()
        planned = self._worklist.take(room)
        self._is_over = len(planned) < room
        try:
            going_on, fresh = self._take_up(list(map(self._task, planned)))
        except ReveError as error:  # the journal's
            self._begin_no_more(error)
            return ()
        begun = self._begin([task for task in fresh if self._can_begin(task)])
        return [*going_on, *begun]

    def again(self, task: Task, error: ReveError) -> float | None:
        """A job that failed for want of capacity is made again, with a new key; so is one that had failed before."""
        ended_before = task.ended_before and (task.adopted or task.replayed)
        if error.code in ("job_failed", "job_cancelled") and ended_before and self._remade[task.index] < _REMADE:
            self._remade[task.index] += 1
            self._progress.say(f"line {task.line}: {error.message}; it had ended before: made again")
            return 0.0
        made = self._retried[task.index]
        if error.code != "job_failed" or made >= self._retries or not _TRANSIENT.search(error.message):
            return None
        self._retried[task.index] += 1
        seconds = _AGAIN * 2.0**made
        self._progress.again(task, error, seconds)
        return seconds

    def _task(self, one: Planned) -> Task:
        task = Task(one.number, "intent", request=one.request, line=one.line, attempt=one.attempt, ordinal=one.ordinal)
        task.scope, task.idempotency_key = self._batch.scope(one.out), self._batch.key(one)
        self._keep(task, one, self._target.naming(one.out))
        return task

    def _keep(self, task: Task, one: Planned, naming: Naming) -> None:
        self._planned[task.index], self._namings[task.index], self._tasks[task.index] = one, naming, task

    def _forget(self, task: Task) -> Planned:
        for kept in (self._namings, self._tasks, self._retried, self._remade):
            kept.pop(task.index, None)
        return self._planned.pop(task.index)

    def _can_begin(self, task: Task) -> bool:
        """Check where a task's image goes, and note it."""
        naming = self._namings[task.index]
        try:
            check_name(naming, task, self._planned[task.index], make_folder=True)
            task.out, task.replaces = naming.as_row(task)
        except ReveError as error:
            self._end(task, error)
        return task.error is None

    def _begin(self, tasks: list[Task]) -> list[Task]:
        """Note tasks in the journal, all or as many as the caps allow. Returns those that are to be sent."""
        if not tasks or self.refusal or self._over_cap:
            for task in tasks:
                self._forget(task)
            return []
        try:
            self._ledger.begin(tasks, self._identity)
            if self._ledger.journal is None and self._run.keeps_a_journal:
                raise ReveError("journal", f"the journal is lost: {self._ledger.lost}; no more are begun")
        except ReveError as refused:
            half = len(tasks) // 2
            if refused.code == "over_cap" and half:
                return [*self._begin(tasks[:half]), *self._begin(tasks[half:])]
            self._begin_no_more(refused)
            return self._begin(tasks)
        return tasks

    def _take_up(self, tasks: list[Task]) -> tuple[list[Task], list[Task]]:
        """Those of `tasks` that go on where earlier runs left them, and those that are to be begun."""
        going_on: list[Task] = []
        fresh: list[Task] = []
        while tasks:
            known, renewed = self._known(tasks), []
            for task in tasks:
                row, one = known.get(str(task.idempotency_key)), self._planned[task.index]
                if row is not None and row.state not in FREE:
                    self._go_on(task, row, going_on, fresh)
                elif one.job is not None:  # paid for by an earlier run, which has left the journal nothing of it
                    task.phase, task.job_id = "accepted", one.job
                    self._progress.paid_before.add(task.index)
                    going_on.append(task)
                    if self._namings[task.index].has_all(task, one.images):  # taken to where it was meant to be
                        self._forget(self._is_there(task))
                elif row is not None and row.needs_another_key:
                    task.attempt = row.attempt
                    task.renew()
                    renewed.append(task)  # and another run may have begun that as well
                else:
                    fresh.append(task)
            tasks = renewed
        return [task for task in going_on if task.phase != "done"], fresh

    def _known(self, tasks: list[Task]) -> dict[str, Row]:
        journal = self._ledger.journal
        return journal.latest(self._ledger.origin, [str(task.idempotency_key) for task in tasks]) if journal else {}

    def _go_on(self, task: Task, row: Row, going_on: list[Task], fresh: list[Task]) -> None:
        """Go on where the row of `task` ends; or begin it, if nothing was ever sent."""
        is_closed = row.state in ("saved", "expired")  # so nobody is at work on it
        standing = "elsewhere" if is_closed else self._take_over(row)
        if row.state == "intent" and standing != "live":
            if standing != "elsewhere" and self._ledger.journal is not None:
                self._ledger.journal.update(row.id, where="state = 'intent'", state="abandoned")
            fresh.append(task)
            return
        step = step_of(row, standing, self._ledger, self._run.process.clock)
        taken = task_of(row, task.index, self._run.process.clock, owned=step.owned)
        taken.request, taken.line, taken.ordinal = task.request, task.line, task.ordinal
        is_here = self._adopt_naming(taken, task)
        if is_closed or row.charge is not None:
            self._progress.paid_before.add(task.index)
        is_ours = step.action not in ("report", "leave")
        if is_here and (is_ours or is_closed):
            recover_files(taken, row, self._saver)
        if row.state == "saved" and taken.phase == "completed" and self._is_in_folder(taken):
            self._write(taken, self._forget(self._is_there(taken)))
        elif is_ours:
            going_on.append(taken)
        else:
            self._end(taken, unsettled(step, self._run.flags) if step.action == "report" else left(step))

    def _adopt_naming(self, taken: Task, task: Task) -> bool:
        """Let a task that is taken up go on with the name that it was begun with, where `task` has another.

        Returns whether that is in the output folder. What was to go elsewhere is saved here as well, at no cost.
        """
        naming, one = self._namings[taken.index], self._planned[taken.index]
        is_here = taken.out is not None and taken.out.startswith(beginning(self._target.folder))
        if taken.out is not None and is_here and taken.out != naming.as_row(task)[0]:
            naming = Naming.of_row(taken.out, taken.replaces)
        elif taken.replaces and is_here:
            naming.allow(taken, taken.replaces)
        self._keep(taken, one, naming)
        return is_here

    def _take_over(self, row: Row) -> Standing:
        """Make a row's run this process's, if nobody is at work on it. Returns whose it was."""
        assert self._ledger.journal is not None
        if self._standing.get(row.run, "live") == "live":
            self._standing[row.run] = self._ledger.journal.take_over(row)
        return self._standing[row.run]

    # What becomes of them

    def _recover(self, task: Task) -> str:
        if self._ledger.can_resume(task):
            return resume_command([task.job_id or task.idempotency_key or ""], self._run.flags)
        return finish_command(task, self._namings.get(task.index), self._run.flags)

    def _is_there(self, task: Task) -> Task:
        """An earlier run has made it, and the manifest did not tell where it is."""
        task.phase = "done"
        self._progress.there += 1
        return task

    def _end(self, task: Task, error: ReveError) -> None:
        """A task ends before it was begun."""
        task.phase, task.error = "done", error
        self._progress.done(task)

    def _note(self, task: Task) -> None:
        """Note an item that ended, and stop beginning more after too many failures."""
        one, error = self._forget(task), task.error
        if error is not None and error.code == "expired":
            task.error = error.with_(hint="to pay for another image, change its line, or use --new for all")
        is_beside = error is not None and error.code == "saved_elsewhere" and self._is_in_folder(task)
        if task.job_id and (error is None or error.code in FINAL or is_beside):
            self._write(task, one)
        if error is None or self.refusal is not None:
            return
        if error.exit_code in (3, 4):
            self._begin_no_more(error)
        elif self._max_failures is not None and self._progress.failures >= self._max_failures:
            many = "an image" if self._max_failures == 1 else f"{self._max_failures} images"
            self._begin_no_more(ReveError(error.code, f"{many} failed: no more are begun"))

    def _is_in_folder(self, task: Task) -> bool:
        """Whether all images of `task` are in the output folder, be it under other names than they were to have."""
        return not any(os.path.isabs(self._manifest.relative(file.path)) for file in task.files)

    def _begin_no_more(self, error: ReveError) -> None:
        if error.code == "over_cap":
            message = error.message.removesuffix("; nothing was submitted")
            self._over_cap = self._over_cap or error.with_(message=f"{message}; no more are begun")
        else:
            self.refusal = self.refusal or error

    def _write(self, task: Task, one: Planned) -> None:
        """Note an item in the manifest. Where that cannot be, nothing more is begun; the journal knows all the same."""
        try:
            self._manifest.note(task, self._batch.name, one.item, one.out, simulated=self._run.api.http.simulated)
        except ReveError as error:
            self._begin_no_more(error)
