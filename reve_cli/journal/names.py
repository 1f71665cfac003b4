"""Short names of jobs: `last`, and the beginning of an id that only one job of the journal has, as in git.

`--json`, the journal and everything sent use the full ids. May import: journal, core.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from reve_cli.core.errors import ReveError
from reve_cli.core.models import echo, job_id
from reve_cli.journal.rows import NAMED
from reve_cli.journal.states import LAST

if TYPE_CHECKING:
    from reve_cli.journal.journal import Journal

SHORTEST = 4
"""Characters that the beginning of an id needs."""
_BEGINNING = re.compile(rf"[0-9a-f][0-9a-f-]{{{SHORTEST - 1},34}}", re.IGNORECASE)
_MOST = 10
_STARTED = "(job IS NOT NULL OR state IN ('intent', 'sending')) AND state != 'mismatch'"

OpenJournal = Callable[[], "tuple[Journal | None, str]"]
"""Opens the journal; without one, returns the reason."""


def full_names(words: Sequence[str], open_journal: OpenJournal, *, only_jobs: bool) -> list[str]:
    """Replace each short name by the full one. Other words, and names that the journal has as they are, stay.

    only_jobs: every name must be a job id; else it can also be an idempotency key or a run, and a short name of a job
        without an id becomes its key. Raises `ReveError` (code `usage`) for a short name that names no job, or several.
    """
    names = list(words)
    short = {name for name in names if job_id(name) is None and (name == LAST or _BEGINNING.fullmatch(name))}
    if only_jobs:
        for name in names:
            if job_id(name) is None and name not in short:
                raise ReveError("usage", f"{echo(name)} is not a job id, the beginning of one, or '{LAST}'", hint=_LIST)
    if not short:
        return names
    journal, lost = open_journal()
    if journal is None and only_jobs:
        raise ReveError(
            "usage", f"{min(short)!r} needs the journal: {lost or 'there is none yet'}; use the job's full id"
        )
    if journal is None:
        return names
    full = {name: _full(journal, name, only_jobs=only_jobs) for name in short}
    return [full.get(name, name) for name in names]


_LIST = "reve jobs lists the account's jobs, reve history those of this machine"


def _full(journal: "Journal", name: str, *, only_jobs: bool) -> str:
    if not only_jobs and journal.rows(f"{NAMED} LIMIT 1", {"names": json.dumps([name])}):
        return name  # an idempotency key or a run
    return _last(journal, only_jobs=only_jobs) if name == LAST else _begun_with(journal, name, only_jobs=only_jobs)


def _last(journal: "Journal", *, only_jobs: bool) -> str:
    newest = journal.rows(f"{_STARTED} ORDER BY jobs.created DESC, jobs.id DESC LIMIT 1")
    if not newest:
        raise ReveError("usage", f"'{LAST}' names no job: none was begun on this machine")
    row = newest[0]
    if row.job is None and only_jobs:
        message = "the last job has no id yet: its request was not answered; to finish it:"
        raise ReveError("usage", message, hint=f"reve resume {row.key}")
    return row.job or row.key


def _begun_with(journal: "Journal", start: str, *, only_jobs: bool) -> str:
    found = journal.jobs_from(start.lower(), _MOST + 1)
    if len(found) > 1:
        listed = ", ".join(found[:_MOST]) + (", …" if len(found) > _MOST else "")
        raise ReveError("usage", f"{start!r} begins the ids of several jobs: {listed}", hint="add characters")
    if not found and only_jobs:
        message = f"{start!r} begins no job id in the journal; a job that is not in it needs its full id"
        raise ReveError("usage", message, hint=_LIST)
    return found[0] if found else start
