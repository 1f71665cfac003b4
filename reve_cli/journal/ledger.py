"""Writes the tasks of one command into the journal: each fact before the next step is taken.

If the journal cannot be used, a command warns once and continues without it. A command with spending caps stops.

May import: core; journal.account, journal.spending, journal.states; journal.database late; journal.journal and
journal.rows (for types only).
"""

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from reve_cli.core.clock import DAY, HOUR, Clock
from reve_cli.core.endings import FINISH
from reve_cli.core.errors import ErrorCode, ReveError
from reve_cli.core.models import Identity, ImageRequest, moment
from reve_cli.core.tasks import SavedFile, Task
from reve_cli.journal.account import Account
from reve_cli.journal.spending import KEY_LIFETIME, Spending
from reve_cli.journal.states import OPEN

if TYPE_CHECKING:
    from reve_cli.journal.journal import Journal
    from reve_cli.journal.rows import Row

_LEARN_FROM = 50  # past jobs from which the polling schedule learns
_REFUSALS: tuple[ErrorCode, ...] = ("usage", "invalid_request", "invalid_key", "forbidden", "insufficient_credits")
_STATES: dict[ErrorCode, str] = {
    "job_failed": "failed",
    "job_cancelled": "failed",
    "expired": "expired",
    "key_mismatch": "mismatch",
    "saved_elsewhere": "saved",
}
"""The state of a row after a final error."""


def identity_of(origin: str, tasks: Sequence[Task], out: str) -> str:
    """A hash that is equal for equal commands: the same origin, requests, keys given by the user, and output.

    A random seed counts as `random`, whatever its number: an interrupted command continues with the seed it chose.
    """
    given = [task.idempotency_key if task.key_is_given else task.scope for task in tasks]
    bodies = [_as_asked(task.request, task) for task in tasks if task.request]
    return hashlib.sha256(json.dumps([origin, out, bodies, given]).encode()).hexdigest()


def _as_asked(request: ImageRequest, task: Task) -> str:
    """The request as the user asked for it."""
    if not task.has_random_seed:
        return request.body().decode()
    return f"{replace(request, seed=None).body().decode()} with a random seed"


def _row_of_intent(task: Task, key_tag: str, created: float, reserved: float | None) -> dict[str, Any]:
    """The columns of a new row."""
    assert task.request is not None
    return {
        "run": task.run,
        "number": task.index,
        "attempt": task.attempt,
        "key": task.idempotency_key,
        "key_is_given": int(task.key_is_given),
        "key_tag": key_tag,
        "scope": task.scope,
        "body": task.request.body().decode(),
        "model": task.request.model,
        "out": None if task.out is None else json.dumps(task.out),
        "replaces": json.dumps(task.replaces),
        "style": task.style and json.dumps(asdict(task.style)),
        "token": task.token,
        "state": "intent",
        "created": created,
        "reserved": reserved,
    }


