"""Continue what earlier processes left unfinished: rows of the journal become tasks again.

`adopt` is for the same `generate` run again: it continues the interrupted run. `Plan` is for `resume`: it decides what
to do about each unfinished row, and which requests may be sent again with the same key.
Slow to load, like the journal. May import: engine.recovery, journal, terminal.text, core.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from reve_cli.core.clock import DAY, HOUR, Clock
from reve_cli.core.errors import ReveError
from reve_cli.core.models import ImageRequest, Job, cut, iso, job_id, whole
from reve_cli.core.tasks import Style, Task
from reve_cli.engine.recovery import resume_command
from reve_cli.journal.journal import Journal
from reve_cli.journal.ledger import Ledger
from reve_cli.journal.rows import NAMED, Row
from reve_cli.journal.runs import Run, Standing
from reve_cli.journal.spending import KEY_LIFETIME
from reve_cli.journal.states import OPEN, UNFINISHED
from reve_cli.terminal.text import quote

if TYPE_CHECKING:
    from reve_cli.engine.saving import Saver

# How long the API keeps images.
_KEPT = DAY
# Seconds after a crashed process's last try before its request is sent again: the first one may still arrive.
_PAUSE = 10.0
_LIVE = "another reve is working on it"
_OTHER_ACCOUNT = "it belongs to another account"
_OTHER_KEY = "it was begun with another API key, which may belong to another account"
_BEGUN = (*OPEN, "saved")

# What `resume` does about a row:
# fetch    save its images
# send     send its request again, which may charge it
# abandon  close it, as it was never sent
# report   name it to the user, as it cannot be settled from here
# leave    do nothing, as it belongs to another process or account
Action = Literal["fetch", "send", "abandon", "report", "leave"]


def adopt(
    ledger: Ledger,
    journal: Journal,
    identity: str,
    clock: Clock,
    flags: Sequence[str],
    ask_account: Callable[[], None],
) -> list[Row]:
    """Claim the newest interrupted run of the same command. Returns its rows, or an empty list if there is none.

    identity: of the command. Raises `ReveError` (75) if the run is unfinished but must not be continued here.
    """
    chosen = "identity = :identity AND NOT told"
    runs = journal.runs.find(chosen, {"identity": identity})
    if any(row.key_tag != ledger.account.key_tag for run in runs for row in run.rows):
        ask_account()
    taken: list[Run] = []

    def accept(run: Run) -> bool:
        if taken or not _is_begun(run) or not all(ledger.account.may_fetch(row) for row in run.rows):
            return False
        first = run.rows[0]
        age = clock.uptime() - first.begun_uptime
        same_key = first.key_is_given or first.scope is not None  # then the API itself recognises the request
        foreign = any(row.tries and not row.job and row.key_tag != ledger.account.key_tag for row in run.rows)
        if run.standing == "ours" and not foreign and 0 <= age < (KEY_LIFETIME if same_key else HOUR):
            taken.append(run)
        return bool(taken)

    runs = journal.runs.claim(chosen, {"identity": identity}, accept)
    if taken:
        return taken[0].rows
    for run in runs:
        first, name = run.rows[0], run.rows[0].run
        mine = all(ledger.account.may_fetch(row) or ledger.account.may_own(row) for row in run.rows)
        at_stake = any(row.is_unfinished and row.state != "intent" for row in run.rows)
        new = "" if first.key_is_given or first.scope else " (or use --new for new images)"
        if mine and run.standing == "live" and first.taken:
            message = f"another reve is finishing this command, begun {_when(first.begun)}; when it has ended{new}:"
            raise ReveError("unfinished", message, hint=resume_command([name], flags))
        if mine and at_stake and run.standing != "live":
            message = f"this command was begun {_when(first.begun)} and is unfinished; finish it first{new}:"
            raise ReveError("unfinished", message, hint=resume_command([name], flags))
    return []


def _is_begun(run: Run) -> bool:
    """Whether there is something to continue: not if every row was refused, closed or failed."""
    return any(row.state in _BEGUN for row in run.rows)


def task_of(row: Row, index: int, clock: Clock, *, owned: bool) -> Task:
    """A task that continues from its row. Raises `ReveError` if the row's request is invalid."""
    request = ImageRequest.from_wire(row.request) if row.body else None
    task = Task(index, "intent", request=request, idempotency_key=row.key, key_is_given=bool(row.key_is_given))
    task.scope, task.attempt, task.out, task.run, task.row = row.scope, row.attempt, row.out, row.run, row.id
    task.adopted, task.is_owned = True, owned
    task.first_try, task.first_uptime = row.first_try, row.first_uptime
    if row.style:
        task.style = Style(**row.style)
    if row.replaces:
        task.replaces = row.replaces[0], tuple(row.replaces[1])
    if owned:
        task.token = row.token
    if row.job:
        task.phase, task.job_id = "accepted", row.job
    elif row.state == "sending":
        task.was_sent = True
        waited = clock.uptime() - (row.last_uptime or 0.0)
        task.due = clock.monotonic() + max(0.0, _PAUSE - waited)
    return task


