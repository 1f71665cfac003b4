"""The journal: a private, durable file for many processes; commands that must do without it; what it forgets."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reve_cli.core.clock import DAY, Clock
from reve_cli.journal.database import open_database
from reve_cli.journal.journal import Journal, open_journal
from reve_cli.journal.owners import Owner
from reve_cli.journal.states import FILE
from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import KEY, Reve
from tests.support.terminal import PATIENCE, eventually, running

Simulate = Callable[..., Sandbox]


@pytest.fixture
def state(reve: Reve, tmp_path: Path) -> Path:
    reve.environ["REVE_STATE_DIR"] = str(tmp_path / "state")
    return tmp_path / "state"


@pytest.fixture
def opened(state: Path) -> Iterator[Callable[[], Journal]]:
    """A function that opens the journal. It may be called many times."""
    journals: list[Journal] = []

    def begin() -> Journal:
        journal = open_journal(state, Clock(), print, begin=True)
        assert journal is not None
        journals.append(journal)
        return journal

    yield begin
    for journal in journals:
        journal.close()


def rows(state: Path) -> list[tuple[str, str | None]]:
    with sqlite3.connect(state / FILE) as database:
        return list(database.execute("SELECT state, job FROM jobs ORDER BY id"))


# The file


@pytest.mark.skipif(os.name == "nt", reason="POSIX file modes")
def test_the_journal_is_private_and_exists_before_anything_is_sent(reve: Reve, sandbox: Sandbox, state: Path) -> None:
    def look() -> None:
        modes.append((stat.S_IMODE(state.stat().st_mode), stat.S_IMODE((state / FILE).stat().st_mode)))

    modes: list[tuple[int, int]] = []

    class Requests(list):  # type: ignore[type-arg]
        def append(self, request: object) -> None:
            look()
            super().append(request)

    sandbox.requests = Requests()
    before = os.umask(0)
    try:
        assert reve("generate", "fox", "--out", "fox.png").code == 0
    finally:
        os.umask(before)
    assert set(modes) == {(0o700, 0o600)}


def test_the_crash_safe_settings_are_in_force(opened: Callable[[], Journal], state: Path) -> None:
    database = opened()._database._database
    assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert database.execute("PRAGMA synchronous").fetchone() == (3,)


def test_a_file_in_wal_mode_returns_to_a_rollback_journal(opened: Callable[[], Journal], state: Path) -> None:
    opened().close()
    with sqlite3.connect(state / FILE) as database:
        assert database.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    database.close()
    assert opened()._database._database.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_no_file_in_the_state_folder_contains_the_key(reve: Reve, simulate: Simulate, state: Path) -> None:
    sandbox = simulate(faults=parse_faults("submit:echo-key*1,job:echo-key"))
    reve("generate", "fox", "--out", "fox.png", "--timeout", "9")
    reve("generate", "wolf", "--no-wait")
    assert sandbox.jobs()
    for path in state.rglob("*"):
        if path.is_file():
            assert KEY.removeprefix("afk_").encode() not in path.read_bytes(), path


def test_a_journal_of_a_later_version_is_not_changed(reve: Reve, sandbox: Sandbox, state: Path) -> None:
    assert reve("generate", "fox", "--out", "1.png").code == 0
    with sqlite3.connect(state / FILE) as database:
        database.execute("PRAGMA user_version = 999")
    result = reve("generate", "fox", "--out", "2.png")
    assert result.code == 0
    assert "later version" in result.stderr
    assert len(rows(state)) == 1


def test_each_migration_runs_once_and_in_order(tmp_path: Path) -> None:
    path, first, second = tmp_path / "a.db", "CREATE TABLE a (x)", "INSERT INTO a VALUES (1); INSERT INTO a VALUES (2)"
    open_database(path, [first], "SELECT 1", print).close()
    for _ in range(2):
        open_database(path, [first, second], "SELECT 1", print).close()
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT x FROM a").fetchall() == [(1,), (2,)]


@pytest.mark.parametrize("damage", ["not a database", "torn"])
def test_a_damaged_journal_is_renamed_with_a_warning(reve: Reve, sandbox: Sandbox, state: Path, damage: str) -> None:
    assert reve("generate", "fox", "--count", "40", "--out", "fox.png").code == 0
    whole = (state / FILE).read_bytes()
    (state / FILE).write_bytes(b"no database" * 999 if damage == "not a database" else whole[:100] + b"\xff" * 30000)
    result = reve("generate", "fox", "--out", "another.png")
    assert result.code == 0
    assert "the journal was damaged" in result.stderr
    assert len(rows(state)) == 1
    assert len(list(state.glob("journal-damaged-*.db"))) == 1


def test_a_damaged_journal_is_not_renamed_while_another_process_uses_it(
    reve: Reve, sandbox: Sandbox, state: Path, opened: Callable[[], Journal]
) -> None:
    opened()
    (state / FILE).write_bytes(b"no database" * 999)
    result = reve("generate", "fox", "--out", "fox.png")
    assert result.code == 0
    assert "crash safety is off" in result.stderr
    assert "in use by another process" in result.stderr
    assert not list(state.glob("journal-damaged-*"))


def test_many_processes_rename_a_damaged_journal_once(state: Path, opened: Callable[[], Journal]) -> None:
    opened().close()
    (state / FILE).write_bytes(b"no database" * 999)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: opened(), range(8)))
    assert len(list(state.glob("journal-damaged-*.db"))) == 1


# Without a journal


def test_a_journal_that_is_switched_off_is_not_created(reve: Reve, sandbox: Sandbox, state: Path) -> None:
    result = reve("generate", "fox", "--out", "fox.png", env={"REVE_JOURNAL": "off"})
    assert result.code == 0
    assert "crash safety" not in result.stderr  # because the user asked for it
    assert not (state / FILE).exists()


def test_generate_warns_and_continues_if_the_journal_cannot_be_written(
    reve: Reve, sandbox: Sandbox, state: Path
) -> None:
    state.write_text("not a folder")
    result = reve("generate", "fox", "--out", "fox.png")
    assert result.code == 0
    assert "crash safety is off" in result.stderr
    assert Path("fox.png").is_file()


@pytest.mark.parametrize("cap", ["--max-credits=99", ""])
def test_a_spending_cap_refuses_if_the_journal_cannot_be_written(
    reve: Reve, sandbox: Sandbox, state: Path, cap: str
) -> None:
    state.write_text("not a folder")
    flags, env = ([cap], {}) if cap else ([], {"REVE_MAX_CREDITS_PER_DAY": "99"})
    result = reve("generate", "fox", "--out", "fox.png", "--json", *flags, env=env)
    assert (result.code, result.document["error"]["code"]) == (7, "journal")
    assert sandbox.jobs() == []


def test_a_command_continues_without_a_journal_that_stays_locked(reve: Reve, live: Sandbox, state: Path) -> None:
    """Another process holds a transaction's lock longer than the command waits."""
    assert reve.child("generate", "fox", "--out", "1.png").code == 0
    with sqlite3.connect(state / FILE, isolation_level=None) as database:
        database.execute("BEGIN EXCLUSIVE")
        reve.fast = 20  # the wait is 30 s
        result = reve.child("generate", "fox", "--out", "2.png")
        database.execute("ROLLBACK")
    assert result.code == 0
    assert "database is locked" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_works_while_a_command_waits_for_the_lock(reve: Reve, live: Sandbox, state: Path) -> None:
    assert reve.child("generate", "fox", "--out", "1.png").code == 0
    with sqlite3.connect(state / FILE, isolation_level=None) as database:
        database.execute("BEGIN EXCLUSIVE")
        reve.fast = 0.01  # the wait for the lock is longer than the test's patience
        with running(reve.command("generate", "fox", "--out", "2.png"), env=reve.environ) as waiting:
            eventually(lambda: len(list(state.glob("owners/*"))) or _has_open(waiting.pid, FILE), "it to wait")
            waiting.send_signal(signal.SIGINT)
            assert waiting.wait(PATIENCE) == -signal.SIGINT
        database.execute("ROLLBACK")
    assert len(live.jobs()) == 1


