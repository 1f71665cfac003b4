"""The journal's file: an SQLite database that many processes share, that lasts, and that no crash harms.

A rollback journal, `synchronous=EXTRA`, every transaction locked at once, the settings read back. Nothing but SQLite
opens the file while it is in use: closing it in the same process would drop SQLite's locks. All users hold a second
file's lock, shared; only who holds it alone may set a damaged file aside. Imports `filelock`, `errors` and sqlite3.
"""

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reve_cli.core.errors import ReveError
from reve_cli.core.filelock import FileLock

Monotonic = Callable[[], float]

_BUSY_SECONDS = 30.0
_SLICE = 0.25
"""Longest wait inside SQLite, in seconds: Python handles signals only in between."""
_CACHE = 256
"""KiB of the file that are held in memory, however long it is."""
_ASIDE_SECONDS = 5.0
_MOMENT = 0.02
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class JournalError(ReveError):
    """The journal cannot be used. `damaged`: it is no database, or a broken one."""

    def __init__(self, reason: str, *, damaged: bool = False) -> None:
        super().__init__("journal", reason)
        self.damaged = damaged


class Database:
    """An open file. Any thread may call any method."""

    def __init__(self, path: Path, migrations: Sequence[str], probe: str, monotonic: Monotonic) -> None:
        """Open the file, creating it if needed. `probe` is a query that a damaged file would fail.

        `monotonic` times the wait for other processes. Raises JournalError.
        """
        self.path, self._lock, self._monotonic = path, threading.RLock(), monotonic
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._users = FileLock(_lock_of(path))
        except OSError as error:
            raise JournalError(f"{error.filename}: {error.strerror}") from error
        try:
            if not self._users.take(shared=True, seconds=_ASIDE_SECONDS):
                raise JournalError(f"{path} is being set aside by another process")
            self._connect(migrations, probe)
        except OSError as error:
            self._users.close()
            raise JournalError(f"{error.filename}: {error.strerror}") from error
        except BaseException:
            self._users.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._database.close()
            self._users.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The database, locked for writing. May be nested: the outermost one commits. Raises JournalError."""
        with self._lock:
            if self._database.in_transaction:
                yield self._database
                return
            try:
                self._patiently("BEGIN IMMEDIATE")
                try:
                    yield self._database
                    self._patiently("COMMIT")
                except BaseException:
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise _problem(self.path, error) from error

    def value(self, query: str, values: Sequence[Any] = ()) -> Any:
        """The first value of the first row of a query's answer; None where there is none."""
        with self.transaction() as database:
            found = database.execute(query, values).fetchone()
        return found[0] if found else None

    def _patiently(self, statement: str) -> Any:
        """Execute, waiting for other processes: inside SQLite only for moments, so that signals are heard."""
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
            self._database = sqlite3.connect(self.path, timeout=_SLICE, isolation_level=None, check_same_thread=False)
            try:
                self._patiently("PRAGMA journal_mode = DELETE")
                self._patiently("PRAGMA synchronous = EXTRA")
                self._patiently(f"PRAGMA cache_size = {-_CACHE}")
                modes = self._patiently("PRAGMA journal_mode"), self._patiently("PRAGMA synchronous")
                if modes != (("delete",), (3,)):
                    raise JournalError(f"{self.path} cannot be made durable (journal_mode, synchronous: {modes})")
                self._migrate(migrations)
                self.value(probe)
            except BaseException:
                self._database.close()
                raise
        except sqlite3.Error as error:
            raise _problem(self.path, error) from error

    def _migrate(self, migrations: Sequence[str]) -> None:
        """Bring the file to this version. Raises JournalError where a later reve has made it."""
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
    """The database at `path`. A damaged one gets another name, once nobody uses it, which `set_aside` is told.

    Raises JournalError.
    """
    end = time.monotonic() + _ASIDE_SECONDS
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
                    raise JournalError(f"{path} is damaged, and in use by another process")
            finally:
                lock.close()
        except OSError as error:
            raise JournalError(f"{error.filename}: {error.strerror}") from error
        time.sleep(_MOMENT)  # another process may be about to set it aside


def peek(path: Path, query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """What a query finds in the file now; nothing where it is missing, locked, half written or damaged.

    Nothing is made, mended or waited for. Only for a process that has not opened the file otherwise.
    """
    if not path.is_file():  # to open a FIFO would wait
        return []
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=0, uri=True)
        try:
            return database.execute(query, values).fetchall()
        finally:
            database.close()
    except (sqlite3.Error, OSError):
        return []


def _set_aside(path: Path, probe: str, told: Callable[[Path], None]) -> None:
    """Rename a damaged file that nobody uses, unless another process has done so meanwhile."""
    if _is_damaged(path, probe):
        aside = path.with_name(f"{path.stem}-damaged-{secrets.token_hex(4)}{path.suffix}")
        path.rename(aside)
        rollback = path.with_name(f"{path.name}-journal")
        if rollback.exists():
            rollback.rename(aside.with_name(f"{aside.name}-journal"))
        told(aside)


def _is_damaged(path: Path, probe: str) -> bool:
    try:
        database = sqlite3.connect(path, timeout=_SLICE)
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
    """Make a new file's name last, where the system can."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
