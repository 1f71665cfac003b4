"""The work of `reve history`: list or show rows of the journal. It only reads, and calls no API.

May import: settings, journal, terminal, core.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reve_cli.core.clock import HOUR
from reve_cli.core.errors import ReveError
from reve_cli.core.models import credits_of, iso, job_id, plural, whole
from reve_cli.core.suggest import did_you_mean
from reve_cli.inputs.when import read_when
from reve_cli.journal.database import JournalError
from reve_cli.journal.journal import Journal, Place
from reve_cli.journal.peek import peek
from reve_cli.journal.rows import NAMED, Row
from reve_cli.journal.states import CLOSED, FILE, FREE, OPEN, UNFINISHED
from reve_cli.settings import folders
from reve_cli.terminal.joblist import FIRST, JOBS, JobLine
from reve_cli.terminal.output import Output
from reve_cli.terminal.streams import stdout_is_terminal
from reve_cli.terminal.text import in_words, safe

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime

_STATES = ("unfinished", *OPEN, *CLOSED)
"""The values of `--state`."""
_KEPT_HOURS = 24.0
"""The API keeps images for this long after the job ends."""
_ON_SERVER = ("accepted", "completed", "saved")
"""States of jobs whose images are on the server until they expire."""
_PENDING = ("sending", "accepted", "completed")
"""States in which an unknown charge may still become known."""
_PAGE = 500
"""Rows that are read and printed at once."""

_CHOSEN = "current AND (:since IS NULL OR created >= :since) AND (:until IS NULL OR created < :until)"
_IN_STATES = "(state IN (SELECT value FROM json_each(:states)) OR (:unfinished AND {unfinished}))"
_SAVED = "EXISTS (SELECT 1 FROM json_each(files) WHERE json_extract(value, '$.{field}') = json_extract(:value, '$'))"
_OLDEST_FIRST = "ORDER BY begun, runs.rowid, number, attempt"


@dataclass(frozen=True)
class Query:
    """Which rows to show. An empty or None field does not filter.

    states: any of them. since, until: when the job was begun, in epoch seconds, `until` exclusive. search: case-folded
    text. limit: maximum number, the newest; 0 is all.
    """

    states: Sequence[str]
    since: float | None
    until: float | None
    search: str
    limit: int

    @classmethod
    def of(
        cls,
        states: Sequence[str],
        since: str | None,
        until: str | None,
        search: str | None,
        limit: int | None,
        now: float,
        *,
        everything: bool,
    ) -> "Query":
        """Return the query for typed options. everything: there is no limit by default.

        Raises `ReveError` (code `usage`).
        """
        for state in states:
            if state not in _STATES:
                near = did_you_mean(state, _STATES)
                raise ReveError("usage", f"--state {state!r} is not one of {', '.join(_STATES)}{near}")
        begin = None if since is None else read_when(since, "--since", now)
        end = None if until is None else read_when(until, "--until", now, ends=True)
        default = 0 if everything else FIRST
        return cls(states, begin, end, (search or "").casefold(), default if limit is None else limit)

    @property
    def chooses(self) -> bool:
        """Whether the query filters, so that it may match nothing."""
        return bool(self.states or self.search or self.since is not None or self.until is not None)


@dataclass(frozen=True)
class Entry:
    """A row of the journal, as seen at the time `now` (epoch seconds)."""

    row: Row
    now: float

    @property
    def charge(self) -> float | None:
        """Credits charged for the job; None if unknown."""
        row = self.row
        if row.state == "mismatch":
            return 0.0  # the charge belongs to the other request with this key
        if row.charge is None and row.state in FREE and not row.given_up:
            return 0.0
        return row.charge

    @property
    def is_pending(self) -> bool:
        """Whether an unknown charge may still become known."""
        return self.charge is None and (self.row.state in _PENDING or bool(self.row.given_up))

    @property
    def hours_left(self) -> float | None:
        """Hours until the images expire on the server; 0 if expired, None if unknown."""
        if self.row.ended is None or self.row.state not in _ON_SERVER:
            return None
        return hours_left(self.row.ended, self.now)

    @property
    def files(self) -> list[dict[str, Any]]:
        """The saved files, ordered by number."""
        known = [file for file in self.row.files or [] if "temporary" not in file]
        return sorted(known, key=lambda file: int(file.get("number") or 0))

    @property
    def images(self) -> int:
        """Number of images that the job is known to have made."""
        return 0 if self.row.state == "mismatch" else self.row.images or len(self.files)

    def has(self, text: str) -> bool:
        """Tell whether the case-folded `text` is in the prompt, an output path, the job id or the key."""
        row = self.row
        paths = (file.get("path") for file in row.files or [])
        return any(
            text in str(value or "").casefold() for value in (self._asked("prompt"), row.out, row.job, row.key, *paths)
        )

    @property
    def line(self) -> JobLine:
        """The row as a line of the table."""
        row, left = self.row, self.hours_left
        return JobLine(
            name=row.job or row.key,
            begun=row.created,
            state=row.state,
            credits="?" if self.is_pending else _number(self.charge),
            expires="" if left is None else f"{left:.1f} h" if left else "expired",
            prompt=str(self._asked("prompt") or ""),
            file=self.path if self.files or row.is_unfinished else "",
        )

    @property
    def path(self) -> str:
        """The path of the first file, or else the requested output; empty if there is none."""
        return str(self.files[0].get("path")) if self.files else self.row.out or ""

    def cells(self) -> list[str]:
        """The row as cells for other programs. The time has the same form as in JSON."""
        line = self.line
        return [iso(line.begun) or "", line.state, line.credits, line.expires, line.name, self.path, line.prompt]

    def document(self) -> dict[str, Any]:
        """Return the JSON document: always the full shape, in this order, null if unknown."""
        row, left = self.row, self.hours_left
        fields = ("path", "url", "bytes", "sha256", "downloadedSha256", "mediaType")
        return {
            "run": row.run,
            "number": row.number,
            "attempt": row.attempt,
            "state": row.state,
            "begunAt": iso(row.created),
            "jobId": row.job,
            "idempotencyKey": row.key,
            "model": row.model,
            "prompt": self._asked("prompt"),
            "seed": self._asked("seed"),
            "aspectRatio": self._asked("aspect_ratio"),
            "version": self._asked("version"),
            "out": row.out,
            "files": [{name: file.get(name) for name in fields} for file in self.files],
            "creditCost": whole(self.charge),
            "createdAt": iso(row.made),
            "completedAt": iso(row.ended),
            "hoursLeft": None if left is None else round(left, 1),
            "tries": row.tries,
            "origin": row.origin,
            "account": row.account,
            "error": row.error,
        }

    def lines(self) -> Iterator[str]:
        """Yield the row as lines for people: one for each known field of the document."""
        for name, value in self.document().items():
            if name == "files":
                for file in value:
                    yield f"file: {safe(str(file.pop('path')))}"
                    yield from (
                        f"  {in_words(field)}: {safe(str(known))}" for field, known in file.items() if known is not None
                    )
            elif value is not None:
                yield f"{in_words(name)}: {_number(value) if isinstance(value, float) else safe(str(value))}"

    def _asked(self, name: str) -> Any:
        """Return a field of the request; None if absent or no longer stored."""
        request = self.row.request
        return request.get(name, request.get("reveParams", {}).get(name))


def journal_of(run: "Runtime") -> Journal | None:
    """Return the journal, or None if there is none yet. Raises `ReveError` if it cannot be used."""
    run.output.gave_up = lambda: False  # no time limit: a pager may stay open
    journal, lost = run.journal(begin=False)
    if lost:
        raise ReveError("journal", lost)
    return journal


def listing(
    output: Output, journal: Journal | None, query: Query, now: float, elsewhere: Callable[[], str], *, simulated: bool
) -> int:
    """Print the rows that match `query`, newest first, page by page. Returns the exit code.

    elsewhere: what to say of another journal if this one is empty.
    """
    total, layout, shown, has_more = Total(simulated=simulated), None, 0, False
    for page in [] if journal is None else pages(journal, query, now):
        has_more = bool(query.limit) and shown + len(page) > query.limit
        page = page[: query.limit - shown] if query.limit else page
        shown += len(page)
        total.add(page)
        if output.json:
            for entry in page:
                output.document(entry.document())
        elif stdout_is_terminal() and page:
            layout = output.listing(JOBS, [entry.line.cells(now) for entry in page], layout)
        else:
            output.rows(entry.cells() for entry in page)
        if has_more or output.reader_left or output.error:
            break
    if not shown:
        is_empty = journal is None or not (query.chooses and journal.count())
        output.note(f"the journal is empty{elsewhere()}" if is_empty else "no job matches")
    elif not output.json:
        output.note(str(total))
    if has_more:
        output.note(f"showing the newest {shown}; --limit 0 shows all")
    return 0


def in_the_sandbox(run: "Runtime") -> str:
    """Where the simulated jobs are, if there are any and this run is a real one."""
    return "; to see the sandbox's jobs: reve history --sandbox" if sandbox_has(run, None) else ""


def sandbox_has(run: "Runtime", job: str | None) -> bool:
    """Whether the sandbox's journal has the job with this id, or any job if None. False if it is this run's journal."""
    folder = folders.state_folder(run.process.environ)
    if run.sandbox or folder is None:
        return False
    query = "SELECT id FROM jobs WHERE :job IS NULL OR job = :job LIMIT 1"
    return bool(peek(folder / folders.SANDBOX / FILE, query, {"job": job}))


def details(output: Output, journal: Journal | None, name: str, now: float) -> int:
    """Print everything about the job, key or run `name`, with every attempt, or about an image file.

    name: also the path of an image or its SHA-256. Returns the exit code. Raises `ReveError` (code `not_found`) if it
    is not in the journal.
    """
    found: list[Entry] = []
    if journal is not None:
        found = of_name(journal, name, now) or _of_file(output, journal, name, now)
    if not found:
        message = f"job, key, run or image {name} not found in the journal"
        raise ReveError("not_found", message, hint="reve history")
    for number, entry in enumerate(found):
        if output.json:
            output.document(entry.document())
            continue
        if number:
            output.line("")
        for line in entry.lines():
            output.line(line)
    return 0


def of_name(journal: Journal, name: str, now: float) -> list[Entry]:
    """The rows that a job id, an idempotency key, a run or the SHA-256 of an image names, oldest first."""
    found = _entries(journal, f"{NAMED} {_OLDEST_FIRST}", {"names": json.dumps([name, job_id(name)])}, now)
    is_hash = not found and re.fullmatch("[0-9a-fA-F]{64}", name)
    return saved(journal, "sha256", name.lower(), now) if is_hash else found


def saved(journal: Journal, field: str, value: str, now: float) -> list[Entry]:
    """The rows that saved a file with this `path` (absolute) or `sha256`, oldest first."""
    return _entries(journal, f"{_SAVED.format(field=field)} {_OLDEST_FIRST}", {"value": json.dumps(value)}, now)


def _of_file(output: Output, journal: Journal, path: str, now: float) -> list[Entry]:
    """The rows of an image file: those with its hash, else those that saved to its path."""
    if found := saved(journal, "sha256", sha256_of(path) or "-", now):
        return found
    found = saved(journal, "path", os.path.abspath(path), now)
    if found and os.path.isfile(path):
        output.warn(f"{path} is not the image that was saved there")
    return found


def sha256_of(path: str) -> str | None:
    """The SHA-256 of a file; None if there is no regular file that can be read."""
    try:
        if not os.path.isfile(path):
            return None
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def hours_left(ended: float, now: float) -> float:
    """Hours until the images of a job that ended at that time (epoch seconds) expire on the server; 0 if expired."""
    return min(max(0.0, _KEPT_HOURS - (now - ended) / HOUR), _KEPT_HOURS)  # the clocks may differ


class Total:
    """Images and credits of the rows that were added. A job in several rows (a reused key) counts once."""

    def __init__(self, *, simulated: bool) -> None:
        self._simulated = simulated
        self._images: dict[Any, int] = {}
        self._charges: dict[Any, float] = {}
        self._pending: set[Any] = set()

    def add(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            job = (entry.row.origin, entry.row.job) if entry.row.job else entry.row.id
            self._images[job] = max(self._images.get(job, 0), entry.images)
            if entry.charge is not None and entry.row.state != "mismatch":
                self._charges[job] = max(self._charges.get(job, 0.0), entry.charge)
            elif entry.is_pending:
                self._pending.add(job)

    def __str__(self) -> str:
        """The line below the list."""
        paid, pending = sum(self._charges.values()), len(self._pending - self._charges.keys())
        said = f"{plural(sum(self._images.values()), 'image')}, {credits_of(paid, simulated=self._simulated)} paid"
        return said + (f", {pending} pending" if pending else "")


def pages(journal: Journal, query: Query, now: float) -> Iterator[list[Entry]]:
    """Yield the rows that match `query`, newest first, until there is one more than its limit."""
    where = _CHOSEN
    values: dict[str, Any] = {"since": query.since, "until": query.until}
    if query.states:
        where += f" AND {_IN_STATES.format(unfinished=UNFINISHED)}"
        values |= {"states": json.dumps(list(query.states)), "unfinished": "unfinished" in query.states}
    left = query.limit + 1 if query.limit else sys.maxsize
    place: Place | None = None
    while left > 0:
        try:
            rows, place = journal.page(where, values, place, _PAGE if query.search else min(left, _PAGE))
        except JournalError as error:
            raise ReveError("journal", str(error)) from error
        entries = [entry for entry in (Entry(row, now) for row in rows) if entry.has(query.search)]
        left -= len(entries)
        yield entries
        if place is None:
            return


def _entries(journal: Journal, where: str, values: Mapping[str, Any], now: float) -> list[Entry]:
    try:
        return [Entry(row, now) for row in journal.rows(where, values)]
    except JournalError as error:
        raise ReveError("journal", str(error)) from error


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"
