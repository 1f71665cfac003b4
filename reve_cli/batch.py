"""`batch`: a list of prompts becomes a folder of images, at the rate that the API allows, and each is paid for once.

A batch is a supply of tasks for the engine: as room appears, the next items are taken from the worklist, looked up in
the journal, noted there, and handed over. What lasts is the journal and the manifest.
Imports `runs`, `runtime`, `items`, `worklist`, `manifest`, `progress`, `takeup`, `jobs`; slow to load, like `jobs`.
"""

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reve_cli.errors import ReveError
from reve_cli.items import Item, Multiples, open_items, read_items
from reve_cli.jobs import Engine
from reve_cli.journal import Row
from reve_cli.ledger import Ledger
from reve_cli.manifest import Manifest
from reve_cli.models import ImageRequest, iso
from reve_cli.naming import Naming, Values
from reve_cli.pace import Pace
from reve_cli.polling import PagePoller
from reve_cli.progress import Progress
from reve_cli.recovery import resume_command
from reve_cli.runs import set_caps
from reve_cli.runtime import Runtime
from reve_cli.supply import Supply
from reve_cli.takeup import left, recover_files, step_of, task_of, unsettled
from reve_cli.tasks import Task, new_key
from reve_cli.templates import escape, parse
from reve_cli.worklist import Planned, Worklist

_AHEAD = 32
"""Items that are noted, and wait for their turn to be sent."""
_AT_ONCE = {"send": 16, "look": 8, "poll": 1, "save": 16, "account": 1}
_TRIES = 10
"""Of one request: an outage of a minute or two is outlasted."""
_TRANSIENT = re.compile(r"capacity|try again|retry|temporar|overload|unavailable|busy|time[d -]*out", re.IGNORECASE)
_AGAIN = 5.0
"""Seconds before a failed job is made again, doubling with each attempt."""
_ANY_FIELD = "{"


@dataclass(frozen=True)
class Wishes:
    """What a batch was asked for. `rate`: requests a minute at most. `in_flight`: jobs at most. `shard`: I of N."""

    file: str
    kind: str
    defaults: ImageRequest
    multiples: Multiples
    out: str | None = None
    force: bool = False
    run: str | None = None
    new: bool = False
    shard: tuple[int, int] | None = None
    retries: int = 3
    max_failures: int | None = None
    max_credits: str | None = None
    rate: float | None = None
    in_flight: int = 500
    dry_run: bool = False


def make(run: Runtime, wishes: Wishes) -> int:
    """Make all images of a file that are still missing. Returns the exit code."""
    run.take_your_time()
    target = Target(
        wishes.out, run.settings.output_folder, run.settings.name_template, wishes.force, run.process.clock.now()
    )
    worklist = Worklist()
    try:
        _read(run, wishes, worklist, target)
        if wishes.dry_run:
            return _show(run, worklist, target)
        _make_folder(target.folder)
        manifest = Manifest(target.folder, wishes.shard)
        try:
            return _run(run, wishes, worklist, target, manifest)
        finally:
            manifest.close()
    finally:
        worklist.close()