def recover_files(task: Task, row: Row, saver: "Saver") -> None:
    """Add the images that are already on disk to a task. If none is missing, the API is not asked again."""
    saver.recover(task, row.files or [])
    if row.images and len(task.files) >= row.images:
        task.phase = "completed"
        task.job = Job(
            id=row.job or "",
            status="COMPLETED",
            model=row.model,
            urls=tuple(file.url for file in sorted(task.files, key=lambda file: file.number)),
            credit_cost=whole(row.charge),
            created_at=iso(row.made),
            completed_at=iso(row.ended),
        )


@dataclass(frozen=True)
class Step:
    """What `resume` does about a row. why: the reason, if the user needs one. owned: the row is this process's."""

    row: Row
    action: Action
    why: str = ""
    owned: bool = True

    def cells(self) -> list[str]:
        """The step as a row of a table."""
        row, why = self.row, f" ({self.why})" if self.why else ""
        prompt = cut(str(row.request.get("prompt", "")), 60)
        return [self.action + why, row.job or row.key, _when(row.begun), row.out or "", prompt]

    def document(self) -> dict[str, Any]:
        """The step in JSON."""
        row = self.row
        return {
            "action": self.action,
            "why": self.why or None,
            "state": row.state,
            "run": row.run,
            "jobId": row.job,
            "idempotencyKey": row.key,
            "begunAt": iso(row.begun),
            "out": row.out,
            "prompt": row.request.get("prompt"),
        }


class Plan:
    """What `resume` does about each unfinished row, or only those that `names` (jobs, keys, runs) select.

    Raises `ReveError` (code `not_found`) for a name that the journal does not know.
    """

    def __init__(
        self, ledger: Ledger, journal: Journal, clock: Clock, names: Sequence[str], ask_account: Callable[[], None]
    ) -> None:
        self._ledger, self._journal, self._clock = ledger, journal, clock
        for name in names:
            if not journal.rows(NAMED, {"names": json.dumps([name, job_id(name)])}):
                raise ReveError("not_found", f"job, key or run {name} not found in the journal", hint="reve history")
        self._named = NAMED if names else "length(:names)"
        self._chosen = f"{UNFINISHED} AND {self._named}"
        self._values = {"names": json.dumps([*names, *map(job_id, names)])}
        if any(row.key_tag != ledger.account.key_tag for run in self._runs() for row in run.rows):
            ask_account()

    def look(self) -> list[Step]:
        """The steps, without doing or claiming anything."""
        return self._steps(self._runs())

    def take(self) -> list[Step]:
        """The steps, after claiming their rows for this process, except those that it must leave alone."""

        def accept(run: Run) -> bool:
            return any(self._ledger.account.may_fetch(row) for row in run.rows)

        steps = self._steps(self._journal.runs.claim(self._chosen, self._values, accept))
        for step in steps:
            if step.action == "abandon":
                self._journal.update(step.row.id, where="state = 'intent'", state="abandoned")
        return steps

    def close(self) -> list[Step]:
        """Close every row, except those of a running process or another account. Returns the steps of those."""
        kept = (_LIVE, _OTHER_ACCOUNT)
        steps = self.look()
        for step in steps:
            if step.why not in kept:
                begun = step.row.state != "intent"
                self._journal.update(step.row.id, where=UNFINISHED, state="abandoned", given_up=int(begun))
        return [step for step in steps if step.why in kept]

    def handed_over(self) -> list[str]:
        """Jobs of the last 24 hours that were submitted with `--no-wait` and not saved by any command."""
        left_to_run = "current AND state IN ('accepted', 'completed') AND out IS NULL AND created > :since"
        values = {**self._values, "since": self._clock.now() - _KEPT}
        rows = self._journal.rows(f"{left_to_run} AND {self._named} ORDER BY jobs.id", values)
        return [row.job for row in rows if row.job and self._ledger.account.may_fetch(row)]

    def _runs(self) -> list[Run]:
        return self._journal.runs.find(self._chosen, self._values)

    def _steps(self, runs: list[Run]) -> list[Step]:
        wanted = {row.id for row in self._journal.rows(self._chosen, self._values)}
        rows = ((row, run.standing) for run in reversed(runs) for row in run.rows if row.id in wanted)
        return [step_of(row, standing, self._ledger, self._clock) for row, standing in rows]


