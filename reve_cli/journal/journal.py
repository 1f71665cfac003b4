"""The journal: one SQLite file that knows every job that we mean to make, from before its request is sent.

What it is for: after a crash, whatever was or may have been paid for can still be found, and nothing is sent that was
not meant. So every fact is on the disk before the next step is taken. It never holds the API key, only a tag of it
under a salt of its own.

Imports `schema`, `database`, `owners`, `states`, `clock`; slow to load, like `database`. Any thread may call any
method.
"""

import contextlib
import hashlib
import hmac
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reve_cli.core.clock import Clock
from reve_cli.journal.database import Database, JournalError, open_database
from reve_cli.journal.owners import Owner, boot, machine
from reve_cli.journal.schema import MIGRATIONS
from reve_cli.journal.states import FREE, UNFINISHED

if TYPE_CHECKING:
    import sqlite3

NAME = "journal.db"
NAMED = """EXISTS (SELECT 1 FROM jobs AS other WHERE other.run = jobs.run AND other.number = jobs.number
    AND EXISTS (SELECT 1 FROM json_each(:names) WHERE value IN (other.job, other.key, other.run)))"""
"""That a row, or another attempt at it, is meant by one of `:names` (JSON): a job, a key, or a run; in SQL."""
_PROBE = f"SELECT count(*) FROM jobs WHERE {UNFINISHED}"
_DECODED = ("out", "replaces", "files", "error")
"""Columns of JSON, which holds any path."""

Standing = Literal["ours", "live", "rebooted", "elsewhere"]
"""Whose a run is: of this process (its own, or one that ended), of another that lives, of this machine before it was
started anew, or of another machine."""


@dataclass(frozen=True)
class Row:
    """A job as the journal has it. Times are in epoch seconds, `made` and `ended` by the API; `_uptime` see `Clock`.

    body: the request's exact text, None once thinned. out, replaces, files and error: decoded JSON. current: no later
    attempt. given_up: the user has closed it, though something may have been charged. taken: another process went on
    with the run than began it.
    """

    id: int
    run: str
    number: int
    attempt: int
    key: str
    key_is_given: int
    key_tag: str
    scope: str | None
    body: str | None
    model: str
    out: str | None
    replaces: Any
    token: str
    state: str
    created: float
    tries: int
    first_try: float | None
    first_uptime: float | None
    last_uptime: float | None
    reserved: float | None
    charge: float | None
    job: str | None
    made: float | None
    ended: float | None
    images: int | None
    files: list[dict[str, Any]] | None
    error: dict[str, str] | None
    given_up: int
    identity: str | None
    origin: str
    begun: float
    begun_uptime: float
    machine: str
    boot: str
    owner: str | None
    taken: int
    told: int
    account: str | None
    current: int

    @property
    def is_unfinished(self) -> bool:
        """The same as `UNFINISHED`."""
        return self.state in ("intent", "sending") or (self.state in ("accepted", "completed") and self.out is not None)

    @property
    def needs_another_key(self) -> bool:
        """Whether its key stands for something that is over, and brought no image."""
        return self.state in ("failed", "mismatch") or bool(self.given_up)

    @property
    def request(self) -> dict[str, Any]:
        """The request's body; empty where it was thinned."""
        found: dict[str, Any] = json.loads(self.body or "{}")
        return found


@dataclass
class Run:
    """The current rows of a run, by number, and whose it is. `is_taken`: it was made this process's."""

    rows: list[Row]
    standing: Standing
    is_taken: bool = False


_SELECT = """SELECT jobs.*, identity, origin, begun, begun_uptime, machine, boot, owner, taken, told,
    (SELECT account FROM accounts WHERE accounts.origin = runs.origin AND accounts.key_tag = jobs.key_tag) AS account,
    NOT EXISTS (SELECT 1 FROM jobs AS later WHERE later.run = jobs.run AND later.number = jobs.number
                AND later.attempt > jobs.attempt) AS current
    FROM jobs JOIN runs USING (run) """


