"""Facts that are recorded at the same time reach the disk together, and nothing follows before they are there."""

import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from reve_cli.core.clock import Clock
from reve_cli.core.models import ImageRequest
from reve_cli.core.tasks import Task
from reve_cli.engine.workers import Inbox, Outcome
from reve_cli.journal.database import JournalError
from reve_cli.journal.journal import Journal, open_journal
from reve_cli.journal.ledger import Ledger
from tests.conftest import MadeUpClock


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that the journal executes."""
    executed: list[str] = []
    connect = sqlite3.connect

    def traced(path: Path, **options: object) -> sqlite3.Connection:
        database: sqlite3.Connection = connect(path, **options)  # type: ignore[call-overload]
        database.set_trace_callback(executed.append)
        return database

    monkeypatch.setattr(sqlite3, "connect", traced)
    return executed


@pytest.fixture
def journal(tmp_path: Path, statements: list[str]) -> Iterator[Journal]:
    journal = open_journal(tmp_path, Clock(), print, begin=True)
    assert journal is not None
    yield journal
    journal.close()


@pytest.fixture
def tasks(ledger: Ledger) -> list[Task]:
    tasks = [
        Task(number, "intent", request=ImageRequest("fox"), idempotency_key=str(uuid.uuid4())) for number in range(8)
    ]
    ledger.begin(tasks, None)
    return tasks


@pytest.fixture
def ledger(journal: Journal) -> Ledger:
    return Ledger(journal, origin="o", key="", clock=Clock(), say=print, lost="", keep_days=30)


def states(folder: Path) -> list[str]:
    """The states that another process would find."""
    with sqlite3.connect(folder / "journal.db") as database:
        return [state for (state,) in database.execute("SELECT state FROM jobs ORDER BY number")]


def test_threads_that_record_facts_at_the_same_time_share_a_commit(
    journal: Journal, ledger: Ledger, tasks: list[Task], statements: list[str], tmp_path: Path
) -> None:
    threads = [threading.Thread(target=ledger.accepted, args=[task]) for task in tasks]
    with journal.at_once():
        for thread in threads:
            thread.start()
        while len(journal._database._writes) < len(threads):
            time.sleep(0.001)
        assert states(tmp_path) == ["intent"] * 8
        statements.clear()
    for thread in threads:
        thread.join()
    assert states(tmp_path) == ["accepted"] * 8
    assert statements.count("COMMIT") == 2


def test_a_fact_that_cannot_be_recorded_is_an_error_and_the_next_one_is_recorded(
    journal: Journal, tasks: list[Task], tmp_path: Path
) -> None:
    errors: list[Exception] = []

    def record(task: Task, **facts: str) -> None:
        try:
            journal.update(task.row or 0, **facts)
        except JournalError as error:
            errors.append(error)

    record(tasks[0], no_such_column="")
    assert len(errors) == 1
    record(tasks[1], state="saved")
    assert len(errors) == 1
    assert states(tmp_path)[:2] == ["intent", "saved"]


def test_what_follows_a_group_of_facts_waits_for_their_commit(
    ledger: Ledger, tasks: list[Task], statements: list[str], tmp_path: Path
) -> None:
    found: list[list[str]] = []

    def record() -> None:
        for task in tasks:
            ledger.accepted(task)
        ledger.afterwards(lambda: found.append(states(tmp_path)))
        assert not found

    statements.clear()
    ledger.at_once(record)
    assert found == [["accepted"] * 8]
    assert statements.count("COMMIT") == 1


def test_without_a_journal_a_group_is_handled_all_the_same() -> None:
    ledger, steps = Ledger(None, origin="o", key="", clock=Clock(), say=print, lost="", keep_days=30), list[str]()

    def work() -> None:
        ledger.afterwards(lambda: steps.append("after"))
        steps.append("work")

    ledger.at_once(work)
    assert steps == ["work", "after"]


def test_outcomes_that_arrive_together_are_one_group_and_notes_are_printed_after_it(ledger: Ledger) -> None:
    inbox, steps = Inbox(MadeUpClock(), 1.0), list[str]()
    inbox.put(Outcome(lambda: steps.append("first")))
    inbox.put(lambda: steps.append("note"))
    inbox.put(Outcome(lambda: steps.append("second")))
    assert inbox.receive(0, idle=True, group=ledger)
    assert steps == ["first", "second", "note"]


def test_a_journal_that_fails_within_a_group_ends_none_of_its_outcomes_early(
    ledger: Ledger, journal: Journal, tasks: list[Task], capsys: pytest.CaptureFixture[str]
) -> None:
    inbox, steps = Inbox(MadeUpClock(), 1.0), list[str]()

    def first() -> None:
        journal._database._database.execute("PRAGMA query_only = on")
        ledger.accepted(tasks[0])
        steps.append("first")

    inbox.put(Outcome(first))
    inbox.put(Outcome(lambda: steps.append("second")))
    assert inbox.receive(0, idle=True, group=ledger)
    assert steps == ["first", "second"]
    assert ledger.journal is None
    assert capsys.readouterr().out.count("crash safety is off") == 1
