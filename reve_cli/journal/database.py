"""The journal's file: an SQLite database that many processes share and that survives crashes and power failures.

It uses a rollback journal, `synchronous=EXTRA` and `BEGIN IMMEDIATE`, and reads its settings back. Only SQLite opens
the file while it is in use: opening and closing it in the same process would drop SQLite's locks. Every process that
uses it shares a lock on a second file. A damaged file is renamed only by a process that holds that lock exclusively.

May import: core.errors, core.filesystem. Slow to load: sqlite3.
"""

import os
import secrets
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from reve_cli.core.errors import ReveError
from reve_cli.core.filesystem import FileLock, sync

Monotonic = Callable[[], float]

_BUSY_SECONDS = 30.0
_SLICE_SECONDS = 0.25  # longest wait inside SQLite: Python handles signals only between waits
_CACHE_KIB = 256
_RENAME_SECONDS = 5.0
_POLL_SECONDS = 0.02
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


T = TypeVar("T")


class JournalError(ReveError):
    """The journal cannot be used. `damaged`: the file is not a database, or a damaged one."""

    def __init__(self, reason: str, *, damaged: bool = False) -> None:
        super().__init__("journal", reason)
        self.damaged = damaged


@dataclass(eq=False)
class _Write:
    """Work that waits for its commit. found: what it returned. error: why it was not committed.

    woken: set once it is over, or once its own thread is to commit what has gathered.
    """

    work: Callable[[sqlite3.Connection], Any]
    found: Any = None
    error: BaseException | None = None
    is_over: bool = False
    woken: threading.Event = field(default_factory=threading.Event)

    def execute(self, database: sqlite3.Connection) -> None:
        self.found = self.work(database)


