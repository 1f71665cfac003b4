"""The journal: an SQLite file with a row for every image job, from before its request is sent.

After a crash, every job that was or may have been paid for can be found, and no request is sent twice. So each fact is
on disk before the next step is taken. The journal never holds the API key, only a tag of it made with a random salt.

May import: core.clock; journal.database (slow to load), journal.events, journal.rows, journal.runs,
journal.schema, journal.states.
"""

import contextlib
import hashlib
import hmac
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reve_cli.core.clock import Clock
from reve_cli.journal.database import Database, JournalError, open_database
from reve_cli.journal.events import Events
from reve_cli.journal.rows import Row, select_rows
from reve_cli.journal.runs import Runs
from reve_cli.journal.schema import MIGRATIONS
from reve_cli.journal.states import FILE, FREE, UNFINISHED

if TYPE_CHECKING:
    import sqlite3

Place = tuple[float, int]
"""A place in the order of all rows: when a row was begun, and its id."""
_SCAN = 500  # rows that one page of a list looks at, and those from which durations are learned
_FOREVER = 1e18
_PROBE = f"SELECT count(*) FROM jobs WHERE {UNFINISHED}"


class Journal:
    """An open journal. Any thread may call any method. Every method raises JournalError if the file cannot be used."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self.runs, self.events = Runs(database, clock), Events(database)
        self._salt = str(self._database.value("SELECT value FROM meta WHERE name = 'salt'"))

    def close(self) -> None:
        """Close the file and stop owning runs."""
        self._database.close()
        self.runs.close()

    def tag(self, key: str) -> str:
        """A tag that identifies an API key without revealing it."""
        return hmac.new(bytes.fromhex(self._salt), key.encode(), hashlib.sha256).hexdigest()[:16]

    # Writing

    def add_run(
        self, run: str, identity: str | None, origin: str, rows: Sequence[Mapping[str, Any]], check: Callable[[], None]
    ) -> list[int]:
        """Add rows, and their run if it is new, in one transaction. Returns the rows' ids.

        check: called first, inside the transaction; if it raises, nothing is added.
        """
        with self._database.transaction() as database:
            check()
            self.runs.add(run, identity, origin)
            return [self._insert(database, row) for row in rows]

    def add_attempt(self, row: Mapping[str, Any], check: Callable[[], None]) -> int:
        """Add a row for the next attempt, in a run of this process. If `check` raises, nothing is added."""
        with self._database.transaction() as database:
            check()
            return self._insert(database, row)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Write everything inside in one transaction, or nothing. Raises JournalError."""
        with self._database.transaction():
            yield

    def update(self, row: int, *, where: str = "1", **facts: Any) -> bool:
        """Set columns of a row if `where` (SQL) matches it. Returns whether it did."""
        setters = ", ".join(f"{name} = :{name}" for name in facts)
        query = f"UPDATE jobs SET {setters} WHERE id = :row AND {where}"
        return self._database.write(query, {**facts, "row": row}) == 1

    def sending(self, row: int, key_tag: str, first_try: float, first_uptime: float) -> bool:
        """Record that a row is about to be sent. Returns False if this process may not send it."""
        ours = "EXISTS (SELECT 1 FROM runs WHERE runs.run = jobs.run AND owner = :owner)"
        query = (
            "UPDATE jobs SET state = 'sending', tries = tries + 1, key_tag = :tag, first_try = :first_try,"
            " first_uptime = :first_uptime, last_uptime = :uptime WHERE id = :row"
            f" AND state IN ('intent', 'sending') AND (tries = 0 OR key_tag = :tag) AND {ours}"
        )
        values = {"row": row, "tag": key_tag, "first_try": first_try, "first_uptime": first_uptime}
        values |= {"uptime": self._clock.uptime(), "owner": self.runs.owner.name}
        return self._database.write(query, values) == 1

    def note_account(self, origin: str, key_tag: str, account: str) -> None:
        """Record the account (user and team) of a key."""
        with self._database.transaction() as database:
            database.execute("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?)", (origin, key_tag, account))

    def note_rate(self, origin: str, key_tag: str, per_minute: float) -> None:
        """Record the requests per minute that the API allows a key."""
        value = json.dumps([per_minute, self._clock.now()])
        with self._database.transaction() as database:
            database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"rate {origin} {key_tag}", value))

    def forget(self) -> None:
        """Delete all rows, runs, accounts and events. For simulated jobs only."""
        with self._database.transaction() as database:
            for table in ("jobs", "runs", "accounts", "events"):
                database.execute(f"DELETE FROM {table}")

    def thin(self, now: float, keep: float) -> None:
        """Remove prompts, paths, files and errors from finished rows older than `keep` seconds, and older events.

        This machine's clock may be wrong, so `now` counts as no later than the last time that the API told. Without
        such a time, nothing is removed.
        """
        told = "SELECT made FROM jobs WHERE made IS NOT NULL ORDER BY id DESC LIMIT 1"
        with self._database.transaction() as database:
            times = {"before": now - keep, "keep": keep}
            database.execute(
                "UPDATE jobs INDEXED BY jobs_to_thin SET"
                " body = NULL, out = NULL, replaces = NULL, files = NULL, error = NULL, scope = NULL"
                f" WHERE created < :before AND max(created, coalesce(made, created)) < ({told}) - :keep"
                f" AND body IS NOT NULL AND NOT {UNFINISHED}",
                times,
            )
            database.execute(f"DELETE FROM events WHERE received < :before AND received < ({told}) - :keep", times)

    # Reading

    def rows(self, where: str = "1", values: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows that match `where` (SQL; ORDER BY and LIMIT may follow)."""
        with self._database.transaction() as database:
            return select_rows(database, where, values or {})

    def page(
        self, where: str, values: Mapping[str, Any], before: Place | None, limit: int
    ) -> tuple[list[Row], Place | None]:
        """Up to `limit` rows that match `where` (SQL), newest first, and the place where the next page begins.

        A page looks at a limited number of rows, so it may have few rows or none, and never keeps other processes
        waiting. The place is None after the last page.
        """
        older = "(jobs.created, jobs.id) < (:before, :before_id)"
        at, number = before or (_FOREVER, 0)
        bounds = {"before": at, "before_id": number, "skip": _SCAN - 1, "limit": limit}
        with self._database.transaction() as database:
            last = database.execute(
                f"SELECT created, id FROM jobs WHERE {older} ORDER BY created DESC, id DESC LIMIT 1 OFFSET :skip",
                bounds,
            ).fetchone()
            chosen = f"{older} AND ({where})"
            if last:
                chosen += " AND (jobs.created, jobs.id) >= (:from, :from_id)"
                bounds |= {"from": last[0], "from_id": last[1]}
            order = "ORDER BY jobs.created DESC, jobs.id DESC LIMIT :limit"
            rows = select_rows(database, f"{chosen} {order}", {**values, **bounds})
        if len(rows) == limit:
            return rows, (rows[-1].created, rows[-1].id)
        return rows, last

    def latest(self, origin: str, keys: Sequence[str]) -> dict[str, Row]:
        """By key, the latest attempt of the image last begun with that key."""
        named = "SELECT key, run, number FROM jobs WHERE key IN (SELECT value FROM json_each(?))"
        chosen = "current AND origin = :origin AND jobs.run = :run AND number = :number"
        found: dict[str, Row] = {}
        with self._database.transaction() as database:
            for key, run, number in database.execute(f"{named} ORDER BY id", (json.dumps(list(keys)),)).fetchall():
                for row in self.rows(chosen, {"origin": origin, "run": run, "number": number}):
                    found[key] = row
        return found

    def by_job(self, jobs: Sequence[str]) -> dict[str, Row]:
        """By id, the newest row of each of these jobs."""
        where = "job IN (SELECT value FROM json_each(:jobs)) AND state != 'mismatch' ORDER BY jobs.id"
        return {str(row.job): row for row in self.rows(where, {"jobs": json.dumps(list(jobs))})}

    def jobs_from(self, start: str, most: int) -> list[str]:
        """Up to `most` ids of jobs that begin with `start`, newest first."""
        query = (
            "SELECT job FROM jobs WHERE job >= ? AND job < ? AND state != 'mismatch'"
            " GROUP BY job ORDER BY max(created) DESC LIMIT ?"
        )
        with self._database.transaction() as database:
            return [str(job) for (job,) in database.execute(query, (start, start + "g", most))]  # g is after all digits

    def count(self) -> int:
        """The number of rows."""
        return int(self._database.value("SELECT count(*) FROM jobs"))

    def account(self, origin: str, key_tag: str) -> str | None:
        """The account (user and team) of a key, or None if it was never recorded."""
        query = "SELECT account FROM accounts WHERE origin = ? AND key_tag = ?"
        found = self._database.value(query, (origin, key_tag))
        return None if found is None else str(found)

    def spent(self, origin: str, since: float, price: float, *, without: Sequence[int] = ()) -> float:
        """Credits charged or reserved for rows created after `since`. `price` stands for an unknown charge.

        A job counts once, even if its key was used again in other rows. without: ids of rows to leave out.
        """
        query = (
            "SELECT total(cost) FROM (SELECT max(coalesce(charge, reserved, ?)) AS cost FROM jobs JOIN runs USING (run)"
            f" WHERE origin = ? AND created > ? AND (state NOT IN {FREE} OR given_up)"
            " AND jobs.id NOT IN (SELECT value FROM json_each(?)) GROUP BY coalesce(job, jobs.id))"
        )
        return float(self._database.value(query, (price, origin, since, json.dumps(list(without)))))

    def rate(self, origin: str, key_tag: str, longest: float) -> float | None:
        """The requests per minute that `note_rate` recorded for a key in the last `longest` seconds."""
        found = self._database.value("SELECT value FROM meta WHERE name = ?", (f"rate {origin} {key_tag}",))
        per_minute, at = json.loads(found) if found else (None, 0.0)
        return per_minute if abs(self._clock.now() - at) < longest else None

    def has_other_body(self, origin: str, key_tag: str, key: str, body: str, since: float) -> bool:
        """Whether `key` was sent with another body after `since`: the API would then refuse it."""
        query = (
            "SELECT count(*) FROM jobs JOIN runs USING (run) WHERE origin = ? AND key_tag = ? AND key = ? AND body != ?"
            " AND first_try > ? AND state NOT IN ('refused', 'abandoned', 'mismatch')"
        )
        return bool(self._database.value(query, (origin, key_tag, key, body, since)))

    def unfinished_names(self) -> set[str]:
        """Beginnings of the names of files whose images are not at their output yet: job ids and whole file names."""
        rows = self.rows(f"{UNFINISHED} AND job IS NOT NULL")
        files = (file for row in rows for file in row.files or [])
        paths = (file.get(name) for file in files for name in ("path", "temporary"))
        return {row.job for row in rows if row.job} | {os.path.basename(path) for path in paths if path}

    def made_before(self, origin: str, key_tag: str, keys: Sequence[str], since: float) -> int:
        """How many of `keys` made their first job after `since`: sending such a key again costs nothing."""
        query = (
            "SELECT count(*) FROM (SELECT key FROM jobs JOIN runs USING (run) WHERE origin = ? AND key_tag = ?"
            " AND job IS NOT NULL AND state NOT IN ('failed', 'mismatch') AND key IN (SELECT value FROM json_each(?))"
            " GROUP BY key HAVING min(coalesce(made, first_try)) > ?)"
        )
        return int(self._database.value(query, (origin, key_tag, json.dumps(list(keys)), since)))

    def highest_charge(self, origin: str, model: str) -> float | None:
        """The highest charge for an image of `model`, in credits."""
        query = "SELECT max(charge) FROM jobs JOIN runs USING (run) WHERE origin = ? AND model = ? AND charge > 0"
        found = self._database.value(query, (origin, model))
        return None if found is None else float(found)

    def durations(self, origin: str, model: str, count: int) -> list[float]:
        """How long up to `count` of the newest jobs of `model` took, in seconds, newest first."""
        newest = f"SELECT run, model, made, ended FROM jobs ORDER BY created DESC LIMIT {_SCAN}"
        query = (
            f"SELECT ended - made FROM ({newest}) JOIN runs USING (run) WHERE origin = ? AND model = ?"
            " AND ended >= made LIMIT ?"
        )
        with self._database.transaction() as database:
            return [float(found) for (found,) in database.execute(query, (origin, model, count))]

    def _insert(self, database: "sqlite3.Connection", row: Mapping[str, Any]) -> int:
        names = ", ".join(row)
        places = ", ".join(f":{name}" for name in row)
        done = database.execute(f"INSERT INTO jobs ({names}) VALUES ({places})", row)
        assert done.lastrowid is not None
        return done.lastrowid


def open_journal(folder: Path, clock: Clock, warn: Callable[[str], None], *, begin: bool) -> Journal | None:
    """Open the journal in `folder`, or return None if there is none. Raises JournalError.

    begin: create a missing journal, and replace a damaged one with a warning.
    """
    path = folder / FILE

    def set_aside(aside: Path) -> None:
        warn(f"the journal was damaged and is kept as {aside}; the new journal does not contain its jobs")

    if begin:
        return Journal(open_database(path, MIGRATIONS, _PROBE, set_aside, clock.monotonic), clock)
    try:
        path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}") from error
    return Journal(Database(path, MIGRATIONS, _PROBE, clock.monotonic), clock)


def damaged_since(folder: Path, since: float) -> Path | None:
    """A damaged journal in `folder` that was in use after `since` (seconds since the epoch), or None."""
    return next((path for path in damaged(folder) if path.stat().st_mtime > since), None)


def damaged(folder: Path) -> list[Path]:
    """The damaged journals kept in `folder`."""
    return sorted(folder.glob(f"{Path(FILE).stem}-damaged-*.db"))