class Target:
    """The output folder of a batch, and what its images are called there."""

    def __init__(self, out: str | None, folder: str, name: str, force: bool, now: float) -> None:
        self._force, self._date = force, datetime.fromtimestamp(now, UTC).date().isoformat()
        if out is None:
            self.folder, self._template = Path(folder), os.path.join(escape(folder), name)
        elif _ANY_FIELD not in out:
            if out in ("", "-") or os.path.splitext(out.rstrip("/"))[1].lower() in (".png", ".jpg", ".jpeg", ".webp"):
                message = f"--out {out!r}: a batch saves into a folder, or by a template"
                raise ReveError("usage", message, hint="--out pics/ or --out 'pics/{slug}-{job}.{ext}'")
            self.folder, self._template = Path(out), os.path.join(escape(out), name)
        else:
            before = os.path.dirname(out[: out.index(_ANY_FIELD)].replace("{{", "{"))
            self.folder, self._template = Path(before or "."), out
        try:
            parse(self._template)
        except ValueError as error:
            raise ReveError("usage", f"--out: {error}") from error

    def naming(self, out: str | None) -> Naming:
        """The naming of one item, by its own `out` or the template of all."""
        template = self._template if out is None else os.path.join(escape(str(self.folder)), out)
        return Naming(template, ".", jobs=1, force=self._force, date=self._date)

    def inside(self, path: str) -> str:
        """A path as seen from the folder, which may be moved; an absolute one where it leads elsewhere."""
        here, there = Path(os.path.abspath(self.folder)), Path(os.path.abspath(path))
        return str(there.relative_to(here) if there.is_relative_to(here) else there)

    def path(self, planned: Planned) -> str | None:
        """Where an item's image goes, where that does not depend on its job."""
        if planned.out is None and "{job}" in self._template:
            return None
        naming, task = self.naming(planned.out), Task(planned.number, "intent", request=planned.request)
        path = naming.path(replace(Values.of(task), job="\0", ext="png"))
        return None if "\0" in path else path


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReveError("output", f"the folder {folder} cannot be made: {error.strerror}") from error


def _read(run: Runtime, wishes: Wishes, worklist: Worklist, target: Target) -> None:
    """Fill the worklist. Raises `ReveError` (code `usage`) once all that is wrong with the file is said."""
    wrong = 0
    name = "standard input" if wishes.file == "-" else wishes.file

    def bad(line: int, why: str) -> None:
        nonlocal wrong
        wrong += 1
        run.output.fail(ReveError("usage", f"{name}, line {line}: {why}"))

    file = open_items(wishes.file, getattr(sys.stdin, "buffer", None))
    with file:
        items: Iterator[Item] = read_items(file, wishes.kind, wishes.defaults, wishes.multiples, bad)
        worklist.fill(items)
    for path, first, second in worklist.set_paths(target.path):
        bad(second, f"its image would have the name of line {first}'s: {path}")
    if wrong:
        raise ReveError(
            "usage",
            f"{wrong} lines of {name} are wrong; nothing was submitted"
            if wrong > 1
            else f"a line of {name} is wrong; nothing was submitted",
        )
    if wishes.shard:
        worklist.keep_shard(*wishes.shard)
    elif not worklist.size:
        raise ReveError("usage", f"{name} has no prompts")


def _show(run: Runtime, worklist: Worklist, target: Target) -> int:
    while planned := worklist.take(_AHEAD):
        for one in planned:
            task = Task(one.number, "intent", request=one.request)
            run.show_requests([task], target.naming(one.out))
    return 0


def _run(run: Runtime, wishes: Wishes, worklist: Worklist, target: Target, manifest: Manifest) -> int:
    name = manifest.run(wishes.run, new=wishes.new, now=iso(run.process.clock.now()))
    for entry in manifest.entries(name):
        _take_entry(worklist, entry, target.folder)
    ledger = run.ledger(begin=True)
    if not wishes.force:
        worklist.skip_existing(os.path.lexists, lambda one: _is_noted(ledger, _scope_and_key(name, one)[1]))
    there = worklist.size - worklist.left
    if ledger.journal is None and run.keeps_a_journal:
        raise ReveError(
            "journal",
            f"a batch needs the journal: {ledger.lost}; nothing was submitted",
            hint="REVE_JOURNAL=off makes it without",
        )
    if worklist.left:
        set_caps(run, ledger, wishes.defaults.model, wishes.max_credits)
        if ledger.caps:
            ledger.caps.check_command(worklist.to_buy)
        run.api.http.pace = Pace(run.process.clock, wishes.rate)
        run.api.http.limits = replace(run.api.http.limits, tries=max(_TRIES, run.api.http.limits.tries))
    batch = Batch(run, wishes, name, worklist, target, manifest, ledger)
    return batch.make(there)


def _take_entry(worklist: Worklist, entry: dict[str, Any], folder: Path) -> None:
    """Take a line of the manifest into account."""
    files = [file.get("path") for file in entry.get("files") or [] if isinstance(file, dict)]
    if files:
        paths = [folder / str(path) for path in files]
        worklist.note_saved(str(entry["item"]), entry.get("jobId"), is_there=all(map(os.path.lexists, paths)))
    elif entry.get("status") in ("FAILED", "CANCELLED") or entry.get("expired"):
        attempt = entry.get("attempt")
        worklist.note_failed(str(entry["item"]), attempt if isinstance(attempt, int) else 1)