def step_of(row: Row, standing: Standing, ledger: Ledger, clock: Clock) -> Step:
    """What to do about an unfinished row. standing: of its run."""
    if standing == "live":
        return Step(row, "leave", _LIVE)
    if not ledger.account.may_fetch(row):
        if ledger.account.may_own(row):
            return Step(row, "leave", _OTHER_KEY)
        elsewhere = f"it belongs to {row.origin}; this command uses another API (see --sandbox and base_url)"
        return Step(row, "leave", _OTHER_ACCOUNT if row.origin == ledger.account.origin else elsewhere)
    if row.job:
        return Step(row, "fetch", owned=standing != "elsewhere")
    if row.state == "intent":
        here = standing != "elsewhere"
        return Step(row, "abandon", "it was never sent") if here else Step(row, "leave", "another machine began it")
    return _unsettled(row, standing, ledger, clock)


def _unsettled(row: Row, standing: Standing, ledger: Ledger, clock: Clock) -> Step:
    """What to do about a request that was sent and, as far as the journal knows, not answered."""
    if row.error and row.error.get("code") == "key_conflict":
        return Step(row, "report", "the API has its key for another request, or is still processing it")
    if standing == "elsewhere":
        return Step(row, "report", "only the machine that sent it may send it again", owned=False)
    if standing == "rebooted":
        return Step(row, "report", "this machine was restarted after it was sent")
    if row.key_tag != ledger.account.key_tag:
        return Step(row, "report", "only the API key that sent it can find its job")
    if clock.uptime() - (row.first_uptime or 0.0) > KEY_LIFETIME:
        return Step(row, "report", "it was sent more than 23 hours ago")
    if row.body is None or ImageRequest.from_wire(row.request).body().decode() != row.body:
        return Step(row, "report", "this version of reve would send different bytes")
    return Step(row, "send")


def unsettled(step: Step, flags: Sequence[str]) -> ReveError:
    """The error for a row that cannot be settled from here. It tells the user how to look for the job."""
    row = step.row
    sent, prompt = _when(row.first_try or row.created), cut(str(row.request.get("prompt", "")), 60)
    message = (
        f'the request sent {sent} for "{prompt}" may have been accepted, but {step.why}; look for a job of that time '
        f"in the Apiframe console (idempotency key {row.key}), then close the request:"
    )
    return ReveError("unsettled", message, hint=resume_command([row.key], flags, abandon=True))


def may_be_ours(step: Step) -> bool:
    """Whether a row that is left alone may still belong to this account."""
    return step.why == _OTHER_KEY


def left(step: Step) -> ReveError:
    """The error for a row that the user named and that is left alone."""
    name = step.row.job or step.row.key
    return ReveError("unfinished", f"{name} was left alone: {step.why}", hint=f"reve history show {quote(name)}")


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
