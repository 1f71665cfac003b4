"""The work of `reve history`: list or show rows of the journal. It only reads, and calls no API.

May import: journal, terminal, core.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reve_cli.actions.when import read_when
from reve_cli.core.clock import HOUR
from reve_cli.core.errors import ReveError
from reve_cli.core.models import iso, job_id, whole
from reve_cli.core.suggest import did_you_mean
from reve_cli.journal.database import JournalError
from reve_cli.journal.journal import Journal
from reve_cli.journal.rows import NAMED, Row
from reve_cli.journal.states import CLOSED, FREE, OPEN, UNFINISHED
from reve_cli.terminal.output import Output
from reve_cli.terminal.text import in_words, safe

_STATES = ("unfinished", *OPEN, *CLOSED)
"""The values of `--state`."""
_KEPT_HOURS = 24.0
"""The API keeps images for this long after the job ends."""
_ON_SERVER = ("accepted", "completed", "saved")
"""States of jobs whose images are on the server until they expire."""
_PENDING = ("sending", "accepted", "completed")
"""States in which an unknown charge may still become known."""
_ALL = -1  # SQL: no limit
_MOST = 1 << 62  # below the largest integer of SQLite
_PAGE = 50

_CHOSEN = "current AND (:since IS NULL OR begun >= :since) AND (:until IS NULL OR begun < :until)"
_IN_STATES = "(state IN (SELECT value FROM json_each(:states)) OR (:unfinished AND {unfinished}))"
_NEWEST_FIRST = "ORDER BY begun DESC, runs.rowid DESC, number"
_OLDEST_FIRST = "ORDER BY begun, runs.rowid, number, attempt"

_HEADERS = ("BEGUN", "STATE", "CREDITS", "EXPIRES", "JOB", "FILE", "PROMPT")


@dataclass(frozen=True)
class Query:
    """Which rows to show. An empty or None field does not filter.

    states: any of them. since, until: when the job was started, in epoch seconds, `until` exclusive. search:
    case-folded text. limit: the newest so many; 0 is all.
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
        json: bool,
    ) -> "Query":
        """Return the query for typed options. The default limit is a page, or all with `json`.

        Raises `ReveError` (code `usage`).
        """
        for state in states:
            if state not in _STATES:
                near = did_you_mean(state, _STATES)
                raise ReveError("usage", f"--state {state!r} is not one of {', '.join(_STATES)}{near}")
        begin = None if since is None else read_when(since, "--since", now)
        end = None if until is None else read_when(until, "--until", now, ends=True)
        page = 0 if json else _PAGE
        return cls(states, begin, end, (search or "").casefold(), page if limit is None else limit)

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
        left = _KEPT_HOURS - (self.now - self.row.ended) / HOUR
        return min(max(0.0, left), _KEPT_HOURS)  # the clocks may differ

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

    def cells(self) -> list[str]:
        """Return the row as cells of the table."""
        row, left = self.row, self.hours_left
        return [
            time.strftime("%Y-%m-%d %H:%M", time.localtime(row.begun)),
            row.state,
            "?" if self.is_pending else _number(self.charge),
            "" if left is None else f"{left:.1f} h" if left else "expired",
            row.job or row.key,
            str(self.files[0].get("path")) if self.files else row.out or "",
            str(self._asked("prompt") or ""),
        ]

    def document(self) -> dict[str, Any]:
        """Return the JSON document: always the full shape, in this order, null if unknown."""
        row, left = self.row, self.hours_left
        fields = ("path", "url", "bytes", "sha256", "mediaType")
        return {
            "run": row.run,
            "number": row.number,
            "attempt": row.attempt,
            "state": row.state,
            "begunAt": iso(row.begun),
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


def listing(output: Output, journal: Journal | None, query: Query, now: float) -> int:
    """Print the rows that match `query`, newest first. Returns the exit code."""
    found = [] if journal is None else _find(journal, query, now)
    shown = found[: query.limit or None]
    if not shown:
        output.note("no job matches" if journal and query.chooses else "the journal is empty")
    elif output.json:
        for entry in shown:
            output.document(entry.document())
    else:
        output.table(_HEADERS, [entry.cells() for entry in shown])
        output.note(total(shown))
    if len(shown) < len(found):
        output.note(f"showing the newest {len(shown)}; --limit 0 shows all")
    return 0


def details(output: Output, journal: Journal | None, name: str, now: float) -> int:
    """Print everything about the job, key or run `name`, with every attempt. Returns the exit code.

    Raises `ReveError` (code `not_found`) if it is not in the journal.
    """
    values = {"names": json.dumps([name, job_id(name)])}
    found = [] if journal is None else _entries(journal, f"{NAMED} {_OLDEST_FIRST}", values, now)
    if not found:
        raise ReveError("not_found", f"job, key or run {name} not found in the journal", hint="reve history")
    for number, entry in enumerate(found):
        if output.json:
            output.document(entry.document())
            continue
        if number:
            output.line("")
        for line in entry.lines():
            output.line(line)
    return 0


def total(entries: Sequence[Entry]) -> str:
    """Return the total line: images and credits. A job in several rows (a reused key) counts once."""
    jobs: dict[Any, list[Entry]] = {}
    for entry in entries:
        jobs.setdefault((entry.row.origin, entry.row.job) if entry.row.job else entry.row.id, []).append(entry)
    images, paid, pending = 0, 0.0, 0
    for same in jobs.values():
        images += max(entry.images for entry in same)
        charges = [entry.charge for entry in same if entry.charge is not None and entry.row.state != "mismatch"]
        paid += max(charges, default=0.0)
        pending += not charges and any(entry.is_pending for entry in same)
    made = "1 image" if images == 1 else f"{images} images"
    return f"{made}, {_number(paid)} credits paid" + (f", {pending} pending" if pending else "")


def _find(journal: Journal, query: Query, now: float) -> list[Entry]:
    """Return the rows that match `query`, newest first, and one more than its limit if there are more."""
    limit = min(query.limit + 1, _MOST) if query.limit and not query.search else _ALL
    values: dict[str, Any] = {"since": query.since, "until": query.until, "limit": limit}
    where = _CHOSEN
    if query.states:
        where += f" AND {_IN_STATES.format(unfinished=UNFINISHED)}"
        values |= {"states": json.dumps(list(query.states)), "unfinished": "unfinished" in query.states}
    found = _entries(journal, f"{where} {_NEWEST_FIRST} LIMIT :limit", values, now)
    return [entry for entry in found if entry.has(query.search)] if query.search else found


def _entries(journal: Journal, where: str, values: Mapping[str, Any], now: float) -> list[Entry]:
    try:
        return [Entry(row, now) for row in journal.rows(where, values)]
    except JournalError as error:
        raise ReveError("journal", str(error)) from error


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"
