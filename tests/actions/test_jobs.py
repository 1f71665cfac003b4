"""`reve jobs`: filters, paging, output, and saving images."""

import http.client
import itertools
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from reve_cli.sandbox import Sandbox, parse_faults
from reve_cli.sandbox.outcomes import UGLY
from tests.conftest import Result, Reve, loaded
from tests.program.test_layers import SLOW
from tests.support.servers import Asked, Reply, answered, json_reply, sandbox_behind
from tests.support.terminal import PATIENCE, Terminal

Simulate = Callable[..., Sandbox]
JOB, STATUS, MODEL, CREDITS, CREATED, COMPLETED, EXPIRED = range(7)
"""The table's columns."""


def submit(sandbox: Sandbox, count: int = 1) -> list[str]:
    """Submit `count` jobs without this machine's journal. Returns their ids, newest first."""
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"))
    headers = {"X-API-Key": sandbox.key, "Content-Type": "application/json"}
    for _ in range(count):
        connection.request("POST", "/v2/images/generate", b'{"prompt": "fox", "model": "reve-create"}', headers)
        connection.getresponse().read()
    connection.close()
    made = sorted(sandbox.jobs(), key=lambda job: (job.created_at, job.id), reverse=True)
    return [job.id for job in made]


def asked(sandbox: Sandbox) -> list[dict[str, str]]:
    """Return the filters of every requested page."""
    pages = [urlsplit(request.path) for request in sandbox.requests]
    return [
        {name: values[0] for name, values in parse_qs(page.query).items()} for page in pages if page.path == "/v2/jobs"
    ]


def table(result: Result) -> list[list[str]]:
    """Return the cells of the list in a pipe."""
    assert result.code == 0, result.stderr
    rows = [line.split("\t") for line in result.out.splitlines()]
    assert all(len(row) == 7 for row in rows)
    return rows


def ids(result: Result) -> list[str]:
    return [row[JOB] for row in table(result)]


def a_job(number: int, **facts: Any) -> dict[str, Any]:
    """Return the `number`th job of an API's list. Higher numbers are older."""
    created = datetime.fromtimestamp(1_800_000_000 - 60 * number, UTC).isoformat().replace("+00:00", "Z")
    return {
        "id": f"00000000-0000-4000-8000-{number:012}", "status": "COMPLETED", "model": "reve-create", "progress": 100,
        "error": None, "creditCost": 4, "webhookStatus": None, "createdAt": created, "completedAt": created,
        "expired": False, "result": {"images": []}, **facts,
    }  # fmt: skip


def a_page(numbers: Sequence[int], cursor: str | None) -> dict[str, Any]:
    return {"jobs": [a_job(number) for number in numbers], "nextCursor": cursor, "hasMore": cursor is not None}


def of_pages(pages: Sequence[object]) -> Callable[[Asked], Reply]:
    """Serve these pages in turn, and repeat the last one."""
    left = itertools.chain(pages, itertools.repeat(pages[-1]))

    def answer(_: Asked) -> Reply:
        page = next(left)
        return page if isinstance(page, Reply) else json_reply(page)

    return answer


# What is listed


def test_every_job_is_listed_once_newest_first_over_all_pages(reve: Reve, sandbox: Sandbox) -> None:
    jobs = submit(sandbox, 250)
    result = reve("jobs", "--limit", "0")
    assert ids(result) == jobs
    assert result.stderr == ""
    assert len(asked(sandbox)) == 3


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_a_terminal_shows_the_newest_20_and_a_pipe_all(reve: Reve, live: Sandbox) -> None:
    jobs = submit(live, 120)
    with Terminal(reve.command("jobs"), env=reve.environ) as terminal:
        assert terminal.wait() == 0
        _, *lines, note = terminal.screen.text.splitlines()
    assert [line.split()[0] for line in lines] == [job[:8] for job in jobs[:20]]
    assert note == "showing the newest 20; --limit 0 shows all"
    assert len(asked(live)) == 1
    assert ids(reve("jobs")) == jobs


def test_with_json_all_jobs_are_shown(reve: Reve, sandbox: Sandbox) -> None:
    jobs = submit(sandbox, 120)
    assert [document["jobId"] for document in reve("jobs", "--json").documents] == jobs


