"""`--listen` in `generate`, `wait` and `batch`: events instead of polls."""

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reve_cli.journal.journal import open_journal
from reve_cli.sandbox import Sandbox, parse_faults
from reve_cli.settings.folders import state_folder
from reve_cli.webhooks.ports import hold
from tests.conftest import Reve
from tests.support.crash import on_request
from tests.support.terminal import Terminal, eventually
from tests.webhooks.conftest import Hook

URL = "https://hooks.example.com/reve"


def asked(sandbox: Sandbox) -> int:
    """How many requests asked about jobs."""
    return sum(one.method == "GET" and one.path.startswith("/v2/jobs") for one in sandbox.requests)


def bodies(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in sandbox.requests if request.method == "POST"]


def when_it_has_begun(sandbox: Sandbox, then: Callable[[str], object], status: str = "") -> threading.Thread:
    """A thread that calls `then` with the id of the first job, once that exists and has this status, if given."""

    def work() -> None:
        eventually(lambda: any(status in ("", job.status) for job in sandbox.jobs()[:1]), "a job")
        then(sandbox.jobs()[0].id)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def when_it_has_ended(sandbox: Sandbox, then: Callable[[str], object]) -> threading.Thread:
    """A thread that calls `then` with the id of the first job, once that has ended."""
    return when_it_has_begun(sandbox, then, "COMPLETED")


def test_an_event_ends_the_wait_after_one_look(hook: Hook, slow: Sandbox) -> None:
    thread = when_it_has_ended(slow, lambda job: hook.event("completed", job))
    options = ["--listen", str(hook.port), "--webhook-url", hook.url, "--out", "fox.png"]
    result = hook.reve.child("generate", "a fox", *options)
    thread.join()
    assert result.code == 0, result.stderr
    assert Path("fox.png").is_file()
    assert asked(slow) <= 2  # as soon as it is accepted, and after the event
    assert bodies(slow)[0]["webhookEvents"] == ["completed", "failed"]


def test_a_command_stores_only_the_events_of_other_commands(hook: Hook, slow: Sandbox) -> None:
    other = "00000000-0000-4000-8000-000000000001"

    def post(job: str) -> None:
        assert hook.event("completed", other) == 204
        assert hook.event("completed", job) == 204

    thread = when_it_has_ended(slow, post)
    options = ["--listen", str(hook.port), "--webhook-url", hook.url, "--out", "fox.png"]
    assert hook.reve.child("generate", "a fox", *options).code == 0
    thread.join()
    folder = state_folder(hook.reve.environ)
    assert folder is not None
    journal = open_journal(folder, hook.reve.clock, print, begin=False)
    assert journal is not None
    assert [event.job for event in journal.events.to_do()] == [other]
    journal.close()


def test_an_event_that_comes_before_the_request_is_answered_is_done_when_the_image_is_saved(
    hook: Hook, slow: Sandbox
) -> None:
    slow.faults[:] = parse_faults("submit:drop-after*1")
    posted = threading.Event()
    on_request(slow, 2, lambda: posted.wait(20))  # the same request again

    def post(job: str) -> None:
        assert hook.event("completed", job) == 204
        posted.set()

    thread = when_it_has_begun(slow, post)
    options = ["--listen", str(hook.port), "--webhook-url", hook.url, "--out", "fox.png"]
    result = hook.reve.child("generate", "a fox", *options)
    thread.join()
    assert result.code == 0, result.stderr
    folder = state_folder(hook.reve.environ)
    assert folder is not None
    journal = open_journal(folder, hook.reve.clock, print, begin=False)
    assert journal is not None
    assert journal.events.last() == 1
    assert journal.events.to_do() == []
    journal.close()


def test_while_another_listener_holds_the_port_its_events_are_read(hook: Hook, slow: Sandbox) -> None:
    folder = state_folder(hook.reve.environ)
    assert folder is not None
    lock = hold(folder, hook.port)
    assert lock is not None
    journal = open_journal(folder, hook.reve.clock, print, begin=True)
    assert journal is not None
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", hook.port))
        taken.listen()
        body = b'{"event":"completed","jobId":"%s"}'
        thread = when_it_has_ended(
            slow, lambda job: journal.events.add(job, "completed", body % job.encode(), "bytes", 1.0)
        )
        options = ["--listen", str(hook.port), "--webhook-url", hook.url, "--out", "fox.png"]
        result = hook.reve.child("generate", "a fox", *options)
        thread.join()
    journal.close()
    lock.close()
    assert result.code == 0, result.stderr
    assert "another reve listens" in result.stderr
    assert asked(slow) <= 2  # as soon as it is accepted, and after the event


def test_without_events_the_image_is_saved_by_polling_once_a_minute(
    hook: Hook, simulate: Callable[..., Sandbox]
) -> None:
    sandbox = simulate(job_seconds=2)
    result = hook.reve("generate", "a fox", "--listen", str(hook.port), "--webhook-url", URL, "--out", "fox.png")
    assert result.code == 0, result.stderr
    assert asked(sandbox) <= 3


def test_a_job_that_outlives_its_usual_time_without_an_event_is_polled_as_usual(
    hook: Hook, simulate: Callable[..., Sandbox]
) -> None:
    sandbox = simulate(job_seconds=100)
    result = hook.reve("generate", "a fox", "--listen", str(hook.port), "--webhook-url", URL, "--out", "fox.png")
    assert result.code == 0, result.stderr
    assert "no webhook event has come for job" in result.stderr
    assert result.stderr.count("polling as usual") == 1
    assert 4 < asked(sandbox) < 30


