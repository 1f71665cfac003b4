"""What `history` tells of the journal: which rows, and how they look in a table, in lines and in JSON.

It only reads: no API, no key. Imports `journal`, `models`, `output`, `suggest`, `errors`; slow to load, like `journal`.
"""

import datetime
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reve_cli.core.clock import DAY, HOUR, MINUTE
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
"""What rows can be chosen by."""
_KEPT_HOURS = 24.0
"""How long the API keeps the images of a job that has ended."""
_ON_SERVER = ("accepted", "completed", "saved")
_PENDING = ("sending", "accepted", "completed")
"""States in which a charge that is not known may yet become known."""
_UNITS = {"m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_AGE = re.compile(rf"([0-9]+(?:\.[0-9]+)?)([{''.join(_UNITS)}])")
_ALL = -1
"""SQL's limit that is none."""
_MOST = 1 << 62
_PAGE = 50

_CHOSEN = "current AND (:since IS NULL OR begun >= :since) AND (:until IS NULL OR begun < :until)"
_IN_STATES = "(state IN (SELECT value FROM json_each(:states)) OR (:unfinished AND {unfinished}))"
_NEWEST_FIRST = "ORDER BY begun DESC, runs.rowid DESC, number"
_OLDEST_FIRST = "ORDER BY begun, runs.rowid, number, attempt"

_HEADERS = ("BEGUN", "STATE", "CREDITS", "EXPIRES", "JOB", "FILE", "PROMPT")


def moment(text: str, option: str, now: float, *, ends: bool = False) -> float:
    """The time that a `WHEN` means, in epoch seconds. `ends`: of a date, the end of that day.

    A date or a time without a zone is local. Raises `ReveError` (code `usage`), naming `option`.
    """
    if age := _AGE.fullmatch(text):
        return now - float(age[1]) * _UNITS[age[2]]
    try:
        try:
            day = datetime.date.fromisoformat(text) + datetime.timedelta(days=int(ends))
        except ValueError:
            return datetime.datetime.fromisoformat(text).timestamp()
        return datetime.datetime.combine(day, datetime.time()).timestamp()
    except (ValueError, OverflowError, OSError):
        message = f"{option} {text!r} is no time: give an ISO date such as 2026-07-01, a date-time such as"
        raise ReveError("usage", f"{message} 2026-07-01T12:30, or an age such as 90m, 24h, 7d, 2w") from None


@dataclass(frozen=True)
class Query:
    """Which rows: begun from `since` to before `until`, in one of `states`, with the case-folded `search`, the newest
    `limit` of them. What is empty, None or 0 leaves nothing out.
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
        """A query as it is typed: without a limit for programs (`json`), a page for people.

        Raises `ReveError` (code `usage`).
        """
        for state in states:
            if state not in _STATES:
                near = did_you_mean(state, _STATES)
                raise ReveError("usage", f"--state {state!r} is not one of {', '.join(_STATES)}{near}")
        begin = None if since is None else moment(since, "--since", now)
        end = None if until is None else moment(until, "--until", now, ends=True)
        page = 0 if json else _PAGE
        return cls(states, begin, end, (search or "").casefold(), page if limit is None else limit)

    @property
    def chooses(self) -> bool:
        """Whether it may leave all rows out."""
        return bool(self.states or self.search or self.since is not None or self.until is not None)


@dataclass(frozen=True)
class Entry:
    """A row of the journal at a time `now`."""

    row: Row
    now: float

    @property
    def charge(self) -> float | None:
        """Credits charged for it; None where that is not known."""
        row = self.row
        if row.state == "mismatch":
            return 0.0  # a charge is that of the other request, which the key was used for
        if row.charge is None and row.state in FREE and not row.given_up:
            return 0.0
        return row.charge

    @property
    def is_pending(self) -> bool:
        """Whether there may be a charge that will be known."""
        return self.charge is None and (self.row.state in _PENDING or bool(self.row.given_up))

    @property
    def hours_left(self) -> float | None:
        """Hours before the images expire on the server, 0 when they have; None where that is not known."""
        if self.row.ended is None or self.row.state not in _ON_SERVER:
            return None
        left = _KEPT_HOURS - (self.now - self.row.ended) / HOUR
        return min(max(0.0, left), _KEPT_HOURS)  # no more than all, where clocks differ

    @property
    def files(self) -> list[dict[str, Any]]:
        """The files that are known to be saved, by their numbers."""
        known = [file for file in self.row.files or [] if "temporary" not in file]
        return sorted(known, key=lambda file: int(file.get("number") or 0))

    @property
    def images(self) -> int:
        """How many images the job is known to have made."""
        return 0 if self.row.state == "mismatch" else self.row.images or len(self.files)

    def has(self, text: str) -> bool:
        """Whether the case-folded `text` is in what a person may remember of it."""
        row = self.row
        paths = (file.get("path") for file in row.files or [])
        return any(
            text in str(value or "").casefold() for value in (self._asked("prompt"), row.out, row.job, row.key, *paths)
        )

    def cells(self) -> list[str]:
        """The row as a line of a table."""
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
        """The row in JSON: always the full shape, in this order, null where unknown."""
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
        """The row as lines for people: what is known of the document, a line each."""
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
        """What was asked for; None where it was not, or is forgotten."""
        request = self.row.request
        return request.get(name, request.get("reveParams", {}).get(name))


def listing(output: Output, journal: Journal | None, query: Query, now: float) -> int:
    """Print the rows that `query` wants, newest first. Returns the exit code."""
    found = [] if journal is None else _find(journal, query, now)
    shown = found[: query.limit or None]
    if not shown:
        output.note("nothing in the journal matches" if journal and query.chooses else "the journal is empty")
    elif output.json:
        for entry in shown:
            output.document(entry.document())
    else:
        output.table(_HEADERS, [entry.cells() for entry in shown])
        output.note(total(shown))
    if len(shown) < len(found):
        output.note(f"these are the newest {len(shown)}; --limit 0 shows all")
    return 0


def details(output: Output, journal: Journal | None, name: str, now: float) -> int:
    """Print all about what `name` (a job, a key or a run) means, every attempt at it. Returns the exit code.

    Raises `ReveError` (code `not_found`) where the journal does not know it.
    """
    values = {"names": json.dumps([name, job_id(name)])}
    found = [] if journal is None else _entries(journal, f"{NAMED} {_OLDEST_FIRST}", values, now)
    if not found:
        raise ReveError("not_found", f"the journal knows no job, key or run {name}", hint="reve history")
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
    """What was made and paid for. A job that several rows have, as a key answered with it again, counts once."""
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
    """What `query` wants, newest first: one more than its limit where there are more."""
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