@pytest.mark.parametrize(("limit", "listed", "more"), [(1, 1, True), (100, 100, True), (119, 119, True), (120, 120, 0)])
def test_a_limit_counts_jobs_and_says_when_there_are_more(
    reve: Reve, sandbox: Sandbox, limit: int, listed: int, more: bool
) -> None:
    submit(sandbox, 120)
    result = reve("jobs", "--limit", str(limit))
    assert len(table(result)) == listed
    assert ("--limit 0" in result.stderr) == more


def test_a_row_shows_the_fields_of_the_list(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:fail*1,outcome:expired*1"))
    failed = submit(sandbox)[0]
    reve.clock.advance(1)
    expired = submit(sandbox)[0]
    reve.clock.advance(10)
    running = submit(sandbox)[0]
    made = "2027-01-15T08:00:"
    assert table(reve("jobs")) == [
        [running, "QUEUED", "reve-create", "", f"{made}11.000Z", "", ""],
        [expired, "COMPLETED", "reve-create", "4", f"{made}01.000Z", f"{made}03.000Z", "expired"],
        [failed, "FAILED", "reve-create", "0", f"{made}00.000Z", f"{made}02.000Z", ""],
    ]


def test_a_document_has_the_shape_of_every_job_and_no_prompt(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", "fox", "--out", "fox.png", "--json").document
    document = reve("jobs", "--json").document
    assert list(document) == list(job)
    same = ("jobId", "status", "progress", "model", "urls", "creditCost", "createdAt", "completedAt", "expired")
    assert {name: document[name] for name in same} == {name: job[name] for name in same}
    assert (document["prompt"], document["files"], document["error"], document["simulated"]) == (None, [], None, True)


@pytest.mark.parametrize("fault", ["sparse", "nulls", "wrong-types"])
def test_a_job_with_missing_fields_is_listed(reve: Reve, sandbox: Sandbox, fault: str) -> None:
    jobs = submit(sandbox)
    sandbox.faults += parse_faults(f"jobs:{fault}")
    assert table(reve("jobs")) == [[*jobs, "QUEUED", "", "", "", "", ""]]
    assert reve("jobs", "--since", "1d").out == ""


def test_no_jobs_and_no_match_have_different_notes(reve: Reve, sandbox: Sandbox) -> None:
    assert (reve("jobs").out, reve("jobs").stderr) == ("", "no jobs\n")
    assert reve("jobs", "--status", "failed").stderr == "no job matches\n"
    assert reve("jobs", "--json", "-q") == Result(0, b"", "")


# Filters


@pytest.fixture
def mixed(simulate: Simulate, reve: Reve) -> tuple[Sandbox, dict[str, str]]:
    """A sandbox with a job of each status, by status."""
    sandbox = simulate(faults=parse_faults("outcome:fail*1,outcome:cancel*1"))
    made = {}
    ages = {"FAILED": 3, "CANCELLED": 3, "COMPLETED": 3, "PROCESSING": 0.25, "QUEUED": 0}
    for status, seconds in ages.items():
        made[status] = submit(sandbox)[0]
        reve.clock.advance(seconds)
    return sandbox, made


def test_the_api_filters_by_one_status(reve: Reve, mixed: tuple[Sandbox, dict[str, str]]) -> None:
    sandbox, made = mixed
    for status, job in made.items():
        assert ids(reve("jobs", "--status", status.lower())) == [job]
        assert asked(sandbox)[-1] == {"status": status, "limit": "100"}


def test_several_statuses_give_one_list_newest_first(reve: Reve, mixed: tuple[Sandbox, dict[str, str]]) -> None:
    sandbox, made = mixed
    result = reve("jobs", "--status", "Failed", "--status", "QUEUED", "--status", "failed")
    assert ids(result) == [made["QUEUED"], made["FAILED"]]
    assert asked(sandbox) == [{"limit": "100"}]


def test_the_limit_counts_matching_jobs_only(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:fail*2"))
    failed = submit(sandbox, 2)
    reve.clock.advance(1)
    submit(sandbox, 130)
    reve.clock.advance(10)
    result = reve("jobs", "--status", "failed", "--status", "cancelled", "--limit", "1")
    assert ids(result) == failed[:1]
    assert len(asked(sandbox)) == 2


def test_the_api_filters_by_model_scope_and_job(reve: Reve, sandbox: Sandbox) -> None:
    jobs = submit(sandbox, 3)
    assert ids(reve("jobs", "--model", "reve-create", "--scope", "team", "--job", jobs[1].upper())) == [jobs[1]]
    assert asked(sandbox) == [{"model": "reve-create", "scope": "team", "search": jobs[1], "limit": "100"}]
    assert ids(reve("jobs", "--model", "another")) == []
    assert ids(reve("jobs", "--scope", "user")) == jobs


def test_filters_are_sent_with_every_page(reve: Reve, sandbox: Sandbox) -> None:
    submit(sandbox, 150)
    assert len(ids(reve("jobs", "--limit", "0", "--model", "reve-create", "--status", "queued"))) == 150
    assert [page["status"] + page["model"] for page in asked(sandbox)] == ["QUEUEDreve-create"] * 2


def test_the_teams_jobs_are_for_admins(reve: Reve) -> None:
    with answered(reve.environ, lambda _: json_reply({"error": "Only admins may list the team's jobs"}, 403)):
        result = reve("jobs", "--scope", "team", "--json")
    assert (result.code, result.document["error"]["code"]) == (3, "forbidden")
    assert "Only admins" in result.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ("--status", "done"), ("--scope", "all"), ("--job", "3f2a"), ("--job", "fox"), ("--model", "two words"),
        ("--since", "yesterday"), ("--until", "soon"), ("--limit", "-1"), ("--out", "fox.png"), ("--force",),
        ("--search", "fox"), ("--download", "--out", "{nope}.png"), ("--download", "--out", ""), ("fox",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_exits_with_2_and_sends_nothing(reve: Reve, sandbox: Sandbox, wrong: tuple[str, ...]) -> None:
    result = reve("jobs", *wrong)
    assert (result.code, result.out) == (2, "")
    assert not sandbox.requests


def test_wrong_usage_loads_nothing_slow() -> None:
    assert not SLOW & loaded(["jobs", "--status", "done"])[1]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--status", "C"], ["COMPLETED", "CANCELLED"]),
        (["--status", "comp"], ["completed"]),
        (["--status", "QUE"], ["QUEUED"]),
        (["--scope", ""], ["user", "team"]),
        (["--scope", "t"], ["team"]),
        (["--out", ""], [":files"]),
    ],
    ids=" ".join,
)
def test_values_are_completed(ask: Callable[..., list[str]], words: list[str], expected: list[str]) -> None:
    assert ask("jobs", *words) == expected


# When jobs were created


@pytest.fixture
def hourly(sandbox: Sandbox, reve: Reve) -> list[str]:
    """250 jobs, one a minute up to now, newest first."""
    for _ in range(250):
        reve.clock.advance(60)
        submit(sandbox)
    return submit(sandbox, 0)


@pytest.mark.parametrize(("since", "listed", "pages"), [("30m", 31, 1), ("99m", 100, 2), ("150m", 151, 2)])
def test_since_stops_at_the_first_page_with_an_older_job(
    reve: Reve, sandbox: Sandbox, hourly: list[str], since: str, listed: int, pages: int
) -> None:
    result = reve("jobs", "--since", since, "--json")
    assert [document["jobId"] for document in result.documents] == hourly[:listed]
    assert len(asked(sandbox)) == pages
    assert result.stderr == ""


def test_until_leaves_out_newer_jobs(reve: Reve, sandbox: Sandbox, hourly: list[str]) -> None:
    assert ids(reve("jobs", "--since", "205m", "--until", "200m", "--limit", "0")) == hourly[201:206]
    assert ids(reve("jobs", "--until", "200m", "--limit", "3")) == hourly[201:204]
    assert ids(reve("jobs", "--since", "2m", "--until", "200m")) == []


# A list that goes wrong


@pytest.mark.parametrize(
    "pages",
    [
        [a_page(range(100), "a"), a_page(range(100), "a")],
        [a_page(range(100), "a"), a_page(range(100), "b")],
        [a_page(range(100), "a"), a_page([], "b")],
        [a_page(range(100), "a"), a_page(range(100, 200), "a")],
        [a_page(range(100), "")],
        [a_page([], "a")],
    ],
    ids=["page again", "page again by another cursor", "empty for ever", "cursor again", "empty cursor", "no job"],
)
def test_a_list_without_end_is_an_error(reve: Reve, pages: list[dict[str, Any]]) -> None:
    with answered(reve.environ, of_pages(pages)) as origin:
        result = reve("jobs", "--json")
    assert result.code == 6
    *documents, last = result.documents
    told = {job["id"] for page in pages for job in page["jobs"]}
    assert {document["jobId"] for document in documents} == told
    assert len(documents) == len(told)
    assert last["error"]["code"] == "server"
    assert "does not end: " in last["error"]["message"]
    assert len(origin.asked) <= 3


def test_a_page_without_jobs_is_not_the_end_of_the_list(reve: Reve) -> None:
    pages = [a_page(range(100), "a"), a_page([], "b"), a_page([], "c"), a_page(range(100, 150), None)]
    with answered(reve.environ, of_pages(pages)):
        result = reve("jobs", "--limit", "0")
    assert (result.code, len(table(result))) == (0, 150)


def test_a_job_that_moves_to_the_next_page_is_listed_once(reve: Reve) -> None:
    pages = [a_page(range(100), "a"), a_page(range(98, 150), None)]
    with answered(reve.environ, of_pages(pages)):
        result = reve("jobs", "--limit", "0")
    assert ids(result) == [a_job(number)["id"] for number in range(150)]


def test_a_rate_limit_in_the_middle_is_waited_for(reve: Reve) -> None:
    limited = json_reply({"error": "Too many requests"}, 429, Retry_After="7")
    pages = [a_page(range(100), "a"), limited, a_page(range(100, 150), None)]
    began = reve.clock.now()
    with answered(reve.environ, of_pages(pages)) as origin:
        result = reve("jobs", "--limit", "0")
    assert len(table(result)) == 150
    assert reve.clock.now() - began >= 7
    assert [parse_qs(urlsplit(asked.target).query).get("cursor") for asked in origin.asked] == [None, ["a"], ["a"]]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (json_reply({"error": "down"}, 503), 6),
        (json_reply({"error": "Too many requests"}, 429, Retry_After="3600"), 6),
        (json_reply({"error": "Invalid cursor"}, 400), 2),
        (json_reply({"error": "Key inactive"}, 401), 3),
        (Reply(200, b"<html>"), 6),
    ],
    ids=["down", "rate limited past the time limit", "refused", "key refused", "gateway"],
)
def test_if_a_page_fails_the_jobs_before_it_are_printed(reve: Reve, answer: Reply, code: int) -> None:
    with answered(reve.environ, of_pages([a_page(range(100), "a"), answer])):
        result = reve("jobs", "--limit", "0")
    assert result.code == code
    assert len(result.out.splitlines()) == 100
    assert result.stderr.splitlines()[-1].startswith(("error: ", "hint: "))