class Journal:
    """An open journal in a state folder."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._owner: Owner | None = None
        self._salt = str(self._database.value("SELECT value FROM meta WHERE name = 'salt'"))

    def close(self) -> None:
        self._database.close()
        if self._owner is not None:
            self._owner.close()

    @property
    def owner(self) -> Owner:
        """This process. Raises JournalError where there can be no lock."""
        try:
            self._owner = self._owner or Owner(self._database.path.parent)
        except OSError as error:
            raise JournalError(f"{error.filename}: {error.strerror}") from error
        return self._owner

    def tag(self, key: str) -> str:
        """A name for an API key that does not tell the key."""
        return hmac.new(bytes.fromhex(self._salt), key.encode(), hashlib.sha256).hexdigest()[:16]

    # Writing

    def add_run(
        self, run: str, identity: str | None, origin: str, rows: Sequence[Mapping[str, Any]], check: Callable[[], None]
    ) -> list[int]:
        """Note rows, and their run unless it is known, in one transaction, if `check`, which may ask `spent`, does not
        raise. Returns the rows' ids.
        """
        facts = (run, identity, origin, self._clock.now(), self._clock.uptime(), machine(), boot(), self.owner.name)
        with self._database.transaction() as database:
            check()
            database.execute(
                "INSERT OR IGNORE INTO runs (run, identity, origin, begun, begun_uptime, machine, boot, owner)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                facts,
            )
            return [self._insert(database, row) for row in rows]

    def add_attempt(self, row: Mapping[str, Any], check: Callable[[], None]) -> int:
        """Note another attempt at a row of a run that is ours, if `check` does not raise."""
        with self._database.transaction() as database:
            check()
            return self._insert(database, row)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Everything inside is noted in one transaction, or nothing. Raises JournalError."""
        with self._database.transaction():
            yield

    def update(self, row: int, *, where: str = "1", **facts: Any) -> bool:
        """Set facts of a row, provided that `where` holds. Returns whether it did."""
        setters = ", ".join(f"{name} = :{name}" for name in facts)
        with self._database.transaction() as database:
            query = f"UPDATE jobs SET {setters} WHERE id = :row AND {where}"
            return database.execute(query, {**facts, "row": row}).rowcount == 1

    def sending(self, row: int, key_tag: str, first_try: float, first_uptime: float) -> bool:
        """Note that a row is about to be sent. Returns whether it is ours to send."""
        ours = "EXISTS (SELECT 1 FROM runs WHERE runs.run = jobs.run AND owner = :owner)"
        query = (
            "UPDATE jobs SET state = 'sending', tries = tries + 1, key_tag = :tag, first_try = :first_try,"
            " first_uptime = :first_uptime, last_uptime = :uptime WHERE id = :row"
            f" AND state IN ('intent', 'sending') AND (tries = 0 OR key_tag = :tag) AND {ours}"
        )
        values = {"row": row, "tag": key_tag, "first_try": first_try, "first_uptime": first_uptime}
        values |= {"uptime": self._clock.uptime(), "owner": self.owner.name}
        with self._database.transaction() as database:
            return database.execute(query, values).rowcount == 1

    def claim(self, which: str, values: Mapping[str, Any], accept: Callable[[Run], bool]) -> list[Run]:
        """All runs that have a row for which `which` (SQL) holds, newest first.

        Those that `accept` wants become this process's, unless their owner lives or is on another machine.
        """
        with self._database.transaction() as database:
            found = self.runs(which, values)
            for run in found:
                if run.standing in ("ours", "rebooted") and accept(run):
                    run.is_taken = True
                    taken = (self.owner.name, run.rows[0].run)
                    database.execute("UPDATE runs SET owner = ?, taken = 1 WHERE run = ?", taken)
        return found

    def take_over(self, row: Row) -> Standing:
        """Make a row's run this process's, unless its owner lives or is on another machine. Returns whose it was."""
        with self._database.transaction() as database:
            standing = self.standing(row)
            if standing in ("ours", "rebooted"):
                database.execute("UPDATE runs SET owner = ?, taken = 1 WHERE run = ?", (self.owner.name, row.run))
        return standing

    def standing(self, row: Row) -> Standing:
        """Whose a row's run is."""
        here = row.machine == machine()
        if row.owner not in (None, self.owner.name) and not self.owner.is_gone(row.owner, is_here=here):
            return "live"
        if not here:
            return "elsewhere"
        return "ours" if row.boot == boot() else "rebooted"

    def end_runs(self, *, told: bool) -> None:
        """Let go of this process's runs. `told`: their outcome was told, so that nobody takes up what is finished."""
        dropped = "(state = 'abandoned' AND error IS NULL AND NOT given_up)"  # never sent, and not for want of trying
        finished = f"NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.run = runs.run AND ({UNFINISHED} OR {dropped}))"
        with self._database.transaction() as database:
            database.execute(
                f"UPDATE runs SET owner = NULL, told = max(told, :told AND {finished}) WHERE owner = :owner",
                {"told": int(told), "owner": self.owner.name},
            )

    def note_account(self, origin: str, key_tag: str, account: str) -> None:
        with self._database.transaction() as database:
            database.execute("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?)", (origin, key_tag, account))

    def forget(self) -> None:
        """Forget everything. For simulated jobs only."""
        with self._database.transaction() as database:
            for table in ("jobs", "runs", "accounts"):
                database.execute(f"DELETE FROM {table}")

    def thin(self, before: float) -> None:
        """Forget of finished rows from before a time what only their users could want: prompts, paths, files."""
        with self._database.transaction() as database:
            database.execute(
                "UPDATE jobs SET body = NULL, out = NULL, replaces = NULL, files = NULL, error = NULL, scope = NULL"
                f" WHERE created < ? AND body IS NOT NULL AND NOT {UNFINISHED}",
                (before,),
            )

    # Reading

    def runs(self, which: str, values: Mapping[str, Any]) -> list[Run]:
        """All runs that have a row for which `which` (SQL) holds, newest first, as their current rows by number."""
        chosen = f"run IN (SELECT run FROM jobs JOIN runs USING (run) WHERE {which}) AND current"
        found: dict[str, list[Row]] = {}
        with self._database.transaction():  # so that no two processes try an owner's lock at once
            for row in self.rows(f"{chosen} ORDER BY begun DESC, jobs.run, number", values):
                found.setdefault(row.run, []).append(row)
            return [Run(rows, self.standing(rows[0])) for rows in found.values()]

    def rows(self, where: str = "1", values: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows for which `where` (SQL, may end in ORDER BY and LIMIT) holds."""
        with self._database.transaction() as database:
            return self._rows(database, f"WHERE {where}", values or {})

    def latest(self, origin: str, keys: Sequence[str]) -> dict[str, Row]:
        """By key, the last attempt of what was last begun with it."""
        named = "SELECT key, run, number FROM jobs WHERE key IN (SELECT value FROM json_each(?))"
        chosen = "current AND origin = :origin AND jobs.run = :run AND number = :number"
        found: dict[str, Row] = {}
        with self._database.transaction() as database:
            for key, run, number in database.execute(f"{named} ORDER BY id", (json.dumps(list(keys)),)).fetchall():
                for row in self.rows(chosen, {"origin": origin, "run": run, "number": number}):
                    found[key] = row
        return found

    def count(self) -> int:
        """How many rows there are."""
        return int(self._database.value("SELECT count(*) FROM jobs"))

    def account(self, origin: str, key_tag: str) -> str | None:
        query = "SELECT account FROM accounts WHERE origin = ? AND key_tag = ?"
        found = self._database.value(query, (origin, key_tag))
        return None if found is None else str(found)

    def spent(self, origin: str, since: float, price: float, *, without: Sequence[int] = ()) -> float:
        """Credits charged, or reserved, for what was begun after `since`; `price` where neither is known.

        A job that several rows have, as its key was used again, counts once. `without`: rows that are left out.
        """
        query = (
            "SELECT total(cost) FROM (SELECT max(coalesce(charge, reserved, ?)) AS cost FROM jobs JOIN runs USING (run)"
            f" WHERE origin = ? AND created > ? AND (state NOT IN {FREE} OR given_up)"
            " AND jobs.id NOT IN (SELECT value FROM json_each(?)) GROUP BY coalesce(job, jobs.id))"
        )
        return float(self._database.value(query, (price, origin, since, json.dumps(list(without)))))

    def has_other_body(self, origin: str, key_tag: str, key: str, body: str, since: float) -> bool:
        """Whether `key` was sent with another body after `since`: the API would refuse it, or not know it any more."""
        query = (
            "SELECT count(*) FROM jobs JOIN runs USING (run) WHERE origin = ? AND key_tag = ? AND key = ? AND body != ?"
            " AND first_try > ? AND state NOT IN ('refused', 'abandoned', 'mismatch')"
        )
        return bool(self._database.value(query, (origin, key_tag, key, body, since)))

    def unfinished_names(self) -> set[str]:
        """What the names of files begin with that hold images still to be saved elsewhere: job ids, and whole names."""
        rows = self.rows(f"{UNFINISHED} AND job IS NOT NULL")
        files = (file for row in rows for file in row.files or [])
        paths = (file.get(name) for file in files for name in ("path", "temporary"))
        return {row.job for row in rows if row.job} | {os.path.basename(path) for path in paths if path}

    def made_before(self, origin: str, key_tag: str, keys: Sequence[str], since: float) -> int:
        """How many of `keys` made a job after `since`, and none before, which they would answer with again."""
        query = (
            "SELECT count(*) FROM (SELECT key FROM jobs JOIN runs USING (run) WHERE origin = ? AND key_tag = ?"
            " AND job IS NOT NULL AND state NOT IN ('failed', 'mismatch') AND key IN (SELECT value FROM json_each(?))"
            " GROUP BY key HAVING min(coalesce(made, first_try)) > ?)"
        )
        return int(self._database.value(query, (origin, key_tag, json.dumps(list(keys)), since)))

    def highest_charge(self, origin: str, model: str) -> float | None:
        query = "SELECT max(charge) FROM jobs JOIN runs USING (run) WHERE origin = ? AND model = ? AND charge > 0"
        found = self._database.value(query, (origin, model))
        return None if found is None else float(found)

    def durations(self, origin: str, model: str, count: int) -> list[float]:
        """Seconds that the newest jobs of a model took, at most `count` of them."""
        query = (
            "SELECT ended - made FROM jobs JOIN runs USING (run) WHERE origin = ? AND model = ?"
            " AND ended >= made ORDER BY created DESC LIMIT ?"
        )
        with self._database.transaction() as database:
            return [float(found) for (found,) in database.execute(query, (origin, model, count))]

    def _insert(self, database: "sqlite3.Connection", row: Mapping[str, Any]) -> int:
        names = ", ".join(row)
        places = ", ".join(f":{name}" for name in row)
        done = database.execute(f"INSERT INTO jobs ({names}) VALUES ({places})", row)
        assert done.lastrowid is not None
        return done.lastrowid

    def _rows(self, database: "sqlite3.Connection", rest: str, values: Mapping[str, Any]) -> list[Row]:
        cursor = database.execute(_SELECT + rest, values)
        names = [name for name, *_ in cursor.description]
        found = (dict(zip(names, row, strict=True)) for row in cursor)
        return [Row(**{**row, **{name: json.loads(row[name] or "null") for name in _DECODED}}) for row in found]


def open_journal(folder: Path, clock: Clock, warn: Callable[[str], None], *, begin: bool) -> Journal | None:
    """The journal in `folder`. `begin`: a new one where there is none, or where it is damaged, which is told.

    Otherwise None where there is none. Raises JournalError.
    """
    path = folder / NAME

    def set_aside(aside: Path) -> None:
        warn(f"the journal was damaged and is kept as {aside}; a new one is begun, which does not know its jobs")

    if begin:
        return Journal(open_database(path, MIGRATIONS, _PROBE, set_aside), clock)
    try:
        path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}") from error
    return Journal(Database(path, MIGRATIONS, _PROBE), clock)


def damaged_since(folder: Path, since: float) -> Path | None:
    """A damaged journal that was in use after `since` (epoch seconds); None where there is none."""
    return next((path for path in damaged(folder) if path.stat().st_mtime > since), None)


def damaged(folder: Path) -> list[Path]:
    """The damaged journals that were set aside in `folder`."""
    return sorted(folder.glob(f"{Path(NAME).stem}-damaged-*.db"))
