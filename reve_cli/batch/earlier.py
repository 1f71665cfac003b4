"""Looks at earlier runs of a batch: which run to continue, which items are done, and which are paid for.

The manifest says most of it. The journal adds items that the manifest lacks, or all if the manifest was deleted.
May import: journal, core, batch.identity, manifest, target, worklist.
"""

import json
import os
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reve_cli.batch import manifest
from reve_cli.batch.identity import random_seed, read_scope, scope_prefix, write_scope
from reve_cli.batch.target import beginning
from reve_cli.batch.worklist import Planned, Worklist
from reve_cli.core.tasks import new_key
from reve_cli.journal.ledger import Ledger
from reve_cli.journal.states import BEGUN, UNFINISHED

if TYPE_CHECKING:
    from reve_cli.journal.journal import Journal
    from reve_cli.journal.rows import Row

_NEWEST = 1000  # rows of the journal to search for a run without a manifest


@dataclass(frozen=True)
class BatchRun:
    """A run of a batch. instead: the runs that it replaces. counts: whether images of the given run count as made.

    is_new: the run is for `--new`. is_known: it was named or found, so its name is not just made up.
    """

    name: str
    instead: tuple[str, ...]
    counts: Callable[[str], bool]
    is_new: bool = False
    is_known: bool = True

    def scope(self, planned: Planned) -> str:
        """The scope of an item's idempotency key."""
        return write_scope(self.name, planned.out, is_random=planned.is_random)

    def key(self, planned: Planned) -> str:
        """The idempotency key of an item's next attempt."""
        return new_key(self.scope(planned), planned.request, planned.ordinal, planned.attempt)

    def seed(self, body: str, out: str | None, ordinal: int) -> int:
        """The seed of an item whose seed is random. body: its request without a seed."""
        return random_seed(self.name, body, out, ordinal)


def choose_run(folder: Path, name: str | None, journal: "Journal | None", origin: str, *, new: bool) -> BatchRun:
    """The run called `name`, or the last one in `folder`, or a new one. new: start over. journal: None to ignore it."""
    past = manifest.past(folder)
    if name is not None:
        return BatchRun(name, (), lambda run: run == name or run not in past.replaced)
    if new:
        return BatchRun(uuid.uuid4().hex, tuple(sorted(past.known)), lambda run: False, is_new=True, is_known=False)
    last = past.run or (_run_in(journal, folder, origin) if journal else None)
    return BatchRun(last or uuid.uuid4().hex, (), lambda run: run not in past.replaced, is_known=last is not None)


def identity_in(folder: Path) -> str:
    """The identity in the journal of all batches in `folder`. Raises `ReveError` (code `output`)."""
    return json.dumps(["batch", beginning(folder)])


def _run_in(journal: "Journal", folder: Path, origin: str) -> str | None:
    """The last run in `folder` in the journal, if any of its images still exists or any of its jobs is unfinished."""
    here = "jobs.run IN (SELECT run FROM runs WHERE origin = :origin AND identity = :identity)"
    query = f"{here} ORDER BY +jobs.id DESC LIMIT {_NEWEST}"  # the plus keeps SQLite from reading every row by its id
    last: str | None = None
    for row in journal.rows(query, {"origin": origin, "identity": identity_in(folder)}):
        scope = read_scope(row.scope)
        if scope is None:
            continue
        run = scope[0]
        last = last or run
        if run == last and (row.is_unfinished or any(os.path.lexists(file["path"]) for file in row.files or [])):
            return last
    return None


def take_stock(
    worklist: Worklist, folder: Path, run: BatchRun, *, simulated: Callable[[bool], bool], warn: Callable[[str], None]
) -> None:
    """Record the manifests of `folder` in the worklist.

    simulated: whether an item counts, given whether it was simulated.
    """
    with worklist.at_once():
        if worklist.has("former"):
            for entry in manifest.entries(folder, lambda text: None):
                if run.counts(entry.run):
                    worklist.keep_former(entry.item)
        for entry in manifest.entries(folder, warn):
            counts = run.counts(entry.run) and simulated(entry.simulated)
            if entry.paths:
                is_there, images = all(map(_is_image, entry.paths)), len(entry.paths)
                for path in entry.paths[1:]:
                    worklist.note_image(None, None, path, is_there=is_there)
                item = entry.item if counts else None
                worklist.note_image(item, entry.job, entry.paths[0], is_there=is_there, images=images)
            elif counts and entry.has_expired:
                worklist.note_job(entry.item, entry.job)
            elif counts and entry.has_failed and entry.run == run.name:
                worklist.note_failed(entry.item, entry.attempt)
        worklist.note_other_lines()


def _is_image(path: str) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) > 0


def ask_journal(worklist: Worklist, folder: Path, run: BatchRun, ledger: Ledger) -> bool:
    """Mark items in the worklist that the journal has as begun. Returns whether any was begun with another API key."""
    journal, values = ledger.journal, _values(run, ledger)
    if journal is None or not journal.rows(f"{_MINE} LIMIT 1", values):
        return False
    begun = journal
    if worklist.has("former"):

        def kept(planned: list[Planned]) -> list[str]:
            keys = {run.key(one): one.item for one in planned}
            return [keys[key] for key in begun.latest(ledger.account.origin, list(keys))]

        worklist.keep_known(kept)

    origin = ledger.account.origin
    worklist.note_known(lambda planned: begun_rows(run, begun, origin, planned))
    here, last = os.path.abspath(folder), 0
    while rows := journal.rows(
        f"{_MINE} AND files IS NOT NULL AND jobs.id > {last} ORDER BY jobs.id LIMIT 500", values
    ):
        for path in (Path(file["path"]) for row in rows for file in row.files or []):
            if path.is_relative_to(here):
                worklist.note_taken(str(folder / path.relative_to(here)))
        last = rows[-1].id
    return bool(journal.rows(f"{_MINE} AND key_tag != :tag LIMIT 1", values))


def begun_rows(run: BatchRun, journal: "Journal", origin: str, planned: list[Planned]) -> "dict[int, Row]":
    """By number, the journal's rows of items that were begun and may be paid for."""
    found: dict[int, Row] = {}
    while planned:
        keys = {run.key(one): one for one in planned}
        rows = journal.latest(origin, list(keys))
        found |= {keys[key].number: row for key, row in rows.items() if row.state in BEGUN}
        over = [(keys[key], row) for key, row in rows.items() if row.needs_another_key]
        planned = [replace(one, attempt=row.attempt + 1) for one, row in over]
    return found


def left_behind(run: BatchRun, ledger: Ledger, told: Collection[str]) -> list[str]:
    """Runs with paid jobs of this batch that are unfinished and in no process, except those already `told`."""
    if ledger.journal is None:
        return []
    query = f"{_MINE} AND {UNFINISHED} AND state != 'intent' AND current"
    rows = [row for row in ledger.journal.rows(query, _values(run, ledger)) if row.run not in told]
    ours, runs = [row for row in rows if ledger.account.may_fetch(row)], ledger.journal.runs
    return sorted({row.run for row in ours if runs.standing(row) != "live"})


_MINE = "origin = :origin AND scope >= :scope AND scope < :after"


def _values(run: BatchRun, ledger: Ledger) -> dict[str, str]:
    prefix = scope_prefix(run.name)
    after = prefix[:-1] + chr(ord(prefix[-1]) + 1)  # follows all scopes with this prefix
    return {"origin": ledger.account.origin, "scope": prefix, "after": after, "tag": ledger.account.key_tag}
