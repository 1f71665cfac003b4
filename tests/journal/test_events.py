"""Webhook events in the journal: those that arrive at once are stored at once."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from reve_cli.core.clock import Clock
from reve_cli.journal.database import Database, JournalError
from reve_cli.journal.events import Events
from reve_cli.journal.journal import Journal, open_journal
from tests.support.terminal import PATIENCE, eventually


class SlowDatabase:
    """Makes each transaction of a database wait until `go`. error: of every transaction but the first."""

    def __init__(self, database: Database) -> None:
        self.database, self._transaction = database, database.transaction
        database.transaction = self.transaction  # type: ignore[method-assign]
        self.transactions = 0
        self.entered, self.go = threading.Event(), threading.Event()
        self.error: JournalError | None = None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        self.transactions += 1
        if self.transactions > 1 and self.error is not None:
            raise self.error
        go = self.go
        self.entered.set()
        assert go.wait(PATIENCE)
        with self._transaction() as database:
            yield database

    def restore(self) -> None:
        self.database.transaction = self._transaction  # type: ignore[method-assign]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = open_journal(tmp_path, Clock(), print, begin=True)
    assert opened is not None
    yield opened
    opened.close()


def crowd(database: SlowDatabase, pool: ThreadPoolExecutor, jobs: list[str]) -> list[bool | JournalError]:
    """Add one event, and while it is being stored one for each job. Returns what came of each."""
    events = Events(database.database)

    def add(job: str) -> bool | JournalError:
        try:
            return events.add(job, "completed", job.encode(), "bytes", 1.0)
        except JournalError as error:
            return error

    first = pool.submit(add, "first")
    assert database.entered.wait(PATIENCE)
    others = [pool.submit(add, job) for job in jobs]
    try:
        eventually(lambda: len(database.database._writes) == len(jobs), "the others to wait")
    finally:
        database.go.set()
    found = [first.result(PATIENCE), *(other.result(PATIENCE) for other in others)]
    database.restore()
    return found


def test_events_that_arrive_during_a_commit_share_the_next_one(journal: Journal) -> None:
    database = SlowDatabase(journal.events._database)
    with ThreadPoolExecutor(9) as pool:
        found = crowd(database, pool, ["a", "b", "c", "d", "e", "f", "a", "first"])
    assert sorted(found, key=bool) == [False, False, *[True] * 7]
    assert database.transactions == 2
    assert sorted(event.job for event in journal.events.to_do()) == ["a", "b", "c", "d", "e", "f", "first"]


def test_events_that_are_done_share_a_commit_with_those_that_arrive(journal: Journal) -> None:
    for job in ("b", "c"):
        journal.events.add(job, "completed", b"{}", "bytes", 1.0)
    database = SlowDatabase(journal.events._database)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(journal.events.add, "a", "completed", b"{}", "bytes", 1.0)
        assert database.entered.wait(PATIENCE)
        done = pool.submit(journal.events.done, [("b", "completed"), ("c", "completed")])
        later = pool.submit(journal.events.add, "d", "completed", b"{}", "bytes", 1.0)
        try:
            eventually(lambda: len(database.database._writes) == 2, "both to wait")
        finally:
            database.go.set()
        assert (first.result(PATIENCE), done.result(PATIENCE), later.result(PATIENCE)) == (True, None, True)
    database.restore()
    assert database.transactions == 2
    assert [event.job for event in journal.events.to_do()] == ["a", "d"]


def test_a_stored_event_does_not_wait_for_the_next_commit(journal: Journal) -> None:
    database = SlowDatabase(journal.events._database)

    def add(job: str) -> bool:
        return journal.events.add(job, "completed", b"{}", "bytes", 1.0)

    def waiting(count: int) -> None:
        eventually(lambda: len(database.database._writes) == count, "the others to wait")

    def next_one() -> None:
        go, database.go, database.entered = database.go, threading.Event(), threading.Event()
        go.set()
        assert database.entered.wait(PATIENCE)

    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(add, "a")
        assert database.entered.wait(PATIENCE)
        second = [pool.submit(add, job) for job in ("b", "c", "d")]
        waiting(3)
        next_one()
        assert first.result(PATIENCE)
        third = pool.submit(add, "e")
        waiting(1)
        next_one()
        assert all(each.result(PATIENCE) for each in second)
        assert not third.done()
        database.go.set()
        assert third.result(PATIENCE)
    database.restore()


def test_if_a_shared_commit_fails_every_event_of_it_fails(journal: Journal) -> None:
    database = SlowDatabase(journal.events._database)
    database.error = JournalError("the disk is full")
    with ThreadPoolExecutor(4) as pool:
        assert crowd(database, pool, ["a", "b", "c"]) == [True, *[database.error] * 3]
    assert [event.job for event in journal.events.to_do()] == ["first"]