def _has_open(pid: int, name: str) -> bool:
    try:
        return any(os.readlink(link).endswith(name) for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return not Path("/proc").exists()


# Many processes and threads


def test_64_processes_share_a_new_journal_and_keep_a_daily_cap_exactly(reve: Reve, slow: Sandbox, state: Path) -> None:
    env = reve.environ | {"REVE_MAX_CREDITS_PER_DAY": "80"}  # 20 images of 4 credits

    def generate(number: int) -> "subprocess.CompletedProcess[str]":
        command = reve.command("generate", f"fox {number}", "--out", f"{number}.png")
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(64) as pool:
        done = list(pool.map(generate, range(64)))
    assert sorted(one.returncode for one in done) == [0] * 20 + [4] * 44
    assert all("lock" not in one.stderr and "safety" not in one.stderr for one in done)
    assert [state for state, _ in rows(state)] == ["saved"] * 20
    assert len(slow.jobs()) == len(list(Path.cwd().glob("*.png"))) == 20
    assert list((state / "owners").iterdir()) == []


def test_threads_can_share_a_journal(opened: Callable[[], Journal]) -> None:
    journal = opened()
    facts = {"number": 1, "attempt": 1, "key_is_given": 0, "key_tag": "", "model": "m", "token": "t", "state": "intent"}

    def add(number: int) -> None:
        row = {**facts, "run": f"{number}", "key": f"{number}", "created": 0.0}
        (identity,) = journal.add_run(f"{number}", None, "https://x", [row], lambda: None)
        assert journal.update(identity, state="sending")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert len(journal.rows("state = 'sending'")) == 40


# Owners


def test_an_owner_is_gone_when_its_process_has_ended(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from reve_cli.journal.owners import Owner;"
    code += "owner = Owner(Path(sys.argv[1])); print(owner.name, flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    name, me = child.stdout.readline().strip(), Owner(tmp_path)
    assert not me.is_gone(name)
    child.kill()
    child.communicate()
    assert me.is_gone(name)
    assert not (tmp_path / "owners" / name).exists()
    assert not me.is_gone(me.name)
    me.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_forked_child_does_not_keep_the_owner_alive(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from reve_cli.journal.owners import Owner;"
        "owner = Owner(Path(sys.argv[1])); print(owner.name, flush=True); child = os.fork();"
        "print(child, flush=True) if child else time.sleep(60)"
    )
    done = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert done.stdout is not None
    name, child = done.stdout.readline().strip(), int(done.stdout.readline())
    done.wait()
    me = Owner(tmp_path)
    try:
        assert me.is_gone(name)
    finally:
        os.kill(child, signal.SIGKILL)
        done.stdout.close()
        me.close()


# What it forgets


def test_finished_rows_are_thinned_after_a_year(reve: Reve, sandbox: Sandbox, state: Path) -> None:
    sandbox.faults[:] = parse_faults("image:404")
    unfinished = reve("generate", "an unfinished fox", "--out", "0.png", "--timeout", "9")
    sandbox.faults.clear()
    assert unfinished.code == 75
    assert reve("generate", "a finished fox", "--out", "1.png").code == 0
    reve.clock.advance(366 * DAY)
    for out in ("2.png", "3.png"):  # the first one learns the API's time
        assert reve("generate", "a new fox", "--out", out).code == 0
    with sqlite3.connect(state / FILE) as database:
        found = list(database.execute("SELECT body, out, files, state, charge, job IS NULL FROM jobs ORDER BY id"))
    assert "an unfinished fox" in found[0][0]
    assert found[1] == (None, None, None, "saved", 4, 0)
    assert "a new fox" in found[2][0]


def test_the_age_at_which_rows_are_thinned_is_a_setting(reve: Reve, sandbox: Sandbox, state: Path) -> None:
    for out in ("1.png", "2.png", "3.png"):
        assert reve("generate", "fox", "--out", out, env={"REVE_HISTORY_DAYS": "2"}).code == 0
        reve.clock.advance(3 * DAY)
    with sqlite3.connect(state / FILE) as database:
        gone = [body is None for (body,) in database.execute("SELECT body FROM jobs ORDER BY id")]
    assert gone == [True, False, False]


def test_a_clock_that_is_a_year_ahead_of_the_api_thins_nothing(reve: Reve, sandbox: Sandbox, state: Path) -> None:
    assert reve("generate", "fox", "--out", "1.png").code == 0
    reve.clock.advance(400 * DAY)
    for out in ("2.png", "3.png"):
        assert reve("generate", "fox", "--out", out).code == 0
        with sqlite3.connect(state / FILE) as database:  # the API's clock is right
            database.execute("UPDATE jobs SET made = made - ? WHERE made > created - 1 AND id > 1", (400 * DAY,))
    with sqlite3.connect(state / FILE) as database:
        assert [body for (body,) in database.execute("SELECT body FROM jobs WHERE body IS NULL")] == []


@pytest.mark.parametrize(("made_later", "left"), [(400 * DAY, []), (0.0, ["completed"])], ids=["old", "clock ahead"])
def test_events_are_deleted_after_a_year_by_the_apis_clock(
    reve: Reve, sandbox: Sandbox, state: Path, made_later: float, left: list[str]
) -> None:
    assert reve("generate", "fox", "--out", "1.png").code == 0
    journal = open_journal(state, reve.clock, print, begin=True)
    assert journal is not None
    journal.events.add("a", "completed", b"{}", "bytes", reve.clock.now())
    with sqlite3.connect(state / FILE) as database:
        database.execute("UPDATE jobs SET made = made + ?", (made_later,))
    journal.thin(reve.clock.now() + 400 * DAY, 365 * DAY)
    assert [event.event for event in journal.events.to_do()] == left
    journal.close()


def test_sandbox_reset_empties_only_the_sandbox_journal(reve: Reve, sandbox: Sandbox, state: Path) -> None:
    assert reve("generate", "fox", "--out", "1.png").code == 0
    assert reve("generate", "fox", "--out", "2.png", "--sandbox").code == 0
    assert (len(rows(state)), len(rows(state / "sandbox"))) == (1, 1)
    assert reve("sandbox", "reset").code == 0
    assert (len(rows(state)), len(rows(state / "sandbox"))) == (1, 0)