def test_the_time_limit_is_for_all_pages_together(reve: Reve) -> None:
    cursors = map(str, itertools.count())
    numbers = itertools.count(step=100)

    def answer(_: Asked) -> Reply:
        reve.clock.advance(4)
        first = next(numbers)
        return json_reply(a_page(range(first, first + 100), next(cursors)))

    with answered(reve.environ, answer) as origin:
        result = reve("jobs", "--limit", "0", "--timeout", "10")
    assert result.code == 6
    assert len(origin.asked) == 3
    assert len(result.out.splitlines()) == 200


# How it is printed


def test_each_page_is_printed_as_it_arrives(reve: Reve) -> None:
    """A reader gets the first page before the server sends the second."""
    for first_line in (b"00000000-0000-4000-8000-000000000000\t", b'{"jobId":"00000000-0000-4000-8000-000000000000"'):
        has_read = threading.Event()
        with answered(reve.environ, waiting(has_read)):
            options = ["--json"] if first_line.startswith(b"{") else ["--limit", "101"]
            command = reve.command("jobs", *options)
            with subprocess.Popen(command, stdout=subprocess.PIPE, env=reve.environ) as process:
                assert process.stdout
                assert process.stdout.readline().startswith(first_line)
                has_read.set()
                assert len(process.stdout.read().splitlines()) == 100
                assert process.wait(PATIENCE) == 0