class Database:
    """An open database file. Any thread may call any method."""

    def __init__(self, path: Path, migrations: Sequence[str], probe: str, monotonic: Monotonic) -> None:
        """Open the file, or create it. Raises JournalError.

        migrations: see `schema`. probe: a query that fails if the file is damaged. monotonic: times the wait for other
        processes.
        """
        self.path, self._lock, self._monotonic = path, threading.RLock(), monotonic
        # The thread whose transaction is open.
        self._thread: int | None = None
        # Work that waits for its commit, and whether a thread is about to commit it.
        self._gathering, self._writes, self._is_writing = threading.Lock(), deque[_Write](), False
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._users = FileLock(_lock_of(path))
        except OSError as error:
            raise JournalError(f"{error.filename}: {error.strerror}") from error
        try:
            if not self._users.take(shared=True, seconds=_RENAME_SECONDS):
                raise JournalError(f"another process is moving away the damaged {path}")
            self._connect(migrations, probe)
        except OSError as error:
            self._users.close()
            raise JournalError(f"{error.filename}: {error.strerror}") from error
        except BaseException:
            self._users.close()
            raise

    def close(self) -> None:
        """Close the file and release its locks."""
        with self._lock:
            self._database.close()
            self._users.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction. It may be nested: the outermost one commits. Raises JournalError."""
        with self._lock:
            try:
                if self._database.in_transaction:
                    yield self._database
                    return
                self._patiently("BEGIN IMMEDIATE")
                self._thread = threading.get_ident()
                try:
                    yield self._database
                    self._patiently("COMMIT")
                except BaseException:
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
                    raise
                finally:
                    self._thread = None
            except sqlite3.Error as error:
                raise _problem(self.path, error) from error

    def write(self, query: str, values: Mapping[str, Any]) -> int:
        """Execute a statement, as `together`. Returns the number of rows that it changed. Raises JournalError."""
        return self.together(lambda database: database.execute(query, values).rowcount)

    def together(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Call `work` and commit what it writes. Returns what it returns. Raises JournalError.

        While one thread commits, the work of others gathers, and the next one commits it all: a flush to the disk takes
        as long for much as for little.
        """
        if self._thread == threading.get_ident():  # others must not believe theirs committed
            with self.transaction() as database:
                return work(database)
        mine = _Write(work)
        with self._gathering:
            self._writes.append(mine)
            commits, self._is_writing = not self._is_writing, True
        if not commits:
            mine.woken.wait()
        if not mine.is_over:
            self._write_all()
        if mine.error is not None:
            raise mine.error
        found: T = mine.found
        return found

    def _write_all(self) -> None:
        """Execute and commit the work of all threads; if one fails, none. Then let the next thread do so."""
        with self._lock:
            gathered = [self._writes.popleft() for _ in range(len(self._writes))]
            try:
                with self.transaction() as database:
                    for write in gathered:
                        write.execute(database)
            except BaseException as error:
                for write in gathered:
                    write.error = error
        for write in gathered:
            write.is_over = True
            write.woken.set()
        with self._gathering:
            self._is_writing = bool(self._writes)
            if self._writes:
                self._writes[0].woken.set()

    def value(self, query: str, values: Sequence[Any] = ()) -> Any:
        """The first value of a query's first row, or None if there is no row."""
        with self.transaction() as database:
            found = database.execute(query, values).fetchone()
        return found[0] if found else None

    def _patiently(self, statement: str) -> Any:
        """Execute a statement, waiting for other processes in short steps so that signals are handled."""
        end = self._monotonic() + _BUSY_SECONDS
        while True:
            try:
                return self._database.execute(statement).fetchone()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _BUSY or self._monotonic() > end:
                    raise

    def _connect(self, migrations: Sequence[str], probe: str) -> None:
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            pass
        else:
            _sync(self.path.parent)
        try:
            self._database = sqlite3.connect(
                self.path, timeout=_SLICE_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._patiently("PRAGMA journal_mode = DELETE")
                self._patiently("PRAGMA synchronous = EXTRA")
                self._patiently(f"PRAGMA cache_size = {-_CACHE_KIB}")
                modes = self._patiently("PRAGMA journal_mode"), self._patiently("PRAGMA synchronous")
                if modes != (("delete",), (3,)):
                    raise JournalError(
                        f"{self.path}: SQLite refused its crash-safe settings (journal_mode, synchronous: {modes})"
                    )
                self._migrate(migrations)
                self.value(probe)
            except BaseException:
                self._database.close()
                raise
        except sqlite3.Error as error:
            raise _problem(self.path, error) from error

    def _migrate(self, migrations: Sequence[str]) -> None:
        """Run the migrations that the file lacks. Raises JournalError if a later version of reve wrote it."""
        with self.transaction() as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > len(migrations):
                raise JournalError(f"{self.path} was written by a later version of reve")
            for step in migrations[version:]:
                for statement in filter(str.strip, step.split(";")):
                    database.execute(statement)
            if version < len(migrations):
                database.execute(f"PRAGMA user_version = {len(migrations)}")


def open_database(
    path: Path,
    migrations: Sequence[str],
    probe: str,
    set_aside: Callable[[Path], None],
    monotonic: Monotonic = time.monotonic,
) -> Database:
    """Open or create the database at `path`. Raises JournalError.

    A damaged file that no process uses is renamed; `set_aside` is called with its new path.
    """
    end = time.monotonic() + _RENAME_SECONDS
    while True:
        try:
            return Database(path, migrations, probe, monotonic)
        except JournalError as error:
            if not error.damaged:
                raise
        try:
            lock = FileLock(_lock_of(path))
            try:
                if lock.take():
                    _set_aside(path, probe, set_aside)
                elif time.monotonic() > end:
                    raise JournalError(f"{path} is damaged and in use by another process")
            finally:
                lock.close()
        except OSError as error:
            raise JournalError(f"{error.filename}: {error.strerror}") from error
        time.sleep(_POLL_SECONDS)  # another process may be about to rename it


def _set_aside(path: Path, probe: str, told: Callable[[Path], None]) -> None:
    """Rename a damaged file, unless another process already did."""
    if _is_damaged(path, probe):
        aside = path.with_name(f"{path.stem}-damaged-{secrets.token_hex(4)}{path.suffix}")
        path.rename(aside)
        rollback = path.with_name(f"{path.name}-journal")
        if rollback.exists():
            rollback.rename(aside.with_name(f"{aside.name}-journal"))
        told(aside)


def _is_damaged(path: Path, probe: str) -> bool:
    try:
        database = sqlite3.connect(path, timeout=_SLICE_SECONDS)
        try:
            database.execute(probe).fetchone()
        finally:
            database.close()
    except sqlite3.Error as error:
        return _problem(path, error).damaged
    return False


def _problem(path: Path, error: sqlite3.Error) -> JournalError:
    return JournalError(f"{path}: {error}", damaged=getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED)


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")


def _sync(folder: Path) -> None:
    """Make a new file's name durable. Windows cannot."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        sync(descriptor)
        os.close(descriptor)
