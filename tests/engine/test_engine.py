"""The engine under bugs, refused URLs, wrong answers and time limits."""

import email.utils
import io
import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reve_cli.api.download import Images, Unusable
from reve_cli.api.origins import Origins
from reve_cli.core.clock import Deadline, Stop
from reve_cli.core.errors import ReveError
from reve_cli.core.models import ImageRequest, Job
from reve_cli.core.tasks import Task
from reve_cli.engine.outcomes import Outcomes
from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import Reve
from tests.engine.test_saving import on_image_request

Simulate = Callable[..., Sandbox]


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a bug in reve")


def test_a_bug_while_saving_exits_75_and_the_other_jobs_are_saved(
    reve: Reve, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, calls = os.link, iter([broken])
    monkeypatch.setattr(os, "link", lambda *arguments: next(calls, link)(*arguments))
    result = reve("generate", "fox", "--count", "3", "--out", "fox.png", "--json")
    assert result.code == 75
    (document,) = [document for document in result.documents if document["error"]]
    assert document["error"]["code"] == "unfinished"
    assert "a bug in reve" in document["error"]["message"]
    assert document["error"]["hint"] == f"reve resume {document['jobId']}"
    *_, why, command = result.stderr.splitlines()
    assert why == "error: 1 of 3 jobs unfinished; charged: 12 simulated credits; finish them with:"
    assert re.fullmatch("reve resume [0-9a-f]{32}", command)
    assert len(list(Path.cwd().iterdir())) == 2


def test_a_bug_while_submitting_exits_75_and_names_the_same_key(
    reve: Reve, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, journal: bool
) -> None:
    monkeypatch.setattr(email.utils, "parsedate_to_datetime", broken)
    document = reve("generate", "fox", "--out", "fox.png", "--json").document
    assert document["error"]["code"] == "unsettled"
    key = document["idempotencyKey"]
    assert (f"reve resume {key}" if journal else f"--idempotency-key={key}") in document["error"]["hint"]


def test_a_refused_url_is_replaced_by_the_jobs_new_one(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:403*3"))

    def renew() -> None:
        sandbox.cdn_url = sandbox.cdn_url.replace("127.0.0.1", "localhost")

    on_image_request(sandbox, renew)
    result = reve("generate", "fox", "--out", "fox.png", "--json")
    assert result.code == 0
    assert result.document["files"][0]["url"].startswith("http://localhost:")


def test_an_image_missing_after_a_day_has_expired(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:404"))
    job = reve("generate", "fox", "--no-wait").out.strip()
    reve.clock.advance(23.5 * 3600)
    on_image_request(sandbox, lambda: reve.clock.advance(3600))
    result = reve("download", job, "--out", "fox.png", "--timeout", "86400", "--json")
    assert (result.code, result.document["error"]["code"]) == (7, "expired")


@pytest.mark.parametrize("phase", ["completed", "saving"])
def test_a_late_answer_does_not_end_a_job_whose_images_are_being_saved(phase: Any) -> None:
    nothing: Any = None
    outcomes = Outcomes("saved", *[nothing] * 9)
    task = Task(1, phase, job_id="1")
    outcomes.polled(task, ReveError("not_found", "the API answered 404"))
    outcomes.polled(task, None)
    assert (task.phase, task.error) == (phase, None)


def test_an_answer_about_another_job_is_ignored(reve: Reve, simulate: Simulate) -> None:
    job = "3f2a9c1e-0000-4000-8000-000000000001"
    result = reve_with_server(reve, b'{"id": "3f2a9c1e-0000-4000-8000-000000000002", "status": "COMPLETED"}', job)
    assert (result.code, result.document["error"]["code"]) == (6, "gateway")


def reve_with_server(reve: Reve, body: bytes, job: str, command: str = "status") -> Any:
    from tests.api.test_http import Server

    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    server = Server(head % len(body) + body)
    reve.environ |= {"APIFRAME_BASE_URL": server.url, "APIFRAME_API_KEY": "afk_x"}
    try:
        return reve(command, job, *(["--json"] if command == "status" else []), "--timeout", "20")
    finally:
        server.socket.close()


def test_an_answer_that_is_too_long_is_ignored(reve: Reve, monkeypatch: pytest.MonkeyPatch) -> None:
    job = "3f2a9c1e-0000-4000-8000-000000000001"
    body = b'{"id": "%s", "status": "COMPLETED", "error": "%s"}' % (job.encode(), b"x" * (17 * 2**20))
    assert reve_with_server(reve, body, job).document["error"]["code"] == "gateway"


def test_at_the_time_limit_each_job_has_its_own_command(reve: Reve, simulate: Simulate, journal: bool) -> None:
    simulate(faults=parse_faults("outcome:forever"))
    result = reve("generate", "fox", "--count", "6", "--seed", "1", "--out", "fox.png", "--timeout", "10", "--json")
    assert result.code == 75
    jobs = [document["jobId"] for document in result.documents]
    commands = [f"reve wait {job} --out=fox-{index}.png" for index, job in enumerate(jobs, start=1)]
    if journal:
        commands = [f"reve resume {job}" for job in jobs]
    assert [document["error"]["hint"] for document in result.documents] == commands
    printed = [line for line in result.stderr.splitlines() if line.startswith("reve ")]
    assert len(printed) == 1
    assert journal or printed[0] == " && ".join(commands)


def test_the_last_line_finishes_all_unfinished_jobs(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(job_seconds=3600)
    result = reve("generate", "fox", "--count", "6", "--out", "fox.png", "--timeout", "10")
    *_, why, command = result.stderr.splitlines()
    assert result.code == 75
    assert why == "error: 6 of 6 jobs unfinished; charged: 0 simulated credits, 6 pending; finish them with:"
    assert re.fullmatch("reve resume [0-9a-f]{32}", command)
    reve.clock.advance(3600)
    assert reve(*shlex.split(command)[1:]).code == 0
    assert {path.name for path in Path.cwd().iterdir()} == {f"fox-{index}.png" for index in range(1, 7)}
    assert len(sandbox.jobs()) == 6


def test_a_job_that_ends_at_once_is_seen_without_waiting(reve: Reve, simulate: Simulate) -> None:
    sandbox, before = simulate(job_seconds=0), reve.clock.monotonic()
    assert reve("generate", "fox", "--out", "fox.png").code == 0
    assert reve.clock.monotonic() == before
    assert [job.polls for job in sandbox.jobs()] == [1]


def test_status_at_its_time_limit_exits_6(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("job:429/3"))
    job = reve("generate", "fox", "--no-wait").out.strip()
    assert sandbox.jobs()
    result = reve("status", job, "--timeout", "2", "--json")
    assert (result.code, result.document["error"]["code"]) == (6, "rate_limited")


def test_a_bug_in_the_main_thread_names_every_paid_job(
    reve: Reve, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    import queue
    import threading

    handed = 0

    class Failing(queue.SimpleQueue):  # type: ignore[type-arg]
        """Fails after the three requests and the first two polls."""

        def put(self, item: object, block: bool = True, timeout: float | None = None) -> None:
            nonlocal handed
            if item is not None and threading.current_thread() is threading.main_thread():
                handed += 1
                if handed == 6:
                    raise ValueError("a bug")
            super().put(item, block, timeout)

    monkeypatch.setattr(queue, "SimpleQueue", Failing)
    result = reve("generate", "fox", "--count", "3", "--out", "fox.png", "--json")
    assert result.code == 75
    hints = {document["error"]["hint"] for document in result.documents}
    assert hints == {f"reve resume {job.id}" for job in sandbox.jobs()}
    assert len(hints) == 3


def test_a_job_whose_polls_fail_does_not_delay_the_others(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("jobs:missing,job:500"))
    jobs = [reve("generate", "fox", "--no-wait").out.strip() for _ in range(2)]
    sandbox.faults = parse_faults("jobs:missing,job:500*7")
    started = reve.clock.now()
    assert reve("wait", *jobs, "--timeout", "300").code == 0
    assert reve.clock.now() - started < 300


def test_polls_for_missing_jobs_are_spaced_out(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:forever"))
    reve("generate", "fox", "--count", "40", "--no-wait", "-q")
    sandbox.faults = parse_faults("jobs:missing")
    before = len(sandbox.requests)
    assert reve("wait", *(job.id for job in sandbox.jobs()), "--timeout", "60", "-q").code == 75
    assert len(sandbox.requests) - before < 500
    assert min(job.polls for job in sandbox.jobs()) > 3


def test_polls_become_rarer_while_the_api_does_not_answer(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:forever"))
    reve("generate", "fox", "--count", "5", "--no-wait", "-q")
    ids = [job.id for job in sandbox.jobs()]
    sandbox.faults = parse_faults("jobs:503")
    waiting = ["wait", *ids, "--timeout", "300", "-q"]
    started = len(sandbox.requests)
    sandbox.faults = [*parse_faults("jobs:503,job:503")]
    on_requests_after(sandbox, 5, reve)
    assert reve(*waiting).code == 75
    assert len(sandbox.requests) - started < 120


def on_requests_after(sandbox: Sandbox, looks: int, reve: Reve) -> None:
    """Let the first `looks` requests succeed, then apply the sandbox's faults."""
    faults, sandbox.faults, seen = sandbox.faults, [], []

    class Requests(list):  # type: ignore[type-arg]
        def append(self, request: object) -> None:
            seen.append(request)
            if len(seen) == looks + 1:
                sandbox.faults = faults
            super().append(request)

    requests = Requests()
    requests.extend(sandbox.requests)
    sandbox.requests = requests


def test_the_named_command_finishes_a_partly_saved_job(reve: Reve, simulate: Simulate, journal: bool) -> None:
    sandbox = simulate(faults=parse_faults("outcome:images/3"))
    asked: list[int] = []

    def fail_the_second() -> None:
        asked.append(1)
        sandbox.faults = parse_faults("image:500") if 1 < len(asked) < 5 else []

    on_image_request(sandbox, fail_the_second)
    result = reve("generate", "fox", "--out", "fox.png", "--json")
    assert result.code == 75
    assert [Path(file["path"]).name for file in result.document["files"]] == ["fox.png", "fox-3.png"]
    command = shlex.split(result.document["error"]["hint"])
    assert command[:2] == ["reve", "resume" if journal else "wait"]
    assert reve(*command[1:]).code == 0
    assert {path.name for path in Path.cwd().iterdir()} == {"fox.png", "fox-2.png", "fox-3.png"}
    assert sandbox.charged == 4


def test_a_job_just_accepted_may_be_unknown_for_30_s(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("job:404*3"))
    assert reve("generate", "fox", "--out", "fox.png").code == 0


def test_a_job_matches_its_request_although_the_server_filled_in_defaults() -> None:
    job = "3f2a9c1e-0000-4000-8000-000000000001"
    made = {"prompt": "fox", "reveParams": {"aspect_ratio": "3:2", "version": "latest", "seed": 7}}
    for seed, same in ((None, True), (7, True), (8, False)):
        answered = Job.from_wire({"id": job, "status": "COMPLETED", "input": made})
        assert answered is not None
        assert ImageRequest("fox", seed=seed).matches(answered) is same


def test_a_url_with_invalid_characters_is_refused(reve: Reve) -> None:
    images = Images(Origins(public=True, loopback=True), clock=reve.clock, stop=Stop(), limits=reve.limits, debug=None)
    for url in ("https://a.example/\ud800.png", "http://[", "https://a b.example/ x"):
        with pytest.raises(Unusable):
            images.fetch(url, io.BytesIO(), Deadline(reve.clock, 10))
    images.close()


def test_urls_from_the_server_are_printed_without_control_characters(reve: Reve) -> None:
    job = "3f2a9c1e-0000-4000-8000-000000000001"
    url = "https://a.example/a.png\n\x1b[31mevil"
    body = json.dumps({"id": job, "status": "COMPLETED", "result": url}).encode()
    result = reve_with_server(reve, body, job, "wait")
    assert result.out == "https://a.example/a.png\\n\\x1b[31mevil\n"


def test_many_jobs_are_looked_up_a_hundred_at_once_and_without_the_journal_within_the_rate_limit(
    reve: Reve, simulate: Simulate
) -> None:
    sandbox = simulate(job_seconds=0)
    jobs = [job for _ in range(3) for job in reve("generate", "fox", "--no-wait", "--count", "50").out.split()]
    reve.clock.advance(3600)
    before = len(sandbox.requests)
    rows = [line.split("\t") for line in reve("status", *jobs).out.splitlines()]
    assert [(row[0], row[5]) for row in rows] == [(job, "fox") for job in jobs]
    assert [request.path.partition("?")[0] for request in sandbox.requests[before:]] == ["/v2/jobs"] * 2
    began = reve.clock.now()
    assert reve("status", *jobs, env={"REVE_JOURNAL": "off"}).code == 0
    looks = [request.at - began for request in sandbox.requests if request.path.startswith("/v2/jobs/")]
    assert len(looks) == 150
    assert all(at >= 0.15 * (number - 50) - 1e-6 for number, at in enumerate(sorted(looks)))
    assert max(looks) < 20