def waiting(reader: threading.Event, last: int = 1) -> Callable[[Asked], Reply]:
    """Serve full pages up to page `last`, counted from 0. The second page waits for `reader`."""

    def answer(asked: Asked) -> Reply:
        number = int(parse_qs(urlsplit(asked.target).query).get("cursor", ["0"])[0])
        if number:
            assert reader.wait(PATIENCE)
        if number == last:
            return json_reply(a_page([100 * number], None))
        return json_reply(a_page(range(100 * number, 100 * number + 100), str(number + 1)))

    return answer


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGPIPE")
@pytest.mark.parametrize("options", [["--limit", "0"], ["--json"]])
def test_a_reader_that_left_ends_the_paging(reve: Reve, options: list[str]) -> None:
    has_left = threading.Event()
    with answered(reve.environ, waiting(has_left, last=1000)) as origin:
        process = subprocess.Popen(
            reve.command("jobs", *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=reve.environ
        )
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        has_left.set()
        assert (process.stderr.read(), process.wait(PATIENCE)) == (b"", -13)
        process.stderr.close()
    assert len(origin.asked) <= 2  # it learns that nobody reads from the first page, or from the second


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_output_ends_the_paging(reve: Reve) -> None:
    with answered(reve.environ, waiting(threading.Event())) as origin, open("/dev/full", "wb") as full:
        done = subprocess.run(
            reve.command("jobs", "--json"), stdout=full, stderr=subprocess.PIPE, env=reve.environ, check=False
        )
    assert done.returncode == 1
    assert len(origin.asked) == 1


@pytest.fixture
def odd(reve: Reve) -> Iterator[str]:
    """An API with an expired job, and a job with control characters in status and model. Yields that model."""
    jobs = [a_job(0, expired=True), a_job(1, status=UGLY, model=UGLY)]
    page = {"jobs": jobs, "nextCursor": None, "hasMore": False}
    with answered(reve.environ, lambda _: json_reply(page)):
        yield UGLY


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("columns", [20, 40, 120])
def test_odd_values_stay_on_the_line_of_their_job(reve: Reve, odd: str, columns: int) -> None:
    with Terminal(reve.command("jobs"), env=reve.environ, columns=columns) as terminal:
        assert terminal.wait() == 0
        lines = terminal.screen.text.splitlines()  # which fails for control characters
    assert len(lines) == 3
    assert all(len(line) <= columns for line in lines)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_a_terminal_shows_one_table_of_all_pages(reve: Reve) -> None:
    pages = [a_page([0], "a"), a_page([1], None)]
    with (
        answered(reve.environ, of_pages(pages)),
        Terminal(reve.command("jobs"), env=reve.environ, columns=120) as terminal,
    ):
        assert terminal.wait() == 0
        header, *rows = terminal.screen.text.splitlines()
    assert header.split() == ["JOB", "AGE", "STATE", "CREDITS", "MODEL"]
    assert [row.split()[0] for row in rows] == ["00000000", "00000000"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_prompts_and_files_of_jobs_begun_here_come_from_the_journal(reve: Reve, live: Sandbox) -> None:
    assert reve.child("generate", "a red fox", "--out", "fox.png").code == 0
    submit(live)
    with Terminal(reve.command("jobs"), env=reve.environ) as terminal:
        assert terminal.wait() == 0
        header, elsewhere, here = terminal.screen.text.splitlines()
    assert header.split() == ["JOB", "AGE", "STATE", "CREDITS", "PROMPT", "FILE"]
    assert here.split()[1:] == [*here.split()[1:3], "COMPLETED", "4", "a", "red", "fox", "fox.png"]
    assert elsewhere.split()[-1] in ("QUEUED", "PROCESSING", "%", "4")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_if_a_page_fails_a_terminal_shows_the_jobs_before_it(reve: Reve) -> None:
    pages = [a_page([0], "a"), json_reply({"error": "Invalid cursor"}, 400)]
    with (
        answered(reve.environ, of_pages(pages)),
        Terminal(reve.command("jobs", "--limit", "0"), env=reve.environ, columns=60) as terminal,
    ):
        assert terminal.wait() == 2
        lines = terminal.screen.text.splitlines()
    assert lines[1].split()[0] == "00000000"
    assert lines[-1].startswith("error: the API answered 400: Invalid cursor")


def test_control_characters_are_escaped_in_a_pipe(reve: Reve, odd: str) -> None:
    result = reve("jobs")
    assert not any(control in result.out for control in "\x1b\x9b\r\u202e")
    assert len(table(result)) == 2
    assert json.loads(reve("jobs", "--json").out.splitlines()[1])["model"] == odd


@pytest.mark.parametrize("options", [(), ("--json",), ("--debug",)])
def test_a_key_in_the_list_is_hidden(reve: Reve, options: tuple[str, ...]) -> None:
    key = "afk_of_an_odd_server"
    page = {"jobs": [a_job(0, model=key, status=key)], "nextCursor": None, "hasMore": False}
    with answered(reve.environ, lambda _: json_reply(page)):
        result = reve("jobs", *options)
    assert "afk_[hidden]" in result.out
    assert key not in result.out + result.stderr


# Saving


def images(folder: str = ".") -> list[str]:
    return sorted(os.listdir(folder))


@pytest.fixture
def varied(simulate: Simulate, reve: Reve) -> tuple[Sandbox, list[str]]:
    """A sandbox with failed, expired and running jobs, and two jobs with images. Also returns those two."""
    sandbox = simulate(faults=parse_faults("outcome:fail*1,outcome:expired*1,outcome:forever*1"))
    submit(sandbox, 3)
    reve.clock.advance(1)
    completed = submit(sandbox, 2)[:2]
    reve.clock.advance(10)
    return sandbox, completed


def test_download_saves_the_images_of_completed_jobs(reve: Reve, varied: tuple[Sandbox, list[str]]) -> None:
    _, completed = varied
    result = reve("jobs", "--download")
    assert result.code == 0
    assert result.out.split() == [f"fox-{job}.png" for job in completed]
    assert images() == sorted(result.out.split())
    left_out = next(line for line in result.stderr.splitlines() if line.startswith("skipped: "))
    assert sorted(left_out.removeprefix("skipped: ").split(", ")) == ["1 FAILED", "1 PROCESSING", "1 expired"]


def test_download_prints_documents_with_json(reve: Reve, varied: tuple[Sandbox, list[str]]) -> None:
    _, completed = varied
    documents = reve("jobs", "--download", "--json", "--out", "{job}.{ext}").documents
    assert [document["jobId"] for document in documents] == completed
    assert [document["files"][0]["path"] for document in documents] == [f"{job}.png" for job in completed]
    assert {document["prompt"] for document in documents} == {"fox"}


def test_download_obeys_the_filters(reve: Reve, varied: tuple[Sandbox, list[str]]) -> None:
    _, (newest, _) = varied
    assert reve("jobs", "--download", "--job", newest).out == f"fox-{newest}.png\n"
    result = reve("jobs", "--download", "--status", "failed")
    assert (result.code, result.out) == (0, "")
    assert result.stderr == "skipped: 1 FAILED\nnothing to save\n"


def test_a_second_download_saves_only_new_images(reve: Reve, varied: tuple[Sandbox, list[str]]) -> None:
    sandbox, _ = varied
    assert reve("jobs", "--download").code == 0
    before = {name: os.stat(name).st_mtime_ns for name in images()}
    new = submit(sandbox)[0]
    reve.clock.advance(10)
    result = reve("jobs", "--download")
    assert (result.code, result.out) == (0, f"fox-{new}.png\n")
    assert "2 already saved" in result.stderr
    assert {name: os.stat(name).st_mtime_ns for name in before} == before
    assert reve("jobs", "--download", "-q") == Result(0, b"", "")


@pytest.mark.parametrize("out", ["pics/", "pics/{date}-{job}.{ext}", "pics/{slug}[{seed}]{job}.{ext}", "pics/{job}"])
def test_a_saved_job_is_skipped_if_the_name_has_its_id(reve: Reve, varied: tuple[Sandbox, list[str]], out: str) -> None:
    Path("pics").mkdir()
    assert len(reve("jobs", "--download", "--out", out).out.split()) == 2
    result = reve("jobs", "--download", "--out", out)
    assert (result.code, result.out) == (0, "")
    assert "2 already saved" in result.stderr


def test_without_the_id_in_the_name_existing_files_are_refused(reve: Reve, varied: tuple[Sandbox, list[str]]) -> None:
    assert reve("jobs", "--download", "--out", "fox.png").out.split() == ["fox-1.png", "fox-2.png"]
    Path("fox-1.png").write_bytes(b"another")
    result = reve("jobs", "--download", "--out", "fox.png")
    assert (result.code, result.out) == (7, "fox-2.png\n")
    assert "fox-1.png exists" in result.stderr


def test_force_saves_images_again(reve: Reve, varied: tuple[Sandbox, list[str]]) -> None:
    assert reve("jobs", "--download").code == 0
    Path(images()[0]).write_text("spoilt")
    result = reve("jobs", "--download", "--force")
    assert (result.code, len(result.out.split())) == (0, 2)
    assert all(Path(name).read_bytes().startswith(b"\x89PNG") for name in images())


def test_a_job_with_a_missing_image_is_saved_again(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:images/3"))
    (job,) = submit(sandbox)
    reve.clock.advance(10)
    assert len(reve("jobs", "--download").out.split()) == 3
    assert reve("jobs", "--download").code == 0
    os.unlink(f"fox-{job}-2.png")
    result = reve("jobs", "--download")
    assert result.code == 0
    assert len(list(Path.cwd().iterdir())) == 3


@pytest.mark.parametrize("name", ["fox-{}.txt", "fox-{}.png.part", "fox-{}.png/x"])
def test_another_file_is_not_taken_for_a_saved_image(reve: Reve, sandbox: Sandbox, name: str) -> None:
    (job,) = submit(sandbox)
    reve.clock.advance(10)
    path = Path(name.format(job))
    path.parent.mkdir(exist_ok=True)
    path.write_text("notes")
    result = reve("jobs", "--download")
    assert "already saved" not in result.stderr


def test_standard_output_takes_one_image(reve: Reve, sandbox: Sandbox) -> None:
    submit(sandbox)
    reve.clock.advance(10)
    result = reve("jobs", "--download", "--out", "-")
    assert (result.code, result.stdout[:4]) == (0, b"\x89PNG")
    assert reve("jobs", "--download", "--out", "-", "--json").document["error"]["code"] == "usage"
    submit(sandbox)
    reve.clock.advance(10)
    result = reve("jobs", "--download", "--out", "-")
    assert (result.code, result.stdout) == (2, b"")
    assert reve("jobs", "--download", "--out", "-", "--limit", "1").stdout[:4] == b"\x89PNG"


def cut_off(sandbox: Sandbox, first: int, answer: Reply) -> Callable[[Asked], Reply]:
    """Serve the sandbox's API, but fail the list of jobs after a page of `first` jobs."""
    inside = sandbox_behind(sandbox, sandbox.cdn_url)

    def api(asked: Asked) -> Reply:
        path, _, query = asked.target.partition("?")
        if path != "/v2/jobs":
            return inside(asked)
        if "cursor=" in query:
            return answer
        page = json.loads(inside(asked).body)
        return json_reply({"jobs": page["jobs"][:first], "nextCursor": "more", "hasMore": True})

    return api


@pytest.mark.parametrize(
    ("answer", "code"),
    [(json_reply({"error": "down"}, 503), 6), (json_reply({"error": "Key inactive"}, 401), 3)],
    ids=["down", "refused"],
)
def test_if_a_page_fails_the_jobs_before_it_are_saved(reve: Reve, sandbox: Sandbox, answer: Reply, code: int) -> None:
    jobs = submit(sandbox, 3)
    reve.clock.advance(10)
    key = reve.environ["APIFRAME_API_KEY"]
    with answered(reve.environ, cut_off(sandbox, 2, answer)):
        reve.environ["APIFRAME_API_KEY"] = key
        result = reve("jobs", "--download", "--json", "--out", "{job}.{ext}")
        again = reve("jobs", "--download", "--out", "{job}.{ext}")
    assert result.code == code
    *saved, last = result.documents
    assert [document["files"][0]["path"] for document in saved] == [f"{job}.png" for job in jobs[:2]]
    assert images() == sorted(f"{job}.png" for job in jobs[:2])
    assert last["error"]["exitCode"] == code
    assert "the list of jobs is incomplete: " in result.stderr
    assert (again.code, again.out) == (code, "")
    assert "2 already saved" in again.stderr
    assert "nothing to save" not in again.stderr


def test_if_the_first_page_fails_the_command_fails(reve: Reve) -> None:
    with answered(reve.environ, of_pages([json_reply({"error": "down"}, 503)])) as origin:
        result = reve("jobs", "--download")
    assert (result.code, result.out) == (6, "")
    assert {urlsplit(asked.target).path for asked in origin.asked} == {"/v2/jobs"}
