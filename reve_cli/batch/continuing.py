"""Items that an earlier run began: they go on from what the journal or the manifest knows, and are not paid for again.

May import: engine, journal, core, batch.results, tally, target, worklist.
"""

from collections.abc import Sequence

from reve_cli.batch.results import ActiveItems, Results
from reve_cli.batch.tally import Tally
from reve_cli.batch.target import Target, beginning
from reve_cli.core.clock import Clock
from reve_cli.core.tasks import Task
from reve_cli.engine.naming import Naming
from reve_cli.engine.saving import Saver
from reve_cli.engine.unfinished import left, recover_files, step_of, task_of, unsettled
from reve_cli.journal.ledger import Ledger
from reve_cli.journal.rows import Row
from reve_cli.journal.runs import Standing
from reve_cli.journal.states import FREE


class Continuing:
    """Separates the items that an earlier run began from new ones. flags: options for the commands in hints."""

    def __init__(
        self,
        active: ActiveItems,
        tally: Tally,
        target: Target,
        ledger: Ledger,
        saver: Saver,
        results: Results,
        clock: Clock,
        flags: Sequence[str],
    ) -> None:
        self._active, self._tally, self._target, self._ledger = active, tally, target, ledger
        self._saver, self._results, self._clock, self._flags = saver, results, clock, flags
        self._standing: dict[str, Standing] = {}
        """Runs that this process asked for, and whose they are."""

    def split(self, tasks: list[Task]) -> tuple[list[Task], list[Task]]:
        """The tasks to continue, and those to begin. Raises `ReveError` if the journal cannot be read."""
        continued: list[Task] = []
        fresh: list[Task] = []
        while tasks:
            rows, renewed = self._rows(tasks), []
            for task in tasks:
                row, planned = rows.get(str(task.idempotency_key)), self._active[task.index].planned
                if row is not None and row.state not in FREE:
                    self._continue(task, row, continued, fresh)
                elif planned.job is not None:  # an earlier run paid for it, and only the manifest knows
                    task.phase, task.job_id = "accepted", planned.job
                    self._tally.paid_before.add(task.index)
                    if self._active.naming(task).has_all(task, planned.images):  # somebody moved it there
                        self._results.already_made(task)
                    else:
                        continued.append(task)
                elif row is not None and row.needs_another_key:
                    task.attempt = row.attempt
                    task.renew()
                    renewed.append(task)  # an earlier run may have begun this attempt, too
                else:
                    fresh.append(task)
            tasks = renewed
        return continued, fresh

    def _rows(self, tasks: list[Task]) -> dict[str, Row]:
        """The journal's rows of `tasks`, by key."""
        journal, keys = self._ledger.journal, [str(task.idempotency_key) for task in tasks]
        return journal.latest(self._ledger.account.origin, keys) if journal else {}

    def _continue(self, task: Task, row: Row, continued: list[Task], fresh: list[Task]) -> None:
        """Continue from the row of `task`, or begin it if its request was never sent."""
        is_closed = row.state in ("saved", "expired")  # so no process is at work on it
        standing = "elsewhere" if is_closed else self._take_over(row)
        if row.state == "intent" and standing != "live":
            if standing != "elsewhere" and self._ledger.journal is not None:
                self._ledger.journal.update(row.id, where="state = 'intent'", state="abandoned")
            fresh.append(task)
            return
        step = step_of(row, standing, self._ledger, self._clock)
        taken = task_of(row, task.index, self._clock, owned=step.owned)
        taken.request = taken.request or task.request  # what is sent again has the same bytes, with the same webhook
        taken.line, taken.ordinal = task.line, task.ordinal
        taken.columns = task.columns
        is_here = self._replace(task, taken)
        if is_closed or row.charge is not None:
            self._tally.paid_before.add(task.index)
        is_ours = step.action not in ("report", "leave")
        if is_here and (is_ours or is_closed):
            recover_files(taken, row, self._saver)
        if row.state == "saved" and taken.phase == "completed" and self._results.is_in_folder(taken):
            self._results.record(taken, self._results.already_made(taken))
        elif is_ours:
            continued.append(taken)
        else:
            self._results.end(taken, unsettled(step, self._flags) if step.action == "report" else left(step))

    def _replace(self, task: Task, taken: Task) -> bool:
        """Let the journal's task take the place of `task`, with the name that it was begun with.

        Returns whether that name is in the output folder. An image for another folder is saved here too, at no cost.
        """
        item = self._active[task.index]
        item.task = taken
        is_here = taken.out is not None and taken.out.startswith(beginning(self._target.folder))
        if taken.out is not None and is_here and taken.out != item.naming.as_row(task)[0]:
            item.naming = Naming.of_row(taken.out, taken.replaces)
        elif taken.replaces and is_here:
            item.naming.allow(taken, taken.replaces)
        return is_here

    def _take_over(self, row: Row) -> Standing:
        """Make a row's run this process's own, unless another process is at work on it. Returns whose it is."""
        assert self._ledger.journal is not None
        if self._standing.get(row.run, "live") == "live":
            self._standing[row.run] = self._ledger.journal.runs.take_over(row)
        return self._standing[row.run]
