"""The engine where things go wrong inside: faults of ours, renewed URLs, jobs that answer for others."""

import email.utils
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import Reve
from tests.test_saving import on_image_request

Simulate = Callable[..., Sandbox]


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a fault of ours")


def test_a_fault_of_ours_while_saving_is_75_and_spares_the_other_jobs(
    reve: Reve, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, calls = hashlib.file_digest, iter([broken])
    monkeypatch.setattr(hashlib, "file_digest", lambda *arguments: next(calls, digest)(*arguments))
    result = reve("generate", "fox", "--count", "3", "--out", "fox.png", "--json")
    assert result.code == 75
    errors = [document["error"] for document in result.documents if document["error"]]
    assert [error["code"] for error in errors] == ["unfinished"]
    assert "a fault of ours" in errors[0]["message"]
    assert errors[0]["hint"].startswith("reve wait ")
    assert len(list(Path.cwd().iterdir())) == 2


def test_a_fault_of_ours_while_submitting_is_75_with_the_same_key(
    reve: Reve, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(email.utils, "parsedate_to_datetime", broken)
    document = reve("generate", "fox", "--out", "fox.png", "--json").document
    assert document["error"]["code"] == "unsettled"
    assert f"--idempotency-key={document['idempotencyKey']}" in document["error"]["hint"]


def test_a_renewed_url_is_asked_for_and_used(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:403*3"))

    def renew() -> None:
        sandbox.cdn_url = sandbox.cdn_url.replace("127.0.0.1", "localhost")

    on_image_request(sandbox, renew)
    result = reve("generate", "fox", "--out", "fox.png", "--json")
    assert result.code == 0
    assert result.document["files"][0]["url"].startswith("http://localhost:")


def test_an_image_that_is_gone_a_day_later_has_expired(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:404"))
    job = reve("generate", "fox", "--no-wait").out.strip()
    reve.clock.advance(23.5 * 3600)
    on_image_request(sandbox, lambda: reve.clock.advance(3600))
    result = reve("download", job, "--out", "fox.png", "--timeout", "86400", "--json")
    assert (result.code, result.document["error"]["code"]) == (7, "expired")


def test_an_answer_about_another_job_is_no_answer(reve: Reve, simulate: Simulate) -> None:
    job = "3f2a9c1e-0000-4000-8000-000000000001"
    result = reve_with_server(reve, b'{"id": "3f2a9c1e-0000-4000-8000-000000000002", "status": "COMPLETED"}', job)
    assert (result.code, result.document["error"]["code"]) == (6, "gateway")


def reve_with_server(reve: Reve, body: bytes, job: str) -> Any:
    from tests.test_http import Server

    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    server = Server(head % len(body) + body)
    reve.environ |= {"APIFRAME_BASE_URL": server.url, "APIFRAME_API_KEY": "afk_x"}
    try:
        return reve("status", job, "--json", "--timeout", "20")
    finally:
        server.socket.close()


def test_an_answer_that_is_too_long_is_no_answer(reve: Reve, monkeypatch: pytest.MonkeyPatch) -> None:
    job = "3f2a9c1e-0000-4000-8000-000000000001"
    body = b'{"id": "%s", "status": "COMPLETED", "error": "%s"}' % (job.encode(), b"x" * (17 * 2**20))
    assert reve_with_server(reve, body, job).document["error"]["code"] == "gateway"


def test_the_time_limit_ends_many_jobs_each_with_its_own_command(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("outcome:forever"))
    result = reve("generate", "fox", "--count", "6", "--seed", "1", "--out", "fox.png", "--timeout", "10", "--json")
    assert result.code == 75
    hints = [document["error"]["hint"] for document in result.documents]
    assert [hint.split()[-1] for hint in hints] == [f"--out=fox-{index}.png" for index in range(1, 7)]
    assert [hint.split()[2] for hint in hints] == [document["jobId"] for document in result.documents]


def test_status_at_its_time_limit_is_6(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("job:429/3"))
    job = reve("generate", "fox", "--no-wait").out.strip()
    assert sandbox.jobs()
    result = reve("status", job, "--timeout", "2", "--json")
    assert (result.code, result.document["error"]["code"]) == (6, "rate_limited")


def test_a_fault_of_ours_in_the_main_thread_names_every_job_that_is_paid_for(
    reve: Reve, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    start, kinds = threading.Thread.start, []

    def cannot_start(thread: threading.Thread) -> None:
        kinds.append(thread.name)
        if thread.name == "poll":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", cannot_start)
    result = reve("generate", "fox", "--count", "3", "--out", "fox.png", "--json")
    assert result.code == 75
    assert kinds.count("send") == 3
    assert {document["error"]["hint"].split()[2] for document in result.documents} == {job.id for job in sandbox.jobs()}


def test_one_job_that_cannot_be_asked_about_does_not_hold_up_the_others(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("jobs:missing,job:500"))
    jobs = [reve("generate", "fox", "--no-wait").out.strip() for _ in range(2)]
    sandbox.faults = parse_faults("jobs:missing,job:500*7")
    started = reve.clock.now()
    assert reve("wait", *jobs, "--timeout", "300").code == 0
    assert reve.clock.now() - started < 300


def test_missing_jobs_are_not_asked_for_in_a_hurry(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:forever"))
    result = reve("generate", "fox", "--count", "40", "--out", "fox.png", "--timeout", "20", "-q")
    assert result.code == 75
    before = len(sandbox.requests)
    sandbox.faults = [*sandbox.faults, *parse_faults("jobs:missing")]
    ids = [job.id for job in sandbox.jobs()]
    assert reve("wait", *ids, "--timeout", "20", "-q").code == 75
    assert len(sandbox.requests) - before < 40 + 40 * 20