class Ledger:
    """The journal's rows for the tasks of one command. Any thread may call any method.

    origin: of the API. key: the API key; the journal keeps only a tag of it. lost: why there is no journal; "" if that
    is intended. keep_days: rows older than this are thinned.
    """

    def __init__(
        self,
        journal: "Journal | None",
        *,
        origin: str,
        key: str,
        clock: Clock,
        say: Callable[[str], None],
        lost: str,
        keep_days: float,
    ) -> None:
        self.journal, self._clock, self._say = journal, clock, say
        self.lost, self._keep = lost, max(keep_days, 2.0) * DAY
        self.run = uuid.uuid4().hex
        self._later: list[Callable[[], None]] | None = None
        self.account = Account(origin, journal.tag(key) if journal else "", self._use)
        self.spending = Spending(origin, self.account.key_tag, clock)

    @property
    def account_is_unknown(self) -> bool:
        """Whether the journal needs the account's name, which only the API can tell."""
        return self.account.name is None and self.journal is not None

    def at_once(self, work: Callable[[], None]) -> None:
        """Call `work`, commit the facts that it records together, then call what it left for `afterwards`.

        Used by the main thread only. A flush to the disk takes as long for many facts as for one.
        """
        if self._later is not None:
            work()
            return
        begun, later = False, list[Callable[[], None]]()

        def together(journal: "Journal") -> None:
            nonlocal begun
            with journal.at_once():
                begun = True
                work()

        self._later = later
        try:
            self._use(together)
            if not begun:
                work()
        finally:
            self._later = None
            for step in later:
                step()

    def afterwards(self, step: Callable[[], None]) -> None:
        """Call `step` as soon as the facts recorded so far are on disk. It may take long, such as printing."""
        if self._later is None:
            step()
        else:
            self._later.append(step)

    def can_resume(self, task: Task) -> bool:
        """Whether `reve resume` could finish `task` if this process ended now."""
        return self._has_row(task) and (task.is_owned or task.adopted)

    def begin(self, tasks: Sequence[Task], identity: str | None) -> None:
        """Add rows for all `tasks` before the first is sent, and thin old rows.

        Raises `ReveError`: over a cap, or if a key given by the user belongs to another request.
        """
        for task in tasks:
            task.run = self.run
        origin, tag = self.account.origin, self.account.key_tag
        rows = [self._new_row(task) for task in tasks]

        def prepare(journal: "Journal") -> None:
            for task, row in zip(tasks, rows, strict=True):
                used = task.key_is_given and (row["key"], row["body"], self._clock.now() - DAY)
                if used and journal.has_other_body(origin, tag, *used):
                    message = f"the idempotency key {row['key']} belongs to another request; nothing was submitted"
                    raise ReveError("key_mismatch", message, hint="use another key")
            self.spending.add(journal, rows)
            journal.thin(self._clock.now(), self._keep)

        ids = self._use(lambda j: j.add_run(self.run, identity, origin, rows, lambda: prepare(j)))
        self._insist()
        for task, row in zip(tasks, ids or [None] * len(rows), strict=True):
            task.row, task.is_owned = row, row is not None

    def renew(self, task: Task, state: str) -> None:
        """Close a task's row in `state` and add a row for its next attempt. Raises `ReveError` like `begin`."""
        if state == "failed" and not task.adopted:
            self.spending.subtract()
        self._update(task, where=f"state IN {OPEN}", state=state)
        task.renew()
        row = self._new_row(task)
        task.row = self._use(lambda j: j.add_attempt(row, lambda: self.spending.add(j, [row])))
        self._insist()

    def sending(self, task: Task, server_time: Callable[[], float]) -> None:
        """Record that `task` is about to be sent. Raises `ReveError` if it must not be sent (again).

        The API keeps a key for 24 hours. Two clocks measure its age, because each can be wrong: this machine's uptime
        may stand still with a virtual machine, and the first try's wall time may have been set wrong.
        """
        never_sent = task.first_uptime is None
        if task.first_uptime is None:
            task.first_try, task.first_uptime = self._clock.now(), self._clock.uptime()
        row, first_try, first_uptime = task.row or 0, task.first_try or 0.0, task.first_uptime
        age = self._clock.uptime() - first_uptime
        if age > HOUR:
            age = max(age, abs(server_time() - first_try))
        if age > KEY_LIFETIME:
            raise ReveError("unsettled", "the request was first sent more than 23 hours ago; it is not sent again")
        tag = self.account.key_tag
        is_ours = self._use(lambda j: j.sending(row, tag, first_try, first_uptime)) if task.row else True
        if is_ours is False:
            message = "another reve process, or this one with another API key, is already sending the request"
            raise ReveError("unsettled", message)
        if is_ours is None and never_sent:  # its row would say forever that it was never sent
            raise ReveError("journal", f"the journal cannot record the request, so it was not sent: {self.lost}")

    def accepted(self, task: Task) -> None:
        """Record the job id."""
        self._update(task, state="accepted", job=task.job_id)

    def completed(self, task: Task) -> None:
        """Record how a job ended, as the API answered it."""
        job = task.job
        if job is None or not job.ended:
            return
        state = "completed" if job.status == "COMPLETED" else "failed"
        facts = {"charge": task.charge, "made": moment(job.created_at), "ended": moment(job.completed_at)}
        self._update(task, where=f"state IN {OPEN}", state=state, images=len(job.urls), **facts)

    def publishing(self, task: Task, saved: SavedFile, temporary: str, identity: Identity) -> None:
        """Record a file that is about to get its final name, with its temporary name."""
        if not task.is_owned:
            return
        entry = {**self._entry(saved), "temporary": temporary, "inode": list(identity[:2])}
        others = [self._entry(file) for file in task.files if file.number != saved.number]
        self._update(task, files=json.dumps([*others, entry]))

    def ended(self, task: Task, *, saved: bool) -> None:
        """Record how a task ended. saved: if it has no error, its images are on disk."""
        error = task.error
        by_another = not (task.is_owned or task.adopted or task.out is None)
        if by_another and (error is None or error.code == "saved_elsewhere"):
            return  # another command saved it, not to this row's output
        if error is None:
            if saved:
                files = json.dumps([self._entry(file) for file in task.files])
                self._update(task, state="saved", files=files, error=None)
            return
        said = json.dumps({"code": error.code, "message": error.message.partition(FINISH)[0]})
        if error.code in _STATES:
            facts: dict[str, Any] = {"files": json.dumps([self._entry(file) for file in task.files])}
            if task.rescued:  # unfinished until its images are where they belong
                self._update(task, where=f"state IN {OPEN}", error=said, **facts)
                return
            if task.charge is not None:
                facts["charge"] = task.charge
            self._update(task, where="state != 'saved'", state=_STATES[error.code], error=said, **facts)
        elif error.exit_code == 75 or not task.is_owned or task.job_id is not None:
            # A later error must not replace the fact that the key belongs to another request.
            self._update(
                task, where="""state != 'saved' AND coalesce(error, '') NOT LIKE '%"key_conflict"%'""", error=said
            )
        else:
            state = "refused" if error.code in _REFUSALS else "abandoned"
            self._update(task, where="state IN ('intent', 'sending') AND job IS NULL", state=state, error=said)

    def end(self, *, told: bool) -> None:
        """Release this command's runs. told: the user knows the result, so finished runs are not continued again."""
        if self.journal is not None:
            self._use(lambda j: j.runs.end(told=told))

    def attach(self, tasks: Sequence[Task]) -> None:
        """Find the rows of tasks that have only a job id, so that what is learned about them is recorded."""
        for task in tasks:
            found = self._use(partial(self._row_of, task))
            if found:
                task.row, task.out, task.is_known = found.id, found.out, self.account.may_fetch(found)
                with contextlib.suppress(ReveError):
                    task.noted = ImageRequest.from_wire(found.request) if found.body else None

    def check_continued(self, journal: "Journal", tasks: Sequence[Task]) -> None:
        """Check the unsent tasks of a continued run against the caps. Raises `ReveError` over a cap."""
        rows = [task.row for task in tasks if task.phase == "intent" and not task.was_sent and task.row]
        self.spending.restart(journal, rows)

    def is_kept(self, name: str) -> bool:
        """Whether a file called `name` holds an image not yet saved to its output. True if that is unknown."""
        kept = self._use(lambda j: j.unfinished_names())
        return kept is None or any(name.startswith(one) for one in kept)

    def highest_charge(self, model: str) -> float | None:
        """The highest charge for an image of `model` in the journal, in credits."""
        found = self._use(lambda j: j.highest_charge(self.account.origin, model))
        return None if found is None else float(found)

    def durations(self, model: str) -> list[float]:
        """How long past jobs of `model` took, in seconds, newest first."""
        return self._use(lambda j: j.durations(self.account.origin, model, _LEARN_FROM)) or []

    def _has_row(self, task: Task) -> bool:
        return self.journal is not None and task.row is not None

    def _row_of(self, task: Task, journal: "Journal") -> "Row | None":
        found = journal.rows("job = :job AND origin = :origin", {"job": task.job_id, "origin": self.account.origin})
        return found[-1] if found else None

    def _new_row(self, task: Task) -> dict[str, Any]:
        reserved = self.spending.caps.price if self.spending.caps else None
        return _row_of_intent(task, self.account.key_tag, self._clock.now(), reserved)

    def _insist(self) -> None:
        """Raise `ReveError` if there are caps but no journal to count in."""
        if self.spending.caps and self.journal is None:
            raise ReveError("journal", f"spending caps need the journal: {self.lost}; nothing was submitted")

    @staticmethod
    def _entry(file: SavedFile) -> dict[str, Any]:
        return {**file.document(), "path": os.path.abspath(file.path), "number": file.number}

    def _update(self, task: Task, *, where: str = "1", **facts: Any) -> None:
        if self._has_row(task):
            row = task.row or 0
            self._use(lambda j: j.update(row, where=where, **facts))

    def _use(self, work: "Callable[[Journal], Any]") -> Any:
        """Call `work` with the journal. If there is none, or it fails, return None; warn when it fails."""
        from reve_cli.journal.database import JournalError

        if self.journal is None:
            return None
        try:
            return work(self.journal)
        except JournalError as error:
            journal, self.journal = self.journal, None
            if journal is not None:  # the first thread that notices
                self.lost = str(error)
                self._say(f"warning: crash safety is off from now on: {error}")
            return None
