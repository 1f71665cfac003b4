"""A job can be named by its id, by the beginning of an id in the journal, or as `last`."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import Reve

UNKNOWN = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture
def jobs(reve: Reve, sandbox: Sandbox) -> list[str]:
    """Three jobs, oldest first."""
    made = []
    for name in ("one", "two", "three"):
        reve.clock.advance(60)
        made.append(reve("generate", name, "--no-wait").out.strip())
    return made


def asked(sandbox: Sandbox) -> int:
    """Requests so far, without GET /v2/me: a command that has its job does not wait for that answer."""
    return sum(request.path != "/v2/me" for request in sandbox.requests)


def rename(home: Path, names: dict[str, str]) -> None:
    """Change ids in the journal, so that several begin alike."""
    with sqlite3.connect(home / ".local" / "state" / "reve" / "journal.db") as database:
        for old, new in names.items():
            database.execute("UPDATE jobs SET job = ? WHERE job = ?", (new, old))


@pytest.mark.parametrize("command", [["status"], ["wait"], ["download"], ["jobs", "--job"], ["history", "show"]])
def test_last_and_beginnings_name_jobs_and_json_has_the_full_id(
    reve: Reve, jobs: list[str], command: list[str]
) -> None:
    reve("wait", *jobs)
    for name, meant in {"last": jobs[2], jobs[0][:8]: jobs[0], jobs[1][:-1].upper(): jobs[1], jobs[1]: jobs[1]}.items():
        result = reve(*command, name, "--json", *(["--force"] if command == ["download"] else []))
        assert (result.code, result.document["jobId"]) == (0, meant), result.stderr


def test_a_beginning_needs_four_characters(reve: Reve, jobs: list[str]) -> None:
    assert reve("status", jobs[0][:4]).code == 0
    assert reve("status", jobs[0][:3]).code == 2


def test_a_beginning_of_several_ids_lists_them(reve: Reve, sandbox: Sandbox, jobs: list[str], home: Path) -> None:
    alike = [f"abcd{number}234-0000-4000-8000-000000000000" for number in (1, 2)]
    rename(home, dict(zip(jobs, alike, strict=False)))
    before = asked(sandbox)
    for command in (["status"], ["wait"], ["download"], ["resume"], ["jobs", "--job"], ["history", "show"]):
        result = reve(*command, "abcd")
        assert (result.code, result.out) == (2, "")
        assert all(job in result.stderr for job in alike)
    assert asked(sandbox) == before
    assert reve("history", "show", "abcd1").code == 0


@pytest.mark.parametrize("word", ["beef", "beef1234", "fox", "la", "beef-beef-beef"])
def test_a_name_of_no_job_is_refused_before_anything_is_sent(
    reve: Reve, sandbox: Sandbox, jobs: list[str], word: str
) -> None:
    before = asked(sandbox)
    for command in (["status"], ["wait"], ["download"], ["jobs", "--job"]):
        result = reve(*command, jobs[0], word) if command[0] != "jobs" else reve(*command, word)
        assert (result.code, result.out) == (2, "")
        assert word in result.stderr
    assert asked(sandbox) == before


def test_a_job_outside_the_journal_needs_its_full_id(reve: Reve, jobs: list[str]) -> None:
    reve.environ["REVE_STATE_DIR"] = "another"
    assert reve("status", jobs[0]).code == 0
    for name in ("last", jobs[0][:8]):
        result = reve("status", name)
        assert result.code == 2
        assert "needs the journal" in result.stderr
    reve.environ["REVE_JOURNAL"] = "off"
    assert "turns the journal off" in reve("status", "last").stderr


def test_last_is_not_an_older_job_if_the_newest_has_no_id_yet(reve: Reve, sandbox: Sandbox, jobs: list[str]) -> None:
    reve.clock.advance(60)
    sandbox.faults[:] = parse_faults("submit:drop-after")
    assert reve("generate", "four", "--out", "four.png").code == 75
    result = reve("wait", "last")
    assert (result.code, result.out) == (2, "")
    assert result.stderr.splitlines()[-1].startswith("hint: reve resume ")
    sandbox.faults.clear()
    reve.clock.advance(11)
    assert reve("resume", "last").code == 0
    assert Path("four.png").is_file()


def test_the_sandbox_has_a_last_job_of_its_own(reve: Reve, jobs: list[str]) -> None:
    assert reve("status", "last", "--sandbox").code == 2
    made = reve("generate", "five", "--no-wait", "--sandbox").out.strip()
    assert reve("status", "last", "--sandbox", "--json").document["jobId"] == made
    assert reve("status", "last", "--json").document["jobId"] == jobs[2]


@pytest.mark.parametrize("form", ['"{}"', "{},", "\ufeff{}", "https://console.example/jobs/{}?tab=1", "{}\r"])
def test_an_id_is_understood_with_what_a_copy_leaves_around_it(reve: Reve, jobs: list[str], form: str) -> None:
    text = form.format(jobs[1])
    assert reve("status", "-", "--json", stdin=text.encode()).document["jobId"] == jobs[1]
    assert reve("status", text.strip(), "--json").document["jobId"] == jobs[1]


def test_a_name_counts_once(reve: Reve, jobs: list[str]) -> None:
    assert len(reve("status", "last", jobs[2], jobs[2][:6], jobs[2].upper(), "--json").documents) == 1


def test_an_idempotency_key_that_looks_like_a_beginning_is_the_key(
    reve: Reve, simulate: Callable[..., Sandbox]
) -> None:
    sandbox = simulate(faults=parse_faults("submit:drop-after"))
    assert reve("generate", "a fox", "--idempotency-key", "beef", "--out", "fox.png").code == 75
    sandbox.faults.clear()
    reve.clock.advance(11)
    assert reve("resume", "beef").code == 0
    assert reve("history", "show", "beef", "--json").document["idempotencyKey"] == "beef"