def test_a_batch_whose_events_do_not_arrive_polls_as_usual(hook: Hook, simulate: Callable[..., Sandbox]) -> None:
    sandbox = simulate(job_seconds=40)
    Path("list.txt").write_text("".join(f"fox {number}\n" for number in range(12)))
    options = ["--listen", str(hook.port), "--webhook-url", URL, "--concurrency", "4"]
    started = hook.reve.clock.monotonic()
    result = hook.reve("batch", "list.txt", "--out", "pics/", *options)
    assert result.code == 0, result.stderr
    assert "no webhook events have come for 3 jobs" in result.stderr
    last = max(job.ends_at for job in sandbox.jobs()) - started
    assert hook.reve.clock.monotonic() - started < last + 20


def test_wait_listens_for_jobs_that_were_submitted_before(hook: Hook, slow: Sandbox) -> None:
    live_job = hook.reve.child("generate", "a fox", "--no-wait", "--webhook-url", hook.url, env={}).out.strip()
    result = hook.reve.child("wait", live_job, "--listen", str(hook.port), "--out", "fox.png")
    assert result.code == 0, result.stderr
    assert Path("fox.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["generate", "a fox", "--listen", "8787"], "--webhook-url"),
        (["batch", "list.txt", "--listen", "8787"], "--webhook-url"),
        (["batch", "list.txt", "--webhook-url", "hook"], "--webhook-url"),
        (["generate", "a fox", "--listen", "8787", "--webhook-url", URL, "--no-wait"], "--no-wait"),
        (["generate", "a fox", "--listen", "0", "--webhook-url", URL], "--listen '0'"),
        (["generate", "a fox", "--listen", "70000", "--webhook-url", URL], "--listen"),
        (["generate", "a fox", "--listen", "host", "--webhook-url", URL], "--listen"),
        (["generate", "a fox", "--listen", "::1:8787", "--webhook-url", URL], "--listen"),
        (["generate", "a fox", "--listen", "192.0.2.1:8787", "--webhook-url", URL], "address of this machine"),
    ],
    ids=str,
)
def test_a_wrong_use_is_refused_before_anything_is_submitted(
    reve: Reve, sandbox: Sandbox, arguments: list[str], why: str
) -> None:
    Path("list.txt").write_text("a fox\n")
    result = reve(*arguments)
    assert (result.code, why in result.stderr) == (2, True), result.stderr
    assert not sandbox.jobs()


def test_a_port_of_another_program_is_refused_before_anything_is_submitted(hook: Hook, sandbox: Sandbox) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", hook.port))
        taken.listen()
        result = hook.reve("generate", "a fox", "--listen", str(hook.port), "--webhook-url", URL)
    assert (result.code, "is in use" in result.stderr) == (2, True)
    assert not sandbox.jobs()


def test_an_item_of_a_batch_is_the_same_with_another_webhook(reve: Reve, sandbox: Sandbox) -> None:
    Path("list.txt").write_text("a fox\nan owl\n")
    batch = ["batch", "list.txt", "--out", "pics/"]
    assert reve(*batch, "--webhook-url", "https://one.example.com/").code == 0
    for more in ([], ["--webhook-url", "https://two.example.com/"]):
        result = reve(*batch, *more)
        assert result.code == 0, result.stderr
    assert len(sandbox.jobs()) == 2
    assert {body["webhookUrl"] for body in bodies(sandbox)} == {"https://one.example.com/"}


def test_an_item_with_another_webhook_and_a_lost_journal_is_not_paid_for_twice(reve: Reve, sandbox: Sandbox) -> None:
    Path("list.txt").write_text("a fox\n")
    batch = ["batch", "list.txt", "--run", "nightly"]
    assert reve(*batch, "--out", "one/", "--webhook-url", "https://one.example.com/").code == 0
    moved = {"REVE_STATE_DIR": str(reve.folder / "lost")}
    result = reve(*batch, "--out", "two/", "--webhook-url", "https://two.example.com/", env=moved)
    assert len(sandbox.jobs()) == 1
    assert result.code == 75


def test_a_dry_run_of_a_batch_shows_the_webhook_and_binds_no_port(reve: Reve, sandbox: Sandbox) -> None:
    Path("list.txt").write_text("a fox\n")
    options = ["--dry-run", "--json", "--webhook-url", URL, "--listen", "192.0.2.1:8787"]
    result = reve("batch", "list.txt", "--out", "pics/", *options)
    assert result.code == 0, result.stderr
    assert result.document["body"]["webhookUrl"] == URL


def test_a_terminal_with_a_spinner_shows_the_progress_that_events_tell(
    hook: Hook, simulate: Callable[..., Sandbox]
) -> None:
    sandbox = simulate(clock=time.time, job_seconds=30)
    options = ["--listen", str(hook.port), "--webhook-url", hook.url, "--out", "fox.png"]
    with Terminal(hook.reve.command("generate", "a fox", *options), env=hook.reve.environ) as terminal:
        terminal.expect("accepted")
        assert hook.event("progress", sandbox.jobs()[0].id, progress=42) == 204
        terminal.expect("42 %")
    assert bodies(sandbox)[0]["webhookEvents"] == ["progress", "completed", "failed"]
