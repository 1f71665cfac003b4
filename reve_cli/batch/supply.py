"""Gives the engine the items of a batch as tasks, as soon as there is room.

A row in the journal is committed before a request leaves.
May import: engine, journal, core, batch.continuing, earlier, results, tally, target, worklist.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reve_cli.batch.continuing import Continuing
from reve_cli.batch.earlier import BatchRun, identity_in
from reve_cli.batch.results import Active, ActiveItems, Results
from reve_cli.batch.tally import Stop
from reve_cli.batch.target import Target, check_name
from reve_cli.batch.worklist import Planned, Worklist
from reve_cli.core.errors import ReveError
from reve_cli.core.models import ImageRequest
from reve_cli.core.tasks import Style, Task
from reve_cli.engine.supply import Supply
from reve_cli.journal.ledger import Ledger

_AHEAD = 32
"""Items that have a row in the journal and wait to be sent."""
_AT_ONCE = {"send": 16, "look": 8, "poll": 1, "save": 16, "account": 1}


@dataclass(frozen=True)
class Webhook:
    """Where the API reports jobs. It is not part of an item: the same item with another webhook is not made again.

    listen: the port of this machine that `url` leads to, as `[HOST:]PORT`; None to poll.
    """

    url: str | None = None
    events: tuple[str, ...] = ()
    listen: str | None = None

    def added_to(self, request: ImageRequest) -> ImageRequest:
        """The request with this webhook. Raises `ReveError` (code `usage`)."""
        if self.url is None and request.webhook_url is None:
            return request
        return replace(request, webhook_url=self.url, webhook_events=self.events)


class BatchSupply(Supply):
    """Gives the engine the items of the worklist. in_flight: maximum number of tasks at work.

    webhook: of every request.

    keeps_a_journal: stop if the journal is lost.
    """

    at_once = _AT_ONCE

    def __init__(
        self,
        batch: BatchRun,
        worklist: Worklist,
        target: Target,
        ledger: Ledger,
        active: ActiveItems,
        continuing: Continuing,
        results: Results,
        stop: Stop,
        *,
        webhook: Webhook,
        style: Style,
        in_flight: int,
        keeps_a_journal: bool,
    ) -> None:
        self._batch, self._worklist, self._target, self._ledger = batch, worklist, target, ledger
        self._active, self._continuing, self._results, self._stop = active, continuing, results, stop
        self._webhook, self._style = webhook, style
        self._in_flight, self._keeps_a_journal = in_flight, keeps_a_journal
        self._identity = identity_in(target.folder)
        self._is_over = False

    @property
    def refusal(self) -> ReveError | None:
        return self._stop.refusal

    @property
    def is_empty(self) -> bool:
        return self._is_over or self._stop.over_cap is not None

    def again(self, task: Task, error: ReveError) -> float | None:
        return self._results.again(task, error)

    def more(self, running: int, waiting: int) -> Sequence[Task]:
        """The next items, once there is room for a few."""
        room = min(_AHEAD - waiting, self._in_flight - running)
        if room < min(_AHEAD // 2, self._in_flight):
            return ()
        planned = self._worklist.take(room)
        self._is_over = len(planned) < room
        try:
            continued, fresh = self._continuing.split(list(map(self._task, planned)))
        except ReveError as error:  # the journal's
            self._stop.because(_lost(error.message))
            return ()
        return [*continued, *self._begin([task for task in fresh if self._can_begin(task)])]

    def _task(self, one: Planned) -> Task:
        request = self._webhook.added_to(one.request)
        task = Task(one.number, "intent", request=request, line=one.line, attempt=one.attempt, ordinal=one.ordinal)
        task.columns = one.columns
        task.scope, task.idempotency_key = self._batch.scope(one), self._batch.key(one)
        self._active[task.index] = Active(one, task, self._target.naming(one.out))
        return task

    def _can_begin(self, task: Task) -> bool:
        """Check the path of a task's image, and set it. If it cannot be used, the task ends."""
        item = self._active[task.index]
        try:
            check_name(item.naming, task, item.planned, make_folder=True)
            task.out, task.replaces = item.naming.as_row(task)
            task.style = self._style
        except ReveError as error:
            self._results.end(task, error)
        return task.error is None

    def _begin(self, tasks: list[Task]) -> list[Task]:
        """Commit rows for `tasks`, or for as many as the spending caps allow. Returns those to send."""
        if not tasks or self._stop.reason:
            for task in tasks:
                del self._active[task.index]
            return []
        try:
            self._ledger.begin(tasks, self._identity)
            if self._ledger.journal is None and self._keeps_a_journal:
                raise _lost(self._ledger.lost)
        except ReveError as refused:
            half = len(tasks) // 2
            if refused.code == "over_cap" and half:
                return [*self._begin(tasks[:half]), *self._begin(tasks[half:])]
            self._stop.because(refused)
            return self._begin(tasks)
        return tasks


def _lost(reason: str) -> ReveError:
    return ReveError("journal", f"the journal is lost: {reason}; stopped submitting")
