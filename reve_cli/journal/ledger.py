"""What one run writes into the journal: each fact about its tasks, before the next step is taken.

Where there is no journal to be had, a run goes on without one, and says so once; only spending caps insist on it.
Imports `journal`'s types only, `spending`, `endings`, `states`, `tasks`, `models`, `clock`, `errors`.
Any thread may call any method.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from reve_cli.core.clock import DAY, HOUR, Clock
from reve_cli.core.endings import FINISH
from reve_cli.core.errors import ErrorCode, ReveError
from reve_cli.core.models import Identity, moment
from reve_cli.core.tasks import SavedFile, Task
from reve_cli.journal.spending import Caps
from reve_cli.journal.states import OPEN

if TYPE_CHECKING:
    from reve_cli.journal.journal import Journal, Row

KEY_LIFETIME = 23 * HOUR
"""Seconds after its first try for which a request may be sent again: the API keeps its key for 24 hours."""
_LEARN_FROM = 50
"""Past jobs that the polling schedule learns from."""
_REFUSALS: tuple[ErrorCode, ...] = ("usage", "invalid_request", "invalid_key", "forbidden", "insufficient_credits")
_STATES: dict[ErrorCode, str] = {
    "job_failed": "failed",
    "job_cancelled": "failed",
    "expired": "expired",
    "key_mismatch": "mismatch",
    "saved_elsewhere": "saved",
}
"""The state of a row whose job ended with an error that is final."""


def identity_of(origin: str, tasks: Sequence[Task], out: str) -> str:
    """What makes a command the same command again: the origin, the exact requests, keys that were given, the output."""
    given = [task.idempotency_key if task.key_is_given else task.scope for task in tasks]
    bodies = [task.request.body().decode() for task in tasks if task.request]
    return hashlib.sha256(json.dumps([origin, out, bodies, given]).encode()).hexdigest()


class Ledger:
    """The journal, as far as the tasks of one run go.

    origin: of the API. key: the API key, of which only a tag is kept. `lost`: why there is no journal, where none is.
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
        self.journal, self.origin, self._clock, self._say = journal, origin, clock, say
        self.lost, self._keep = lost, max(keep_days, 2.0) * DAY
        self.tag = journal.tag(key) if journal else ""
        self.run = uuid.uuid4().hex
        self.caps: Caps | None = None
        self._account: str | None = None
        self._begun = 0
        """Images that this command may be charged for so far."""

    def can_resume(self, task: Task) -> bool:
        """Whether `resume` can finish `task` should this process end now."""
        return self._knows(task) and (task.is_owned or task.adopted)

    def is_strange(self, row: "Row") -> bool:
        """Whether nobody knows if a row is of the account of this key."""
        unknown = row.account is None or self.account is None
        return row.origin == self.origin and row.key_tag != self.tag and unknown

    def may_fetch(self, row: "Row") -> bool:
        """Whether a row's job can be asked for: it was made here, with this key or with another of the same account."""
        same = row.key_tag == self.tag or (row.account is not None and row.account == self.account)
        return row.origin == self.origin and same

    def begin(self, tasks: Sequence[Task], identity: str | None) -> None:
        """Note all `tasks`, before the first of them is sent. Raises `ReveError` where a cap forbids them.

        What is older than the days to keep is thinned by the way.
        """
        for task in tasks:
            task.run = self.run
        rows = [self._facts(task) for task in tasks]

        def prepare(journal: "Journal") -> None:
            for task, row in zip(tasks, rows, strict=True):
                used = task.key_is_given and (row["key"], row["body"], self._clock.now() - DAY)
                if used and journal.has_other_body(self.origin, self.tag, *used):
                    message = f"the idempotency key {row['key']} belongs to another request; nothing was submitted"
                    raise ReveError("key_mismatch", message, hint="use another key")
            self._check_caps(journal, rows)
            journal.thin(self._clock.now() - self._keep)

        ids = self._write(lambda j: j.add_run(self.run, identity, self.origin, rows, lambda: prepare(j)))
        self._insist()
        for task, row in zip(tasks, ids or [None] * len(rows), strict=True):
            task.row, task.is_owned = row, row is not None

    def renew(self, task: Task, state: str) -> None:
        """Close a task's row in `state` and note its next attempt. Raises `ReveError` like `begin`."""
        if state == "failed" and not task.adopted:
            self._begun -= 1  # it was counted, and costs nothing
        self._update(task, where=f"state IN {OPEN}", state=state)
        task.renew()
        row = self._facts(task)
        task.row = self._write(lambda j: j.add_attempt(row, lambda: self._check_caps(j, [row])))
        self._insist()

    def sending(self, task: Task, server_time: Callable[[], float]) -> None:
        """Note that `task` is about to be sent. Raises `ReveError` where it must not be sent (again).

        A key means the same job for 24 hours. Neither its age by this machine's clock, which may stand still with a
        virtual machine, nor its age by the server's, set against a wall clock that may have been wrong, is enough.
        """
        never_sent = task.first_uptime is None
        if task.first_uptime is None:
            task.first_try, task.first_uptime = self._clock.now(), self._clock.uptime()
        row, first_try, first_uptime = task.row or 0, task.first_try or 0.0, task.first_uptime
        age = self._clock.uptime() - first_uptime
        if age > HOUR:
            age = max(age, abs(server_time() - first_try))
        if age > KEY_LIFETIME:
            raise ReveError("unsettled", "it was first sent more than 23 hours ago, and is not sent again")
        ours = self._write(lambda j: j.sending(row, self.tag, first_try, first_uptime)) if task.row else True
        if ours is False:
            raise ReveError("unsettled", "another reve, or this one with another key, has begun to send it")
        if ours is None and never_sent:  # its row would say for ever that it was not
            raise ReveError("journal", f"it could not be noted before it is sent: {self.lost}")

    def accepted(self, task: Task) -> None:
        self._update(task, state="accepted", job=task.job_id)

    def completed(self, task: Task) -> None:
        """Note how a job ended, as the API tells it."""
        job = task.job
        if job is None or not job.ended:
            return
        state = "completed" if job.status == "COMPLETED" else "failed"
        facts = {"charge": task.charge, "made": moment(job.created_at), "ended": moment(job.completed_at)}
        self._update(task, where=f"state IN {OPEN}", state=state, images=len(job.urls), **facts)

    def publishing(self, task: Task, saved: SavedFile, temporary: str, identity: Identity) -> None:
        """Note what is about to be published, under its temporary and its final name."""
        if not task.is_owned:
            return
        entry = {**self._entry(saved), "temporary": temporary, "inode": list(identity[:2])}
        others = [self._entry(file) for file in task.files if file.number != saved.number]
        self._update(task, files=json.dumps([*others, entry]))

    def ended(self, task: Task, *, saved: bool) -> None:
        """Note what became of a task. `saved`: its images are on disk, should there be no error."""
        error = task.error
        by_another = not (task.is_owned or task.adopted or task.out is None)
        if by_another and (error is None or error.code == "saved_elsewhere"):
            return  # saved by another command, not where this row's images were meant to go
        if error is None:
            if saved:
                files = json.dumps([self._entry(file) for file in task.files])
                self._update(task, state="saved", files=files, error=None)
            return
        said = json.dumps({"code": error.code, "message": error.message.partition(FINISH)[0]})
        if error.code in _STATES:
            facts: dict[str, Any] = {"files": json.dumps([self._entry(file) for file in task.files])}
            if task.charge is not None:
                facts["charge"] = task.charge
            self._update(task, where="state != 'saved'", state=_STATES[error.code], error=said, **facts)
        elif error.exit_code == 75 or not task.is_owned or task.job_id is not None:
            # that the key is another request's is not forgotten for what happens later
            self._update(
                task, where="""state != 'saved' AND coalesce(error, '') NOT LIKE '%"key_conflict"%'""", error=said
            )
        else:
            state = "refused" if error.code in _REFUSALS else "abandoned"
            self._update(task, where="state IN ('intent', 'sending') AND job IS NULL", state=state, error=said)

    def end(self, *, told: bool) -> None:
        """Let go of everything. `told`: the user knows what became of it, so that nothing is taken up again."""
        if self.journal is not None:
            self._write(lambda j: j.end_runs(told=told))

    def attach(self, tasks: Sequence[Task]) -> None:
        """Find the rows of jobs that are named by their ids, to note what is learned of them."""
        for task in tasks:
            found = self._write(partial(self._row_of, task))
            if found:
                task.row, task.out = found.id, found.out

    def _row_of(self, task: Task, journal: "Journal") -> "Row | None":
        found = journal.rows("job = :job AND origin = :origin", {"job": task.job_id, "origin": self.origin})
        return found[-1] if found else None

    def check_taken_up(self, journal: "Journal", tasks: Sequence[Task]) -> None:
        """Raises `ReveError` where a cap forbids what was never sent of a run that is taken up."""
        rows = [task.row for task in tasks if task.phase == "intent" and not task.was_sent and task.row]
        self._begun = 0
        self._count(journal, len(rows), without=rows)

    def is_kept(self, name: str) -> bool:
        """Whether a file of that name holds an image that is still to go where it was meant to; likely, if unknown."""
        kept = self._write(lambda j: j.unfinished_names())
        return kept is None or any(name.startswith(one) for one in kept)

    @property
    def account(self) -> str | None:
        """Whose key this is, user and team, where the API has told it before."""
        if self._account is None:
            self._account = self._write(lambda j: j.account(self.origin, self.tag))
        return self._account

    @property
    def account_is_unknown(self) -> bool:
        """Whether the API has yet to be asked whose key this is."""
        return self.account is None and self.journal is not None

    def note_account(self, name: str) -> None:
        """Note whose key this is."""
        self._account = name
        self._write(lambda j: j.note_account(self.origin, self.tag, name))

    def highest_charge(self, model: str) -> float | None:
        """The most credits that an image of a model was charged."""
        found = self._write(lambda j: j.highest_charge(self.origin, model))
        return None if found is None else float(found)

    def durations(self, model: str) -> list[float]:
        """Seconds that past jobs took, newest first."""
        return self._write(lambda j: j.durations(self.origin, model, _LEARN_FROM)) or []

    def _knows(self, task: Task) -> bool:
        return self.journal is not None and task.row is not None

    def _facts(self, task: Task) -> dict[str, Any]:
        assert task.request is not None
        return {
            "run": task.run,
            "number": task.index,
            "attempt": task.attempt,
            "key": task.idempotency_key,
            "key_is_given": int(task.key_is_given),
            "key_tag": self.tag,
            "scope": task.scope,
            "body": task.request.body().decode(),
            "model": task.request.model,
            "out": None if task.out is None else json.dumps(task.out),
            "replaces": json.dumps(task.replaces),
            "token": task.token,
            "state": "intent",
            "created": self._clock.now(),
            "reserved": self.caps.price if self.caps else None,
        }

    def _insist(self) -> None:
        """Raises `ReveError` where a cap is to be kept, and there is no journal to keep it by."""
        if self.caps and self.journal is None:
            raise ReveError("journal", f"spending caps need the journal: {self.lost}; nothing was submitted")

    def _check_caps(self, journal: "Journal", rows: Sequence[Mapping[str, Any]]) -> None:
        """Raises `ReveError` where `rows` cost more than they may. A key that has made its job costs nothing more."""
        if self.caps:
            now, keys = self._clock.now(), [str(row["key"]) for row in rows]
            made = journal.made_before(self.origin, self.tag, keys, now - KEY_LIFETIME)
            self._count(journal, len(rows) - made)

    def _count(self, journal: "Journal", count: int, *, without: Sequence[int] = ()) -> None:
        """Count `count` images more. Raises `ReveError` over a cap. `without`: rows that are theirs already."""
        if self.caps:
            self.caps.check_command(self._begun + count)
            if self.caps.day is not None:
                spent = journal.spent(self.origin, self._clock.now() - DAY, self.caps.price, without=without)
                self.caps.check_day(spent, count)
            self._begun += count

    @staticmethod
    def _entry(file: SavedFile) -> dict[str, Any]:
        return {**file.document(), "path": os.path.abspath(file.path), "number": file.number}

    def _update(self, task: Task, *, where: str = "1", **facts: Any) -> None:
        if self._knows(task):
            row = task.row or 0
            self._write(lambda j: j.update(row, where=where, **facts))

    def _write(self, work: "Callable[[Journal], Any]") -> Any:
        """Do `work` with the journal. Where that cannot be, say so once and go on without: the answer is None."""
        from reve_cli.journal.database import JournalError

        if self.journal is None:
            return None
        try:
            return work(self.journal)
        except JournalError as error:
            self.journal, self.lost = None, str(error)
            self._say(f"warning: crash safety is off from here on: {error}")
            return None
