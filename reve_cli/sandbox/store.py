"""The sandbox's jobs on disk: an SQLite file that several processes may use at once.

A job's row is fixed when the job is made. Status and progress are computed from it and the current time, so jobs go on
without a running process. Its webhooks have rows of their own, which outbox.py delivers. Safe against concurrent use
and kills, but not against power failure.

May import: core.clock, sandbox.outcomes.
"""

import json
import math
import os
import secrets
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reve_cli.core.clock import DAY
from reve_cli.sandbox.outcomes import OUTCOMES, Outcome

# Credits for a COMPLETED job. Made up: the real price is not published.
PRICE = 4
_VERSION = 3
_BUSY_SECONDS = 30.0
_QUEUED_PART = 0.1
_FILE = "sandbox.db"

_SCHEMA = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    key TEXT,
    api_key_hash BLOB NOT NULL,
    key_known_at REAL NOT NULL,
    body TEXT NOT NULL,
    created_at REAL NOT NULL,
    queued_until REAL NOT NULL,
    ends_at REAL NOT NULL,
    duration REAL NOT NULL,
    ending TEXT,
    running TEXT,
    outcome TEXT NOT NULL,
    images INTEGER NOT NULL,
    polls INTEGER NOT NULL DEFAULT 0,
    seen_at REAL
) WITHOUT ROWID;
CREATE INDEX jobs_by_age ON jobs (created_at, id);
CREATE INDEX jobs_by_key ON jobs (key) WHERE key IS NOT NULL;
CREATE INDEX jobs_by_ending ON jobs (ending, ends_at);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    event TEXT NOT NULL,
    at REAL NOT NULL,
    due REAL NOT NULL,
    fault TEXT,
    argument TEXT,
    tries INTEGER NOT NULL DEFAULT 0,
    claimed_until REAL NOT NULL DEFAULT 0,
    status TEXT NOT NULL
);
CREATE INDEX deliveries_by_job ON deliveries (job);
CREATE INDEX deliveries_pending ON deliveries (due) WHERE status = 'pending';
CREATE TABLE api_key (value TEXT NOT NULL);
"""
_TABLES = ("jobs", "deliveries", "api_key")
_STATUS = """CASE WHEN ends_at <= :now THEN ending WHEN running IS NOT NULL THEN running
    WHEN queued_until > :now THEN 'QUEUED' ELSE 'PROCESSING' END"""
_WEBHOOK_STATUS = """(SELECT CASE max(CASE WHEN d.status = 'delivered' THEN 1 WHEN d.due > :now THEN 2
    WHEN d.status = 'pending' THEN 2 ELSE 3 END) WHEN 1 THEN 'delivered' WHEN 2 THEN 'pending' WHEN 3 THEN 'failed' END
    FROM deliveries d WHERE d.job = jobs.id)"""
_COLUMNS = f"""id, key, api_key_hash, body, created_at, ends_at, duration, outcome, images, polls, seen_at, :now,
    {_STATUS} AS status, {_WEBHOOK_STATUS}"""


@dataclass(frozen=True)
class JobRecord:
    """A job in its state at `read_at`. Times are in epoch seconds; `ends_at` is infinite for a job that never ends.

    key: its idempotency key. api_key_hash: SHA-256 of the API key that submitted it.
    polls: number of GETs that reported it, by id or in a page.
    seen_at: when a GET first reported its terminal state.
    """

    id: str
    key: str | None
    api_key_hash: bytes
    body: dict[str, Any]
    created_at: float
    ends_at: float
    duration: float
    outcome: str
    images: int
    polls: int
    seen_at: float | None
    read_at: float
    status: str
    webhook_status: str | None

    @property
    def ended(self) -> bool:
        return self.read_at >= self.ends_at

    @property
    def way(self) -> Outcome:
        return OUTCOMES[self.outcome]

    @property
    def charged(self) -> int:
        return PRICE if self.status == "COMPLETED" else 0

    @property
    def expired(self) -> bool:
        return self.status == "COMPLETED" and (self.way.expired or self.read_at >= self.ends_at + DAY)

    @property
    def progress(self) -> int | None:
        """Percent: 100 only when COMPLETED."""
        if not self.way.has_progress:
            return None
        if self.ended:
            return 100 if self.status == "COMPLETED" else None
        if self.status == "QUEUED":
            return 0
        queued = self.duration * _QUEUED_PART
        part = (self.read_at - self.created_at - queued) / (self.duration - queued) if self.duration else 1.0
        return max(0, min(99, int(part * 100)))


@dataclass(frozen=True)
class Plan:
    """The course of a new job: its duration in seconds, its outcome, its number of images, its events to deliver.

    events: each with the values of `webhooks.Event`.
    """

    duration: float
    outcome: str = ""
    images: int = 1
    events: Callable[[JobRecord], Sequence[tuple[Any, ...]]] = lambda job: ()


class KeyConflictError(Exception):
    """Another job with a different body has this idempotency key."""


class NoCreditsError(Exception):
    """There are not enough credits for a job, only `available`."""

    def __init__(self, available: int) -> None:
        super().__init__(available)
        self.available = available


class Store:
    """The jobs in `folder`. Every method may be called from any thread, even after `close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        with self._lock:
            self._database = self._database or self._connect()

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def api_key(self) -> str:
        """The API key of this folder, the same for all its users until `clear`."""
        with self.use() as database:
            found = database.execute("SELECT value FROM api_key").fetchone()
            if found is None:
                found = (f"afk_sandbox_{secrets.token_hex(16)}",)
                database.execute("INSERT INTO api_key VALUES (?)", found)
        return str(found[0])

    def create(
        self,
        body: dict[str, Any],
        key: str | None,
        key_delay: float,
        now: float,
        plan: Callable[[], Plan],
        *,
        api_key_hash: bytes,
        credits: int,
    ) -> JobRecord:
        """The job with this `key`, or a new one; atomic among all users of the folder.

        `plan` is called only for a new job. A key is valid for a day. credits: of the account before its first job.
        Raises KeyConflictError and NoCreditsError.
        """
        text = json.dumps(body)
        with self.use() as database:
            if key is not None:
                found = self._select(
                    database,
                    "WHERE key = :key AND key_known_at <= :now AND created_at > :since ORDER BY created_at, id LIMIT 1",
                    now,
                    {"key": key, "since": now - DAY},
                )
                if found:
                    if found[0].body != body:
                        raise KeyConflictError
                    return found[0]
            available = credits - self._deducted(database, now)
            if available < PRICE:
                raise NoCreditsError(available)
            planned = plan()
            way = OUTCOMES[planned.outcome]
            created_at = math.floor(now * 1000) / 1000
            row = {
                "id": str(uuid.uuid4()),
                "key": key,
                "api_key_hash": api_key_hash,
                # Without a delay 0, not `now`: another process may have read the clock before this one.
                "key_known_at": now + key_delay if key_delay else 0.0,
                "body": text,
                "created_at": created_at,
                "queued_until": created_at + planned.duration * _QUEUED_PART,
                "ends_at": created_at + planned.duration if way.ending else math.inf,
                "duration": planned.duration,
                "ending": way.ending,
                "running": way.running,
                "outcome": planned.outcome,
                "images": planned.images,
            }
            database.execute(
                f"INSERT INTO jobs ({', '.join(row)}) VALUES ({', '.join(':' + name for name in row)})",  # noqa: S608
                row,
            )
            job = self._select(database, "WHERE id = :id", now, {"id": row["id"]})[0]
            database.executemany(
                "INSERT INTO deliveries (job, event, at, due, fault, argument, status) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(job.id, *event) for event in planned.events(job)],
            )
            return job

    def get(self, identity: str, now: float) -> JobRecord | None:
        with self.use(write=False) as database:
            found = self._select(database, "WHERE id = :id", now, {"id": identity})
        return found[0] if found else None

    def page(
        self,
        now: float,
        limit: int,
        after: tuple[float, str] | None = None,
        status: str | None = None,
        model: str | None = None,
        identity: str | None = None,
    ) -> list[JobRecord]:
        """At most `limit` jobs, newest first, after the pair (created_at, id), filtered by status, model and id."""
        conditions = {
            "(created_at, id) < (:made, :last)": after,
            "status = :status": status,
            "json_extract(body, '$.model') = :model": model,
            "id = :id": identity,
        }
        where = " AND ".join(text for text, value in conditions.items() if value is not None) or "1"
        made, last = after or (None, None)
        values = {"made": made, "last": last, "status": status, "model": model, "id": identity, "limit": limit}
        with self.use(write=False) as database:
            return self._select(database, f"WHERE {where} ORDER BY created_at DESC, id DESC LIMIT :limit", now, values)

    def all(self, now: float) -> list[JobRecord]:
        """Every job, oldest first."""
        with self.use(write=False) as database:
            return self._select(database, "ORDER BY created_at, id", now, {})

    def models(self) -> list[str]:
        with self.use(write=False) as database:
            return [name for (name,) in database.execute("SELECT DISTINCT json_extract(body, '$.model') FROM jobs")]

    def deducted(self, now: float) -> int:
        """Credits deducted for all jobs: at submission, unless the job has ended without an image since."""
        with self.use(write=False) as database:
            return self._deducted(database, now)

    @staticmethod
    def _deducted(database: sqlite3.Connection, now: float) -> int:
        query = """SELECT (SELECT count(*) FROM jobs)
            - (SELECT count(*) FROM jobs WHERE ending IN ('FAILED', 'CANCELLED') AND ends_at <= ?)"""
        return PRICE * int(database.execute(query, (now,)).fetchone()[0])

    def charged(self, now: float) -> int:
        """Credits charged for all COMPLETED jobs."""
        with self.use(write=False) as database:
            query = "SELECT count(*) FROM jobs WHERE ending = 'COMPLETED' AND ends_at <= ?"
            return PRICE * int(database.execute(query, (now,)).fetchone()[0])

    def note_answered(self, identities: Sequence[str], now: float) -> None:
        """Count one GET that reported each of these jobs."""
        query = """UPDATE jobs SET polls = polls + 1,
            seen_at = CASE WHEN seen_at IS NULL AND ends_at <= :now THEN :now ELSE seen_at END WHERE id = :id"""
        with self.use() as database:
            database.executemany(query, [{"id": identity, "now": now} for identity in identities])

    def has_deliveries(self, until: float = math.inf) -> bool:
        """Whether an event that is due by `until` is to be delivered."""
        query = "SELECT 1 FROM deliveries WHERE status = 'pending' AND due <= ? LIMIT 1"
        with self.use(write=False) as database:
            return database.execute(query, (until,)).fetchone() is not None

    def clear(self) -> None:
        with self.use() as database:
            for table in _TABLES:
                database.execute(f"DELETE FROM {table}")  # noqa: S608

    @staticmethod
    def _select(database: sqlite3.Connection, rest: str, now: float, values: dict[str, Any]) -> list[JobRecord]:
        rows = database.execute(f"SELECT {_COLUMNS} FROM jobs {rest}", {**values, "now": now})  # noqa: S608
        return [JobRecord(row[0], row[1], row[2], json.loads(row[3]), *row[4:]) for row in rows]

    @contextmanager
    def use(self, write: bool = True) -> Iterator[sqlite3.Connection]:
        """The database, in a transaction. A lock makes threads take turns; SQLite alone would sleep and poll."""
        with self._lock:
            database = self._database or self._connect()
            try:
                database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                try:
                    yield database
                except BaseException:
                    database.execute("ROLLBACK")
                    raise
                database.execute("COMMIT")
            finally:
                if database is not self._database:
                    database.close()

    def _connect(self) -> sqlite3.Connection:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / _FILE
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = PERSIST")
            database.execute("PRAGMA synchronous = OFF")
            if _version(database) != _VERSION:
                _create_schema(database)
        except sqlite3.DatabaseError as error:
            database.close()
            raise DatabaseUnusableError(f"{path}: {error}") from error
        except BaseException:
            database.close()
            raise
        return database


class DatabaseUnusableError(OSError):
    """The file is not a database, or it is damaged or locked."""


def reset(folder: Path) -> None:
    """Delete the jobs and the key of a folder. Sandboxes that are using the folder continue, with the old key."""
    if not (folder / _FILE).exists():
        return
    try:
        Store(folder).clear()
    except (DatabaseUnusableError, sqlite3.DatabaseError) as error:
        if isinstance(error.__cause__ or error, sqlite3.OperationalError):
            raise
        for path in (folder / _FILE, folder / f"{_FILE}-journal"):
            path.unlink(missing_ok=True)


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _create_schema(database: sqlite3.Connection) -> None:
    """Create the tables. Those of another version are dropped; simulated jobs are not worth migrating."""
    database.execute("BEGIN IMMEDIATE")
    if _version(database) != _VERSION:
        for table in _TABLES:
            database.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {_VERSION}")
    database.execute("COMMIT")