def _scope_and_key(run: str, one: Planned) -> tuple[str, str]:
    scope = json.dumps(["batch", run, one.out])
    return scope, new_key(scope, one.request, one.ordinal, one.attempt)


def _is_noted(ledger: Ledger, key: str) -> bool:
    """Whether the journal knows that a request was sent, whose image is then not just any file of that name."""
    row = ledger.journal.latest(ledger.origin, [key]).get(key) if ledger.journal else None
    return row is not None and row.state in ("sending", "accepted", "completed", "saved")


class Batch(Supply):
    """One run of `batch`: what it takes from the worklist, and what it notes of it."""

    at_once = _AT_ONCE

    def __init__(
        self,
        run: Runtime,
        wishes: Wishes,
        name: str,
        worklist: Worklist,
        target: Target,
        manifest: Manifest,
        ledger: Ledger,
    ) -> None:
        self._run, self._wishes, self._name, self._worklist = run, wishes, name, worklist
        self._target, self._manifest, self._ledger = target, manifest, ledger
        self._planned: dict[int, Planned] = {}
        self._namings: dict[int, Naming] = {}
        """Of the tasks that are at work, by their index."""
        self._tasks: dict[int, Task] = {}
        self._is_over = False
        self._standing: dict[str, Any] = {}
        self._saver = run.saver(lambda task: self._namings[task.index], ledger) if worklist.left else None

    def make(self, there: int) -> int:
        """Make all. Returns the exit code."""
        run, ledger = self._run, self._ledger
        self._progress = Progress(
            run.output, run.process.clock, self._worklist.size, there,
            simulated=lambda: run.api.http.simulated, note=self._note,
            is_over=lambda: bool(run.process.stop) or run.deadline.passed,
        )  # fmt: skip
        self._progress.running = lambda: Counter(task.phase for task in self._tasks.values())
        if self._saver is not None:
            engine = Engine(
                api=run.api, ledger=ledger, saver=self._saver, inbox=run.inbox, deadline=run.deadline,
                signals=run.process.signals, watcher=self._progress, recover=self._recover,
                past=ledger.durations(self._wishes.defaults.model), supply=self, poller=PagePoller(run.api),
            )  # fmt: skip
            engine.run([], "saved")
            run.output.rest()
        self._progress.total(lambda runs: resume_command(runs, run.flags), self.refusal)
        code = self._progress.exit_code(self.refusal)
        ledger.end(told=code == 0 and not run.process.stop)
        return code

    # Where tasks come from

    @property
    def is_empty(self) -> bool:
        return self._is_over

    def more(self, running: int, waiting: int) -> Sequence[Task]:
        """The next items as tasks, once there is room for some."""
        room = min(_AHEAD - waiting, self._wishes.in_flight - running)
        if room < min(_AHEAD // 2, self._wishes.in_flight):
            return ()
        planned = self._worklist.take(room)
        self._is_over = len(planned) < room
        tasks = [self._task(one) for one in planned]
        fresh = self._take_up(tasks)
        try:
            self._ledger.begin([task for task in fresh if self._can_begin(task)], None)
        except ReveError as refused:
            self.refusal = refused
            return [task for task in tasks if task not in fresh]
        return tasks

    def again(self, task: Task, error: ReveError) -> float | None:
        """A job that failed for want of capacity is made again, with a new key."""
        made = task.attempt - self._planned[task.index].attempt
        if error.code != "job_failed" or made >= self._wishes.retries or not _TRANSIENT.search(error.message):
            return None
        seconds = _AGAIN * 2.0**made
        self._progress.again(task, error, seconds)
        return seconds

    def _task(self, one: Planned) -> Task:
        task = Task(one.number, "intent", request=one.request, line=one.line, attempt=one.attempt, ordinal=one.ordinal)
        task.scope, task.idempotency_key = _scope_and_key(self._name, one)
        task.may_renew = True
        if one.job:
            task.phase, task.job_id = "accepted", one.job
        self._keep(task, one, self._target.naming(one.out))
        return task

    def _keep(self, task: Task, one: Planned, naming: Naming) -> None:
        self._planned[task.index], self._namings[task.index], self._tasks[task.index] = one, naming, task

    def _can_begin(self, task: Task) -> bool:
        """Check where a task's image goes, and note it."""
        naming = self._namings[task.index]
        try:
            os.makedirs(
                os.path.dirname(naming.path(replace(Values.of(task), job="job", ext="png"))) or ".", exist_ok=True
            )
            naming.check([task])
            task.out, task.replaces = naming.as_row(task)
        except OSError as error:
            task.error = ReveError("output", f"{error.filename}: {error.strerror}")
        except ReveError as error:
            task.error = error
        if task.error is not None:
            task.phase = "done"
            self._progress.done(task)
        return task.error is None

    def _take_up(self, tasks: list[Task]) -> list[Task]:
        """Let those of `tasks` that the journal knows go on where their rows end. Returns the others: to be begun."""
        journal, fresh = self._ledger.journal, []
        known = journal.latest(self._ledger.origin, [str(task.idempotency_key) for task in tasks]) if journal else {}
        for place, task in enumerate(tasks):
            row = known.get(str(task.idempotency_key))
            if task.phase == "accepted":
                continue  # a saved image that is gone: its job is asked again
            if row is None or row.state in ("refused", "abandoned"):
                fresh.append(task)
            elif row.state in ("failed", "expired", "mismatch"):
                task.attempt = row.attempt
                task.renew()
                fresh.append(task)
            else:
                tasks[place] = self._go_on(task, row, fresh)
        return fresh

    def _go_on(self, task: Task, row: Row, fresh: list[Task]) -> Task:
        """The task of an open or saved row, in place of `task`."""
        one, journal = self._planned[task.index], self._ledger.journal
        assert journal is not None
        if row.run not in self._standing:
            self._standing[row.run] = journal.take_over(row)
        step = step_of(row, self._standing[row.run], self._ledger, self._run.process.clock)
        if step.action == "abandon":
            journal.update(row.id, where="state = 'intent'", state="abandoned")
            fresh.append(task)
            return task
        taken = task_of(row, task.index, self._run.process.clock, owned=step.owned)
        taken.line, taken.ordinal, taken.may_renew = task.line, task.ordinal, True
        naming = Naming.of_row(taken.out, taken.replaces) if taken.out else self._namings[task.index]
        self._keep(taken, one, naming)
        if step.action in ("report", "leave"):
            taken.phase = "done"
            taken.error = unsettled(step, self._run.flags) if step.action == "report" else left(step)
            self._progress.done(taken)
        elif self._saver is not None:
            recover_files(taken, row, self._saver)
        return taken

    # What becomes of them

    def _recover(self, task: Task) -> str:
        return resume_command([task.job_id or task.idempotency_key or ""], self._run.flags)

    def _note(self, task: Task) -> None:
        """Note an item that ended in the manifest, and stop beginning more after too many failures."""
        one = self._planned.pop(task.index)
        self._namings.pop(task.index, None)
        self._tasks.pop(task.index, None)
        error = task.error
        document = task.document(self._run.api.http.simulated)
        for file in document["files"]:
            file["path"] = self._target.inside(file["path"])
        if task.files or (error is not None and error.code in ("job_failed", "job_cancelled", "expired")):
            self._manifest.append(
                {
                    "run": self._name, "item": one.item, "line": one.line, "ordinal": one.ordinal,
                    "attempt": task.attempt, "request": one.request.wire(), "out": one.out,
                    **document,
                }
            )  # fmt: skip
        if error is None or self.refusal is not None:
            return
        limit = self._wishes.max_failures
        if error.exit_code in (3, 4):
            self.refusal = error
        elif limit is not None and self._progress.failed + 1 >= max(limit, 1):
            self.refusal = ReveError(error.code, f"{self._progress.failed + 1} images failed: no more are begun")
