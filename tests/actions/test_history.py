"""`reve history`: which rows of the journal it shows, as a table, as lines and in JSON."""

import json
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from reve_cli import app
from reve_cli.actions import history
from reve_cli.cli import options
from reve_cli.core.clock import HOUR
from reve_cli.core.process import Process
from reve_cli.core.signals import Signals
from reve_cli.journal.journal import Journal, open_journal
from reve_cli.journal.states import FILE as NAME
from reve_cli.sandbox import Sandbox, parse_faults
from reve_cli.sandbox.outcomes import UGLY
from reve_cli.settings import folders
from tests.conftest import Result, Reve, loaded
from tests.support.terminal import Terminal

BEGUN, STATE, CREDITS, EXPIRES, JOB, FILE, PROMPT = range(7)
"""The table's columns."""
KEYS = [
    "run", "number", "attempt", "state", "begunAt", "jobId", "idempotencyKey", "model", "prompt", "seed",
    "aspectRatio", "version", "out", "files", "creditCost", "createdAt", "completedAt", "hoursLeft", "tries", "origin",
    "account", "error",
]  # fmt: skip


def table(result: Result) -> list[list[str]]:
    """Return the cells of the table in a pipe."""
    assert result.code == 0, result.stderr
    rows = [line.split("\t") for line in result.out.splitlines()]
    assert all(len(row) == 7 for row in rows)
    return rows


def column(result: Result, number: int) -> list[str]:
    return [row[number] for row in table(result)]


def prompts(reve: Reve, *arguments: str) -> list[str]:
    return column(reve("history", *arguments), PROMPT)


def path(reve: Reve) -> Path:
    """The journal's file."""
    folder = folders.state_folder(reve.environ)
    assert folder is not None
    return folder / NAME


@contextmanager
def journal(reve: Reve) -> Iterator[Journal]:
    """The journal itself."""
    found = open_journal(path(reve).parent, reve.clock, pytest.fail, begin=True)
    assert found is not None
    with closing(found):
        yield found


def add(reve: Reve, *prompts: str, **facts: Any) -> None:
    """Add a run with a row for each prompt, none of them sent."""
    rows = [
        {
            "run": f"run of {prompts[0]}", "number": number, "attempt": 1, "key": f"key of {prompt}", "key_is_given": 0,
            "key_tag": "", "body": json.dumps({"prompt": prompt, "model": "reve-create"}), "model": "reve-create",
            "token": "", "state": "intent", "created": reve.clock.now(), **facts,
        }
        for number, prompt in enumerate(prompts, start=1)
    ]  # fmt: skip
    with journal(reve) as book:
        book.add_run(f"run of {prompts[0]}", None, "https://example.com", rows, lambda: None)


def set_facts(reve: Reve, **facts: Any) -> None:
    """Change the only row."""
    with journal(reve) as book:
        (row,) = book.rows()
        assert book.update(row.id, **facts)


def states(reve: Reve, sandbox: Sandbox) -> dict[str, str]:
    """Add a row in each state. Returns their prompts and states, newest first."""
    runs = {
        "saved": ("", ["--out", "saved.png"], 0),
        "accepted": ("", ["--no-wait"], 0),
        "failed": ("outcome:fail", [], 5),
        "refused": ("submit:402", [], 4),
        "abandoned": ("submit:503", [], 6),
        "sending": ("submit:drop-after", [], 75),
        "completed": ("image:cut", [], 75),
        "expired": ("outcome:expired", [], 7),
    }
    for state, (faults, arguments, code) in runs.items():
        sandbox.faults[:] = parse_faults(faults)
        result = reve("generate", f"a {state} fox", *arguments)
        assert result.code == code, result.stderr
        reve.clock.advance(60)
    sandbox.faults.clear()
    return {f"a {state} fox": state for state in reversed(runs)}


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local time five and a half hours ahead of UTC."""
    if not hasattr(time, "tzset"):
        pytest.skip("this system has one time zone a machine")
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XXX-05:30")
        time.tzset()
        yield
    time.tzset()


# What is listed


@pytest.mark.parametrize("arguments", [[], ["--json"], ["--state", "saved", "--search", "fox"]], ids=" ".join)
def test_without_a_journal_history_prints_only_a_note(reve: Reve, arguments: list[str]) -> None:
    result = reve("history", *arguments)
    assert (result.code, result.stdout, result.stderr) == (0, b"", "the journal is empty\n")
    assert not path(reve).exists()
    assert reve("history", *arguments, "--quiet").stderr == ""


def test_an_empty_journal_and_no_match_have_different_notes(reve: Reve) -> None:
    with journal(reve):
        pass
    assert reve("history").stderr == "the journal is empty\n"
    add(reve, "fox")
    result = reve("history", "--search", "wolf")
    assert (result.code, result.stdout, result.stderr) == (0, b"", "no job matches\n")
    assert reve("history", "--sandbox").stderr == "the journal is empty\n"


def test_rows_of_all_states_are_listed(reve: Reve, sandbox: Sandbox) -> None:
    expected = states(reve, sandbox)
    result = reve("history")
    rows = table(result)
    assert {row[PROMPT]: row[STATE] for row in rows} == expected
    assert [row[PROMPT] for row in rows] == list(expected)  # newest first
    assert {row[STATE]: row[CREDITS] for row in rows} == {
        "expired": "4", "completed": "4", "sending": "?", "abandoned": "0", "refused": "0", "failed": "0",
        "accepted": "?", "saved": "4",
    }  # fmt: skip
    assert {row[STATE] for row in rows if row[EXPIRES]} == {"completed", "saved"}
    assert result.stderr == "3 images, 12 credits paid, 2 pending\n"


def test_a_row_in_a_pipe_has_these_cells(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", "a fox", "--out", "fox.png", "--json").document["jobId"]
    saved = str(Path("fox.png").absolute())
    result = reve("history")
    assert table(result) == [["2027-01-15T08:00:00.000Z", "saved", "4", "24.0 h", job, saved, "a fox"]]
    assert result.stderr == "1 image, 4 credits paid\n"
    assert reve("history", "--quiet").stderr == ""


def test_a_row_without_job_or_file_shows_its_key_and_output_path(reve: Reve, sandbox: Sandbox) -> None:
    sandbox.faults[:] = parse_faults("submit:402")
    reve("generate", "a fox", "--idempotency-key", "my key", "--out", "a-{job}.png")
    ((*_, job, file, _),) = table(reve("history"))
    assert (job, file) == ("my key", str(Path("a-{job}.png").absolute()))
    reve("generate", "a fox", "--no-wait")
    assert table(reve("history"))[0][FILE] == ""


def test_images_of_one_run_are_listed_newest_first_with_the_first_file_of_each(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", "one", "--count", "3", "--out", "a-{index}.png")
    sandbox.faults[:] = parse_faults("outcome:images/2")
    reve("generate", "two", "--out", "b.png")
    result = reve("history")
    assert [Path(file).name for file in column(result, FILE)] == ["b.png", "a-3.png", "a-2.png", "a-1.png"]
    assert result.stderr.startswith("5 images, ")


def test_files_are_in_the_order_of_their_images(reve: Reve) -> None:
    files = [{"path": f"/tmp/{number}.png", "number": number} for number in (3, 1, 2)]
    add(reve, "fox", state="saved", files=json.dumps(files))
    assert column(reve("history"), FILE) == ["/tmp/1.png"]
    assert [file["path"] for file in reve("history", "--json").document["files"]] == [
        "/tmp/1.png",
        "/tmp/2.png",
        "/tmp/3.png",
    ]


def test_a_file_that_is_not_published_is_not_shown_as_saved(reve: Reve) -> None:
    add(
        reve,
        "fox",
        state="completed",
        out='"/tmp/x-{index}.png"',
        files='[{"path":"/tmp/x-1.png","temporary":"/tmp/t"}]',
    )
    assert column(reve("history"), FILE) == ["/tmp/x-{index}.png"]
    assert reve("history", "--json").document["files"] == []
    assert prompts(reve, "--search", "x-1.png") == ["fox"]


def test_hours_left_count_from_the_end_of_the_job(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", "a fox", "--out", "fox.png")
    reve.clock.advance(1.5 * HOUR)
    assert column(reve("history"), EXPIRES) == ["22.5 h"]
    assert reve("history", "--json").document["hoursLeft"] == 22.5
    reve.clock.advance(22.48 * HOUR)
    assert column(reve("history"), EXPIRES) == ["0.0 h"]
    reve.clock.advance(0.1 * HOUR)
    assert column(reve("history"), EXPIRES) == ["expired"]
    assert reve("history", "--json").document["hoursLeft"] == 0.0
    reve.clock.advance(-48 * HOUR)  # a clock that is set wrong
    assert column(reve("history"), EXPIRES) == ["24.0 h"]


@pytest.mark.parametrize(
    ("state", "has_hours"),
    [("accepted", True), ("completed", True), ("saved", True), ("abandoned", False), ("expired", False)],
)
def test_only_jobs_with_images_on_the_server_show_hours_left(reve: Reve, state: str, has_hours: bool) -> None:
    add(reve, "fox", state=state, ended=reve.clock.now())
    assert reve("history", "--json").document["hoursLeft"] == (24.0 if has_hours else None)
    set_facts(reve, ended=None)
    assert reve("history", "--json").document["hoursLeft"] is None


@pytest.mark.parametrize(
    ("facts", "cell", "cost", "total"),
    [
        ({"state": "intent"}, "", None, "0 images, 0 credits paid"),
        ({"state": "sending"}, "?", None, "0 images, 0 credits paid, 1 pending"),
        ({"state": "accepted", "job": "x"}, "?", None, "0 images, 0 credits paid, 1 pending"),
        ({"state": "completed", "job": "x", "images": 2}, "?", None, "2 images, 0 credits paid, 1 pending"),
        ({"state": "completed", "job": "x", "images": 1, "charge": 4}, "4", 4, "1 image, 4 credits paid"),
        ({"state": "saved", "images": 1}, "", None, "1 image, 0 credits paid"),
        ({"state": "saved", "charge": 1234567.5}, "1234567.5", 1234567.5, "0 images, 1,234,567.5 credits paid"),
        ({"state": "expired", "images": 1}, "", None, "1 image, 0 credits paid"),
        ({"state": "refused"}, "0", 0, "0 images, 0 credits paid"),
        ({"state": "failed", "job": "x"}, "0", 0, "0 images, 0 credits paid"),
        ({"state": "abandoned"}, "0", 0, "0 images, 0 credits paid"),
        ({"state": "abandoned", "given_up": 1}, "?", None, "0 images, 0 credits paid, 1 pending"),
        ({"state": "abandoned", "job": "x", "images": 1, "charge": 4}, "4", 4, "1 image, 4 credits paid"),
        ({"state": "mismatch", "job": "x", "images": 1, "charge": 4}, "0", 0, "0 images, 0 credits paid"),
    ],
)  # fmt: skip
def test_credits_are_shown_by_state_and_charge(
    reve: Reve, facts: dict[str, Any], cell: str, cost: float | None, total: str
) -> None:
    add(reve, "fox", **facts)
    result = reve("history")
    assert column(result, CREDITS) == [cell]
    assert result.stderr == f"{total}\n"
    document = reve("history", "--json").document
    assert (document["creditCost"], type(document["creditCost"])) == (cost, type(cost))


def test_a_job_in_two_rows_is_counted_once(reve: Reve, sandbox: Sandbox) -> None:
    for name in ("1.png", "2.png"):
        reve.clock.advance(100)
        assert reve("generate", "a fox", "--idempotency-key", "K", "--out", name).code == 0
    result = reve("history")
    assert column(result, CREDITS) == ["4", "4"]
    assert len(set(column(result, JOB))) == 1
    assert result.stderr == "1 image, 4 credits paid\n"


def test_a_charge_known_in_one_row_of_a_job_is_not_pending(reve: Reve) -> None:
    add(reve, "early", state="accepted", job="x")
    add(reve, "wrong", state="mismatch", job="x")
    assert reve("history").stderr == "0 images, 0 credits paid, 1 pending\n"
    add(reve, "late", state="saved", job="x", charge=4, images=1)
    assert reve("history").stderr == "1 image, 4 credits paid\n"


def test_only_the_last_attempt_is_listed(reve: Reve, sandbox: Sandbox) -> None:
    sandbox.faults[:] = parse_faults("outcome:fail*1")
    once = ["generate", "a fox", "--once", "build 1", "--out", "fox.png", "--json"]
    failed = reve(*once).document
    reve.clock.advance(100)
    made = reve(*once).document
    assert made["jobId"] != failed["jobId"]
    documents = reve("history", "--json").documents
    assert [(d["state"], d["attempt"], d["jobId"]) for d in documents] == [
        ("saved", 2, made["jobId"]),
        ("failed", 1, failed["jobId"]),
    ]
    attempts = reve("history", "show", made["jobId"], "--json").documents
    assert [(d["run"], d["state"], d["attempt"]) for d in attempts] == [
        (documents[0]["run"], "failed", 1),
        (documents[0]["run"], "saved", 2),
    ]


def test_a_row_without_its_request_keeps_its_charge(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", "a fox", "--out", "fox.png", "--json").document["jobId"]
    reve("generate", "an owl", "--no-wait")
    with journal(reve) as book:
        book.thin(reve.clock.now(), -60.0)
    result = reve("history")
    assert [row[STATE:] for row in table(result)][1] == ["saved", "4", "24.0 h", job, "", ""]
    assert prompts(reve) == ["", ""]  # a job that was left to run is nobody's task any more
    assert result.stderr == "1 image, 4 credits paid, 1 pending\n"
    document = reve("history", "--json").documents[1]
    assert list(document) == KEYS
    assert (document["prompt"], document["out"], document["files"], document["creditCost"]) == (None, None, [], 4)
    assert prompts(reve, "--search", "fox") == []
    assert prompts(reve, "--search", job) == [""]
    assert "prompt" not in reve("history", "show", job).out


# Filters


def test_state_filters_by_every_state(reve: Reve, sandbox: Sandbox) -> None:
    expected = states(reve, sandbox)
    for prompt, state in expected.items():
        assert prompts(reve, "--state", state) == [prompt]
    assert prompts(reve, "--state", "failed", "--state", "saved") == ["a failed fox", "a saved fox"]
    for state in ("intent", "mismatch"):
        assert prompts(reve, "--state", state) == []
        with journal(reve) as book:
            assert book.update(book.rows("current ORDER BY begun")[0].id, state=state)
        assert prompts(reve, "--state", state) == ["a saved fox"]


def test_unfinished_lists_the_jobs_that_resume_would_finish(reve: Reve, sandbox: Sandbox) -> None:
    states(reve, sandbox)
    assert prompts(reve, "--state", "unfinished") == ["a completed fox", "a sending fox"]
    add(reve, "an intended fox")
    everything = {"an intended fox", "a completed fox", "a sending fox", "a saved fox"}
    assert set(prompts(reve, "--state", "saved", "--state", "unfinished")) == everything
    assert set(prompts(reve, "--state", "saved", "--state", "unfinished", "--search", "a s")) == everything - {
        "an intended fox",
        "a completed fox",
    }


def test_the_offered_states_are_the_states_of_the_journal(reve: Reve) -> None:
    assert options.STATES == history._STATES
    result = reve("history", "--state", "nope")
    assert (result.code, result.stdout) == (2, b"")
    assert all(state in result.stderr for state in options.STATES)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--since", "90m"], ["young"]),
        (["--since", "1.5h"], ["young"]),
        (["--until", "90m"], ["old", "ancient"]),
        (["--since", "5h", "--until", "1h"], ["old"]),
        (["--since", "2d"], ["young", "old"]),
        (["--since", "1w"], ["young", "old", "ancient"]),
        (["--since", "2w", "--until", "0.5w"], []),
        (["--until", "2w"], []),
    ],
    ids=" ".join,
)
def test_since_and_until_take_ages(reve: Reve, arguments: list[str], expected: list[str]) -> None:
    for prompt, hours in {"ancient": 69, "old": 2, "young": 1}.items():
        add(reve, prompt)
        reve.clock.advance(hours * HOUR)
    assert prompts(reve, *arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--since", "2027-01-15"], ["late", "noon"]),
        (["--since", "2027-01-16"], ["late"]),
        (["--since", "2027-01-17"], []),
        (["--until", "2027-01-14"], []),
        (["--until", "2027-01-15"], ["noon"]),
        (["--until", "2027-01-16"], ["late", "noon"]),
        (["--since", "2027-01-15", "--until", "2027-01-15"], ["noon"]),
        (["--since", "2027-01-15T13:30"], ["late", "noon"]),
        (["--since", "2027-01-15 13:30:01"], ["late"]),
        (["--until", "2027-01-15T13:30"], []),
        (["--until", "2027-01-15T13:30:01"], ["noon"]),
        (["--since", "2027-01-15T08:00Z"], ["late", "noon"]),
        (["--since", "2027-01-15T08:00:01Z"], ["late"]),
        (["--since", "2027-01-15T10:00:01+02:00"], ["late"]),
        (["--since", "0001-01-01T00:00Z"], ["late", "noon"]),
    ],
    ids=" ".join,
)
def test_dates_are_local_and_until_includes_the_whole_day(
    reve: Reve, zone: None, arguments: list[str], expected: list[str]
) -> None:
    add(reve, "noon")  # at 13:30
    reve.clock.advance(12 * HOUR)
    add(reve, "late")  # at 01:30 the next day, but on the same one in UTC
    assert prompts(reve, *arguments) == expected


@pytest.mark.parametrize("option", ["--since", "--until"])
@pytest.mark.parametrize("when", ["", "x", "7", "7y", "-7d", "1e3d", "2027-13-01", "٣d", "9999-12-32", "now"])
def test_an_invalid_time_is_refused_with_examples_of_every_form(reve: Reve, option: str, when: str) -> None:
    result = reve("history", option, when)
    assert (result.code, result.stdout) == (2, b"")
    assert result.stderr.startswith(f"error: {option} {when!r} is not a date, time or age ")
    assert all(form in result.stderr for form in ("2026-07-01,", "2026-07-01T12:30", "90m, 24h, 7d, 2w"))


@pytest.mark.parametrize("when", ["9999-12-31", "99999999999999999999w", f"{'9' * 400}d"])
def test_a_distant_time_is_accepted_or_refused_without_a_crash(reve: Reve, when: str) -> None:
    add(reve, "fox")
    assert reve("history", "--since", when).code in (0, 2)
    assert reve("history", "--until", when).code in (0, 2)


def test_search_looks_in_prompt_path_job_and_key(reve: Reve, sandbox: Sandbox) -> None:
    Path("Köln").mkdir()
    job = reve("generate", "Été 100%", "--out", "Köln/{seed}-{job}.png", "--seed", "77", "--json").document["jobId"]
    reve("generate", "winter", "--no-wait", "--idempotency-key", "Build_4711")
    for text in ("été", "ÉTÉ", "100%", "KÖLN/77-{JOB}", f"köln/77-{job}.png", job, job[9:20].upper()):
        assert prompts(reve, "--search", text) == ["Été 100%"], text
    assert prompts(reve, "--search", "build_4711") == ["winter"]
    assert prompts(reve, "--search", "") == ["winter", "Été 100%"]
    for text in ("%%", "e%e", "w_nter", r"\u", "\\", "reve-create", "summer"):
        assert prompts(reve, "--search", text) == [], text


def test_the_limit_leaves_out_the_oldest_and_says_so(reve: Reve) -> None:
    for number in range(3):
        add(reve, f"fox {number}")
        reve.clock.advance(1)
    cut = reve("history", "--limit", "2")
    assert column(cut, PROMPT) == ["fox 2", "fox 1"]
    assert cut.stderr == "0 images, 0 credits paid\nshowing the newest 2; --limit 0 shows all\n"
    assert reve("history", "--limit", "2", "--json").stderr == "showing the newest 2; --limit 0 shows all\n"
    for limit in ("0", "3", "4", "9" * 30):
        whole = reve("history", "--limit", limit)
        assert column(whole, PROMPT) == ["fox 2", "fox 1", "fox 0"]
        assert "newest" not in whole.stderr
    assert reve("history", "--limit", "-1").code == 2


def test_a_pipe_gets_every_row(reve: Reve) -> None:
    add(reve, *(f"fox {number}" for number in range(1200)))
    result = reve("history")
    assert column(result, PROMPT) == [f"fox {number}" for number in reversed(range(1200))]
    assert result.stderr == "0 images, 0 credits paid\n"
    assert len(prompts(reve, "--limit", "501")) == 501
    assert prompts(reve, "--search", "fox 1") == [name for name in prompts(reve) if "fox 1" in name]


def test_the_newest_items_of_a_run_come_first(reve: Reve) -> None:
    add(reve, *(f"early {number}" for number in (1, 2, 3)))
    add(reve, *(f"late {number}" for number in (1, 2)))
    result = reve("history", "--limit", "3")
    assert column(result, PROMPT) == ["late 2", "late 1", "early 3"]
    assert result.stderr.endswith("showing the newest 3; --limit 0 shows all\n")


def test_jobs_of_runs_that_overlap_are_in_the_order_in_which_they_were_begun(reve: Reve) -> None:
    add(reve, "batch 1", "batch 2")
    reve.clock.advance(10)
    add(reve, "single")
    with journal(reve) as book:
        *_, last = book.rows("number = 2")
        assert book.update(last.id, created=reve.clock.now() + 10)
    reve.clock.advance(20)
    assert prompts(reve) == ["batch 2", "single", "batch 1"]
    begun = [document["begunAt"] for document in reve("history", "--json").documents]
    assert begun == sorted(begun, reverse=True)
    assert prompts(reve, "--since", "0.2m") == ["batch 2"]


def test_the_limit_counts_matching_rows_only(reve: Reve) -> None:
    add(reve, "old fox")
    add(reve, "wolf", "bear", state="saved")
    assert prompts(reve, "--search", "fox", "--limit", "1") == ["old fox"]
    assert prompts(reve, "--state", "intent", "--limit", "1") == ["old fox"]
    assert "newest" not in reve("history", "--search", "fox", "--limit", "1").stderr
    assert "newest 1;" in reve("history", "--search", "e", "--limit", "1").stderr  # also in the keys


# Forms


def test_a_document_has_these_fields(reve: Reve, sandbox: Sandbox) -> None:
    made = reve(
        "generate",
        "a fox",
        "--seed",
        "7",
        "--ar",
        "3:2",
        "--model-version",
        "latest",
        "--out",
        "f-{seed}-{job}.png",
        "--json",
    )
    reve.clock.advance(HOUR)
    result = reve("history", "--json")
    document = result.document
    assert (result.code, result.stderr) == (0, "")
    assert list(document) == KEYS
    assert len(document.pop("run")) == 32
    assert document.pop("account")
    assert document == {
        "number": 1,
        "attempt": 1,
        "state": "saved",
        "begunAt": "2027-01-15T08:00:00.000Z",
        "jobId": made.document["jobId"],
        "idempotencyKey": made.document["idempotencyKey"],
        "model": "reve-create",
        "prompt": "a fox",
        "seed": 7,
        "aspectRatio": "3:2",
        "version": "latest",
        "out": str(Path("f-7-{job}.png").absolute()),
        "files": [{**made.document["files"][0], "path": str(Path(made.document["files"][0]["path"]).absolute())}],
        "creditCost": 4,
        "createdAt": made.document["createdAt"],
        "completedAt": made.document["completedAt"],
        "hoursLeft": 23.0,
        "tries": 1,
        "origin": sandbox.url,
        "error": None,
    }


def test_a_document_with_unknown_values_has_the_same_shape(reve: Reve) -> None:
    add(reve, "fox", error='{"code": "server", "message": "no luck"}')
    assert reve("history", "--json").document == {
        **dict.fromkeys(KEYS),
        "run": "run of fox",
        "number": 1,
        "attempt": 1,
        "state": "intent",
        "begunAt": "2027-01-15T08:00:00.000Z",
        "idempotencyKey": "key of fox",
        "model": "reve-create",
        "prompt": "fox",
        "files": [],
        "tries": 0,
        "origin": "https://example.com",
        "error": {"code": "server", "message": "no luck"},
    }


def test_all_documents_have_the_same_keys(reve: Reve, sandbox: Sandbox) -> None:
    expected = states(reve, sandbox)
    documents = reve("history", "--json").documents
    assert [document["state"] for document in documents] == list(expected.values())
    assert {tuple(document) for document in documents} == {tuple(KEYS)}
    failed = next(document for document in documents if document["state"] == "failed")
    assert failed["error"]["code"] == "job_failed"


def test_show_takes_a_job_a_key_or_a_run(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", "another", "--no-wait")
    reve("generate", "a fox", "--count", "2", "--out", "fox.png")
    second, first, _ = reve("history", "--json").documents
    assert (first["number"], second["number"]) == (1, 2)
    for name in (first["jobId"], first["jobId"].upper(), first["idempotencyKey"]):
        assert reve("history", "show", name, "--json").documents == [first]
    result = reve("history", "show", first["run"], "--json")
    assert (result.code, result.documents, result.stderr) == (0, [first, second], "")


def test_show_prints_a_line_for_each_known_field(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", "a fox", "--seed", "7", "--count", "2", "--out", "fox.png")
    second, first = reve("history", "--json").documents
    result = reve("history", "show", first["run"])
    assert (result.code, result.stderr) == (0, "")
    one, two = result.out.split("\n\n")
    file = first["files"][0]
    assert one.splitlines() == [
        f"run: {first['run']}",
        "number: 1",
        "attempt: 1",
        "state: saved",
        f"begun at: {first['begunAt']}",
        f"job id: {first['jobId']}",
        f"idempotency key: {first['idempotencyKey']}",
        "model: reve-create",
        "prompt: a fox",
        "seed: 7",
        f"out: {first['out']}",
        f"file: {file['path']}",
        f"  url: {file['url']}",
        f"  bytes: {file['bytes']}",
        f"  sha256: {file['sha256']}",
        f"  downloaded sha256: {file['downloadedSha256']}",
        "  media type: image/png",
        "credit cost: 4",
        f"created at: {first['createdAt']}",
        f"completed at: {first['completedAt']}",
        "hours left: 24",
        "tries: 1",
        f"origin: {sandbox.url}",
        f"account: {first['account']}",
    ]
    assert f"job id: {second['jobId']}\n" in two


@pytest.mark.parametrize("name", ["nope", "%", "\udcff", "7218fa9b-295e-4885-ab23-f73451b0f441"])
@pytest.mark.parametrize("begun", [True, False], ids=["a journal", "no journal"])
def test_show_of_an_unknown_name_exits_with_8(reve: Reve, name: str, begun: bool) -> None:
    if begun:
        add(reve, "fox")
    result = reve("history", "show", name)
    assert (result.code, result.stdout) == (8, b"")
    assert result.stderr.startswith("error: job, key, run or image ")
    assert reve("history", "show", name, "--json").document["error"]["code"] == "not_found"


def test_show_finds_an_image_by_path_hash_and_content(reve: Reve, sandbox: Sandbox) -> None:
    made = reve("generate", "a fox", "--out", "fox.png", "--seed", "7", "--json").document
    reve("generate", "an owl", "--out", "owl.png")
    sha256 = made["files"][0]["sha256"]
    Path("sub").mkdir()
    for name in ("fox.png", str(Path("fox.png").absolute()), "./fox.png", "sub/../fox.png", sha256, sha256.upper()):
        result = reve("history", "show", name, "--json")
        assert (result.code, result.document["jobId"], result.stderr) == (0, made["jobId"], "")
    Path("fox.png").rename("renamed.png")
    assert reve("history", "show", "renamed.png", "--json").document["seed"] == 7
    assert reve("history", "show", "fox.png", "--json").document["seed"] == 7  # by the path where it was
    Path("fox.png").write_bytes(b"another")
    result = reve("history", "show", "fox.png", "--json")
    assert (result.code, result.document["seed"]) == (0, 7)
    assert result.stderr == "warning: fox.png is not the image that was saved there\n"
    Path("unknown.png").write_bytes(b"another")
    for name in ("unknown.png", "missing.png", ".", "0" * 64):
        assert reve("history", "show", name).code == 8


CONTROL = "\x1b[31mred\x1b[0m\nstate: saved\tx \x9b \u202egnp"


def test_control_characters_are_escaped_in_a_pipe(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", CONTROL, "--no-wait").out.strip()
    escaped = r"\x1b[31mred\x1b[0m\nstate: saved\tx \x9b \u202egnp"
    assert prompts(reve) == [escaped]
    lines = reve("history", "show", job).out.splitlines()
    assert f"prompt: {escaped}" in lines
    assert [line for line in lines if line.startswith("state:")] == ["state: accepted"]
    result = reve("history", "--json")
    assert result.document["prompt"] == CONTROL
    assert result.out.isascii()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("arguments", [[], ["show", "some key"]], ids=["list", "show"])
@pytest.mark.parametrize("columns", [80, 300])
def test_no_control_character_reaches_a_terminal(reve: Reve, arguments: list[str], columns: int) -> None:
    add(
        reve,
        UGLY,
        state="saved",
        error=json.dumps({"code": UGLY, "message": UGLY}),
        job=UGLY,
        key="some key",
        files=json.dumps([{"path": UGLY}]),
    )
    with Terminal(reve.command("history", *arguments), env=reve.environ, columns=columns) as terminal:
        assert terminal.wait() == 0
        assert r"\x1b[31mred" in terminal.screen.text  # which fails for what must not be there


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_a_terminal_shows_one_line_for_each_of_the_newest_20_jobs(reve: Reve) -> None:
    add(
        reve, *(f"{number} foxes {'in the snow ' * 9}" for number in range(21)), state="saved", charge=4, job="some job"
    )
    folder = "/tmp/a folder of some length/" * 2
    with journal(reve) as book:
        for row in book.rows():
            book.update(
                row.id, files=json.dumps([{"path": f"{folder}fox-{row.number}.png"}]), job=f"{row.id:08} and more"
            )
    with Terminal(reve.command("history"), env=reve.environ, columns=80) as terminal:
        assert terminal.wait() == 0
        header, *lines, total, more = terminal.screen.text.splitlines()
    assert header.split() == ["JOB", "AGE", "STATE", "CREDITS", "PROMPT", "FILE"]
    assert len(lines) == 20
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("00000021  ")
    assert re.search(r"  saved  4        20 foxes in the snow in…    …/fox-21\.png$", lines[0])
    assert (total, more) == ("20 images, 80 credits paid", "showing the newest 20; --limit 0 shows all")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_a_terminal_shows_more_than_a_page_below_one_header(reve: Reve) -> None:
    add(reve, *(f"fox {number}" for number in range(1001)))
    with Terminal(reve.command("history", "--limit", "0", "-q"), env=reve.environ) as terminal:
        assert terminal.wait() == 0
        lines = terminal.screen.text.splitlines()
    assert len(lines) == 1002
    assert [line.split()[0] for line in lines].count("JOB") == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_files_are_shown_as_they_would_be_typed_here(reve: Reve, home: Path) -> None:
    for number, path in enumerate((f"{Path.cwd()}/here/fox.png", f"{home}/pictures/fox.png", "/srv/fox.png")):
        add(reve, f"fox {number}", state="saved", files=json.dumps([{"path": path}]))
        reve.clock.advance(1)
    with Terminal(reve.command("history", "-q"), env=reve.environ) as terminal:
        assert terminal.wait() == 0
        _, *lines = terminal.screen.text.splitlines()
    assert [line.split()[-1] for line in lines] == ["/srv/fox.png", "~/pictures/fox.png", "here/fox.png"]


# A long journal


def work(reve: Reve, query: history.Query) -> int:
    """How many thousand steps SQLite takes for the longest page of a list: while it reads one, others must wait."""
    steps, pages = 0, [0]
    with journal(reve) as book:

        def step() -> None:
            nonlocal steps
            steps += 1

        book._database._database.set_progress_handler(step, 100)
        for _ in history.pages(book, query, reve.clock.now()):
            pages.append(steps)
    return max(after - before for before, after in pairwise(pages))


def test_a_page_of_a_long_journal_takes_no_more_work_than_of_a_short_one(reve: Reve) -> None:
    first_screen = history.Query((), None, None, "", 20)
    nothing_found = history.Query(("refused",), None, None, "", 0)

    def add_runs(numbers: Iterable[int]) -> None:
        for number in numbers:
            add(reve, *(f"fox {number}-{item}" for item in range(100)))
            reve.clock.advance(1)

    add_runs(range(10))
    short = work(reve, first_screen), work(reve, nothing_found)
    add_runs(range(10, 60))
    assert work(reve, first_screen) <= short[0] * 1.1
    assert work(reve, nothing_found) <= short[1] * 1.1


# What it needs, and what it does not


def test_history_needs_no_key_and_no_network(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", "a fox", "--out", "fox.png", "--json").document["jobId"]
    seen = len(sandbox.requests)
    for arguments in (["history"], ["history", "show", job], ["history", "--json"]):
        lines, modules = loaded(arguments)  # without a key
        assert any(job in line for line in lines)
        assert not {"httpx", "rich", "reve_cli.api.http", "reve_cli.sandbox"} & modules
    assert len(sandbox.requests) == seen


def test_the_sandbox_has_its_own_history_and_is_not_started(reve: Reve) -> None:
    made = reve("generate", "a simulated fox", "--out", "fox.png", "--sandbox", env={"REVE_SANDBOX_SECONDS": "0"})
    assert made.code == 0, made.stderr
    assert reve("history").stderr == "the journal is empty; to see the sandbox's jobs: reve history --sandbox\n"
    add(reve, "a real fox")
    assert prompts(reve) == ["a real fox"]
    assert prompts(reve, "--sandbox") == ["a simulated fox"]
    result = reve("history", env={"REVE_SANDBOX": "1"})
    assert column(result, PROMPT) == ["a simulated fox"]
    assert result.stderr == "1 image, 4 simulated credits paid\n"
    job = column(result, JOB)[0]
    assert reve("history", "show", job, "--sandbox").code == 0
    assert reve("history", "show", job).code == 8
    _, modules = loaded(["history", "--sandbox"])
    assert not {"httpx", "reve_cli.sandbox"} & modules


@pytest.mark.parametrize("command", [["history"], ["history", "show", "x"]], ids=" ".join)
class TestNoJournalToBeHad:
    def refused(self, reve: Reve, command: list[str], env: dict[str, str] | None = None) -> str:
        result = reve(*command, env=env)
        assert (result.code, result.stdout) == (7, b"")
        assert reve(*command, "--json", env=env).document["error"]["code"] == "journal"
        return result.stderr

    def test_switched_off(self, reve: Reve, command: list[str]) -> None:
        assert "REVE_JOURNAL" in self.refused(reve, command, {"REVE_JOURNAL": "off"})

    def test_no_file(self, reve: Reve, command: list[str]) -> None:
        path(reve).mkdir(parents=True)
        assert str(path(reve)) in self.refused(reve, command)

    def test_cannot_be_read(self, reve: Reve, command: list[str]) -> None:
        add(reve, "fox")
        with closing(sqlite3.connect(path(reve))) as database:
            database.execute("DROP TABLE accounts")
        assert "no such table" in self.refused(reve, command)


def test_a_pager_may_be_left_open(reve: Reve) -> None:
    add(reve, "fox")
    process = Process(Signals(), reve.environ, reve.clock, reve.limits)
    assert app.run(["history", "--json"], process) == 0
    assert process.output is not None
    reve.clock.advance(48 * HOUR)
    assert not process.output.gave_up()


# The command line


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["--nonsense"],
        ["show"],
        ["show", "a", "b"],
        ["show", "a", "--limit", "1"],
        ["--timeout", "1"],
        ["--api-key-file", "x"],
        ["show", "x", "--timeout", "1"],
        ["--limit", "x"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(reve: Reve, arguments: list[str]) -> None:
    result = reve("history", *arguments)
    assert (result.code, result.stdout) == (2, b"")
    assert "hint: reve history" in result.stderr
    document = reve("history", *arguments, "--json").document
    assert (document["error"]["code"], document["error"]["exitCode"]) == ("usage", 2)


@pytest.mark.parametrize(
    "given", [["--json"], ["--sandbox"], ["-q"], ["--since", "7d"], ["--state", "saved"]], ids=" ".join
)
def test_an_option_before_the_subcommand_is_refused(reve: Reve, given: list[str]) -> None:
    add(reve, "fox")
    result = reve("history", *given, "show", "run of fox")
    assert result.code == 2
    assert "must come after show" in result.stderr
    assert "history show --help" in result.stderr
    assert reve("history", "show", "run of fox").code == 0


@pytest.mark.parametrize(
    ("command", "has", "has_not"),
    [
        (["history"], ["--state", "--since", "--until", "--search", "--limit", "show", "--json"], "--timeout"),
        (["history", "show"], ["NAME", "--json", "--quiet", "--debug", "--sandbox"], "--limit"),
    ],
    ids=["history", "show"],
)  # fmt: skip
def test_history_and_show_have_help(reve: Reve, command: list[str], has: list[str], has_not: str) -> None:
    result = reve.child(*command, "--help", env={"COLUMNS": "80", "TERM": "dumb"})
    assert (result.code, result.stderr) == (0, "")
    assert all(word in result.out for word in has)
    assert has_not not in result.out
    assert max(map(len, result.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["hist"], ["history"]),
        (["history", ""], ["show"]),
        (["history", "--state", "saved", ""], ["show"]),
        (["history", "--state", ""], list(options.STATES)),
        (["history", "--state", "un"], ["unfinished"]),
        (["history", "--state=s"], ["--state=sending", "--state=saved"]),
        (["history", "--state", "saved", "--st"], ["--state"]),
        (["history", "--since", "x", "--s"], ["--state", "--search", "--sandbox"]),
        (["history", "--since", ""], []),
        (["history", "--limit", ""], []),
        (["history", "show", ""], []),
        (["history", "show", "--s"], ["--sandbox"]),
        (["history", "show", "x", "--j"], ["--json"]),
        (["history", "nosuch", ""], []),
    ],
    ids=" ".join,
)  # fmt: skip
def test_states_options_and_commands_are_completed(
    ask: Callable[..., list[str]], words: list[str], expected: list[str]
) -> None:
    assert ask(*words) == expected


def test_completion_loads_nothing_slow() -> None:
    candidates, modules = loaded(["history", "--state"], {"_REVE_COMPLETE": "words", "_REVE_COMPLETE_WORD": "un"})
    assert candidates == ["unfinished"]
    assert not {"httpx", "rich", "sqlite3", "reve_cli.actions.history", "reve_cli.journal.journal"} & modules
