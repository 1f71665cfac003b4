"""`reve webhook listen`: what it saves, prints and answers."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reve_cli.journal.journal import open_journal
from reve_cli.sandbox import Sandbox, parse_faults
from reve_cli.settings.folders import state_folder
from tests.conftest import Reve
from tests.webhooks.conftest import Hook

OTHER = "00000000-0000-4000-8000-000000000001"


def gets(sandbox: Sandbox) -> int:
    """GETs of the API, without /v2/me: a command that has its job does not wait for that answer."""
    return sum(
        request.method == "GET" and request.side == "api" and request.path != "/v2/me" for request in sandbox.requests
    )


def store(hook: Hook, jobs: Sequence[str]) -> None:
    """Store an event of each job, as a listener does that is killed at once."""
    folder = state_folder(hook.reve.environ)
    assert folder is not None
    journal = open_journal(folder, hook.reve.clock, print, begin=False)
    assert journal is not None
    for job in jobs:
        body = json.dumps({"event": "completed", "jobId": job}).encode()
        assert journal.events.add(job, "completed", body, "bytes", 1.0)
    journal.close()


def test_a_completed_event_saves_the_image_to_the_path_it_was_submitted_with(hook: Hook, handed_over: str) -> None:
    result = hook.listen("--count", "1", then=lambda: hook.event("completed", handed_over))
    assert result.code == 0, result.stderr
    assert (hook.reve.folder / "fox.png").is_file()
    assert result.out.split()[1:] == ["completed", handed_over, "saved", str(hook.reve.folder / "fox.png")]
    assert "unfinished" not in hook.reve("account").stderr


def test_it_costs_one_request_to_the_api(hook: Hook, handed_over: str, sandbox: Sandbox) -> None:
    before = gets(sandbox)
    hook.listen("--count", "1", then=lambda: hook.event("completed", handed_over))
    assert gets(sandbox) == before + 1


def test_a_job_without_a_path_is_saved_to_the_folder(hook: Hook, job: str) -> None:
    result = hook.listen("--count", "1", "--out", "pics/", "--json", then=lambda: hook.event("completed", job))
    assert result.code == 0, result.stderr
    (file,) = result.document["files"]
    assert Path(file["path"]) == Path("pics") / f"an-owl-{job}.png"
    assert Path(file["path"]).stat().st_size == file["bytes"]


def test_without_a_folder_it_is_only_printed(hook: Hook, job: str, sandbox: Sandbox) -> None:
    before = gets(sandbox)
    result = hook.listen("--count", "1", then=lambda: hook.event("completed", job))
    assert (result.code, result.out.split()[1:]) == (0, ["completed", job])
    assert gets(sandbox) == before
    assert not list(hook.reve.folder.rglob("*.png"))


def test_a_repeated_event_is_worked_once(hook: Hook, handed_over: str, sandbox: Sandbox) -> None:
    before = gets(sandbox)

    def post() -> None:
        assert [hook.event("completed", handed_over) for _ in range(3)] == [204] * 3
        hook.event("progress", OTHER)

    documents = hook.listen("--count", "2", "--json", then=post).documents
    assert sorted(document["duplicate"] for document in documents) == [False, False, True, True]
    assert gets(sandbox) == before + 1


def test_a_replay_to_a_later_listener_asks_the_api_nothing(hook: Hook, handed_over: str, sandbox: Sandbox) -> None:
    hook.listen("--count", "1", then=lambda: hook.event("completed", handed_over))
    before = gets(sandbox)

    def post() -> None:
        hook.event("completed", handed_over)
        hook.event("progress", OTHER)

    result = hook.listen("--count", "1", "--json", then=post)
    assert [document["duplicate"] for document in result.documents] == [True, False]
    assert gets(sandbox) == before


def test_an_event_that_comes_before_the_job_has_ended_is_looked_at_again(hook: Hook, sandbox: Sandbox) -> None:
    options = ["--no-wait", "--out", "fox.png", "--webhook-url", "https://hooks.example.com/"]
    job = hook.reve("generate", "a fox", *options).out.strip()
    result = hook.listen("--count", "1", then=lambda: hook.event("completed", job))
    assert result.code == 0, result.stderr
    assert (hook.reve.folder / "fox.png").is_file()
    assert gets(sandbox) <= 7


def test_a_failed_event_prints_why_and_exits_with_5(hook: Hook, simulate: Callable[..., Sandbox]) -> None:
    simulate(faults=parse_faults("outcome:capacity"))
    options = ["--no-wait", "--out", "fox.png", "--webhook-url", "https://hooks.example.com/"]
    job = hook.reve("generate", "a fox", *options).out.strip()
    hook.reve.clock.advance(60)
    post = lambda: hook.event("failed", job, error="No available capacity")  # noqa: E731
    result = hook.listen("--count", "1", "--json", then=post)
    assert result.code == 5
    assert (result.document["status"], result.document["error"]["code"]) == ("FAILED", "job_failed")
    assert hook.reve("history", "--state", "failed", "--json").document["jobId"] == job


def test_a_failed_event_of_an_unknown_job_exits_with_5(hook: Hook, sandbox: Sandbox) -> None:
    result = hook.listen("--count", "1", then=lambda: hook.event("failed", OTHER, error="No \x1b[31mcapacity"))
    assert result.code == 5
    assert "\x1b" not in result.out


def test_for_stops_when_the_jobs_have_ended(hook: Hook, handed_over: str, job: str) -> None:
    result = hook.listen("--for", handed_over, "--for", job, "--timeout", "100")
    assert result.code == 0, result.stderr
    assert (hook.reve.folder / "fox.png").is_file()
    assert job in result.out


def test_for_names_unfinished_jobs_at_the_time_limit_and_exits_75(hook: Hook, simulate: Callable[..., Sandbox]) -> None:
    simulate(job_seconds=10_000)
    job = hook.reve("generate", "a fox", "--no-wait").out.strip()
    result = hook.listen("--for", job, "--timeout", "100")
    assert result.code == 75
    assert job in result.stderr


def test_without_enough_events_it_exits_75_if_a_job_is_unfinished(hook: Hook, handed_over: str) -> None:
    result = hook.listen("--count", "1", "--timeout", "2", live=True)
    assert result.code == 75
    assert "before 1 event came" in result.stderr
    assert result.stderr.splitlines()[-1] == "reve resume"


def test_without_enough_events_it_exits_6_if_nothing_is_left_to_do(hook: Hook, handed_over: str, job: str) -> None:
    assert hook.reve("resume").code == 0
    result = hook.listen("--count", "2", "--timeout", "2", live=True)
    assert result.code == 6
    assert "before 2 events came" in result.stderr
    assert "resume" not in result.stderr


def test_the_events_of_a_killed_listener_come_first(hook: Hook, handed_over: str, sandbox: Sandbox) -> None:
    store(hook, [handed_over])
    assert hook.listen("--count", "1").code == 0
    assert (hook.reve.folder / "fox.png").is_file()


def test_worked_events_are_recorded_as_done(hook: Hook, handed_over: str) -> None:
    def post() -> None:
        for event, job in (("completed", handed_over), ("progress", OTHER), ("completed", OTHER)):
            assert hook.event(event, job) == 204

    assert hook.listen("--count", "3", then=post).code == 0
    folder = state_folder(hook.reve.environ)
    assert folder is not None
    journal = open_journal(folder, hook.reve.clock, print, begin=False)
    assert journal is not None
    assert journal.events.to_do() == []
    journal.close()


def test_the_jobs_of_stored_events_are_asked_about_by_one_request(hook: Hook, sandbox: Sandbox) -> None:
    options = ["--no-wait", "--out", "fox.png", "--webhook-url", "https://hooks.example.com/"]
    made = hook.reve("generate", "a fox", "--count", "5", *options).out.split()
    hook.reve.clock.advance(60)
    store(hook, made)
    before = gets(sandbox)
    assert hook.listen("--count", "5").code == 0
    assert len(list(hook.reve.folder.glob("*.png"))) == 5
    assert gets(sandbox) - before == 1


def test_jobs_whose_prompt_is_unknown_are_asked_for_one_by_one_as_their_names_contain_it(
    hook: Hook, sandbox: Sandbox
) -> None:
    made = hook.reve("generate", "a fox", "--count", "3", "--no-wait", env={"REVE_JOURNAL": "off"}).out.split()
    hook.reve.clock.advance(60)
    post = lambda: [hook.event("completed", job) for job in made]  # noqa: E731
    assert hook.listen("--count", "3", "--out", "pics/", then=post).code == 0
    assert {path.stem for path in (hook.reve.folder / "pics").iterdir()} == {f"a-fox-{job}" for job in made}


def test_jobs_whose_events_come_too_early_are_asked_about_together(
    hook: Hook, simulate: Callable[..., Sandbox]
) -> None:
    sandbox, jobs = simulate(job_seconds=3), 5
    options = ["--no-wait", "--out", "fox.png", "--webhook-url", "https://hooks.example.com/"]
    made = hook.reve("generate", "a fox", "--count", str(jobs), *options).out.split()
    store(hook, made)
    before = gets(sandbox)
    assert hook.listen("--count", str(jobs)).code == 0
    assert len(list(hook.reve.folder.glob("*.png"))) == jobs
    assert gets(sandbox) - before <= 5  # after 0, 0.25, 0.75, 1.75 and 3.75 s


def test_images_of_a_batch_are_added_to_its_manifest_and_its_page(hook: Hook, sandbox: Sandbox) -> None:
    sandbox.faults[:] = parse_faults("image:cut")
    Path("list.txt").write_text("a red fox\na blue fox\n")
    assert hook.reve("batch", "list.txt", "--out", "foxes/", "--gallery").code == 75
    sandbox.faults.clear()
    store(hook, [job.id for job in sandbox.jobs()])
    assert hook.listen("--count", "2").code == 0
    page = Path("foxes/gallery.html").read_text()
    assert all(f'"prompt":"a {color} fox"' in page for color in ("red", "blue"))
    assert not Path("foxes/gallery.live.js").exists()
    lines = map(json.loads, Path("foxes/manifest.jsonl").read_text().splitlines())
    assert sorted(line["prompt"] for line in lines if line.get("files")) == ["a blue fox", "a red fox"]


def test_a_job_that_another_command_saved_is_not_saved_again(hook: Hook, handed_over: str, sandbox: Sandbox) -> None:
    assert hook.reve("resume").code == 0
    before = gets(sandbox)
    result = hook.listen("--count", "1", then=lambda: hook.event("completed", handed_over))
    assert result.out.endswith("was saved before\n")
    assert gets(sandbox) == before


def test_a_late_progress_event_changes_nothing(hook: Hook, job: str) -> None:
    def post() -> None:
        assert hook.event("completed", job) == 204
        assert hook.event("progress", job, progress=50) == 204
        assert hook.event("progress", OTHER, progress=50) == 204

    documents = hook.listen("--count", "2", "--json", then=post).documents
    assert [(each["event"], each["duplicate"]) for each in documents] == [
        ("completed", False),
        ("progress", True),
        ("progress", False),
    ]


def test_event_chooses_what_is_printed_but_not_what_is_saved(hook: Hook, handed_over: str) -> None:
    def post() -> None:
        hook.event("completed", handed_over)
        hook.event("progress", OTHER, progress=12.5)

    result = hook.listen("--event", "progress", "--count", "1", then=post)
    assert result.out.split()[1:] == ["progress", OTHER, "12.5", "%"]
    assert (hook.reve.folder / "fox.png").is_file()


def test_any_of_several_keys_may_have_signed(hook: Hook, sandbox: Sandbox) -> None:
    new, old = hook.reve.folder / "new.key", hook.reve.folder / "old.key"
    for path, key in ((new, sandbox.key), (old, "afk_the_old_key_0123456789")):
        path.write_text(key)
        path.chmod(0o600)
    options = ["--api-key-file", str(new), "--api-key-file", str(old)]
    post = lambda: hook.event("progress", OTHER, key="afk_the_old_key_0123456789", kind="hex")  # noqa: E731
    result = hook.listen("--count", "1", "--json", *options, then=post)
    assert result.document["verifiedAs"] == "hex"


def test_a_refused_request_is_told_once_and_shows_no_secret(hook: Hook, sandbox: Sandbox) -> None:
    signature = "ab" * 32

    def post() -> None:
        for _ in range(3):
            assert hook.post(b"{}", {"X-Webhook-Signature": signature}) == 401
        hook.event("progress", OTHER)

    result = hook.listen("--count", "1", then=post)
    assert result.stderr.count("refused") == 1
    assert "rewrites JSON" in result.stderr
    assert signature not in result.stderr + result.out
    assert sandbox.key not in result.stderr + result.out


def test_the_path_is_checked_and_the_query_is_ignored(hook: Hook, sandbox: Sandbox) -> None:
    def post() -> None:
        assert hook.event("progress", OTHER) == 404
        body = b'{"event":"progress","jobId":"' + OTHER.encode() + b'"}'
        from reve_cli.serving.signatures import sign

        assert hook.post(body, {"X-Webhook-Signature": sign(body, sandbox.key)}, path="/secret?a=1") == 204

    assert hook.listen("--path", "/secret", "--count", "1", then=post).code == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_in_use_is_a_usage_error(reve: Reve, sandbox: Sandbox, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as taken:
        try:
            taken.bind((host, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        taken.listen()
        port = str(taken.getsockname()[1])
        result = reve("webhook", "listen", "--host", host, "--port", port)
    assert result.code == 2
    assert f"port {port} is in use" in result.stderr


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        (["--host", "192.0.2.1"], 2, "use an address of this machine"),
        (["--path", "hook"], 2, "--path"),
        (["--path", "/a?b"], 2, "--path"),
        (["--event", "complete"], 2, "Did you mean 'completed'?"),
        (["--forward-to", "http://example.com/"], 2, "must be https"),
        (["--forward-to", "ftp://example.com/"], 2, "--forward-to"),
        (["--out", "fox.png"], 2, "must be a folder"),
        (["--out", "{job}.png"], 2, "must be a folder"),
        (["--for", "not-a-job"], 2, "not-a-job"),
        (["--count", "0"], 2, "--count"),
        (["--port", "70000"], 2, "--port"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_option_is_named(reve: Reve, sandbox: Sandbox, options: list[str], code: int, why: str) -> None:
    result = reve("webhook", "listen", "--port", "0", *options)
    assert (result.code, why in result.stderr) == (code, True), result.stderr


def test_without_a_key_it_exits_with_3(reve: Reve) -> None:
    assert reve("webhook", "listen", "--port", "0").code == 3


def test_without_a_journal_it_does_not_listen(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("webhook", "listen", "--port", "0", env={"REVE_JOURNAL": "off"})
    assert (result.code, "needs the journal" in result.stderr) == (7, True)


@pytest.mark.parametrize("known", [True, False], ids=["its id is known", "its id is not known yet"])
def test_an_event_that_comes_while_its_command_is_at_work_is_saved_after(
    hook: Hook, handed_over: str, known: bool
) -> None:
    folder = state_folder(hook.reve.environ)
    assert folder is not None
    submitting = open_journal(folder, hook.reve.clock, print, begin=False)
    assert submitting is not None
    (row,) = submitting.rows("job = :job", {"job": handed_over})
    assert submitting.runs.take_over(row) == "ours"
    if not known:
        submitting.update(row.id, state="sending", job=None)

    def then() -> None:
        hook.event("completed", handed_over)
        threading.Event().wait(0.1)
        submitting.update(row.id, state="accepted", job=handed_over)
        submitting.runs.end(told=True)

    result = hook.listen("--count", "1", "--out", "pics/", then=then, live=True)
    submitting.close()
    assert result.code == 0, result.stderr
    assert (hook.reve.folder / "fox.png").is_file()
    assert not list((hook.reve.folder / "pics").iterdir())


# Forwarding


@pytest.fixture
def program() -> Iterator[tuple[str, list[tuple[bytes, dict[str, str]]], list[int]]]:
    """A program that webhooks are sent on to: its URL, what it received, and the statuses it answers with."""
    received: list[tuple[bytes, dict[str, str]]] = []
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((body, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook", received, statuses
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_event_is_forwarded_with_the_same_bytes_and_headers(
    hook: Hook, job: str, program: tuple[str, list[tuple[bytes, dict[str, str]]], list[int]]
) -> None:
    url, received, _ = program
    result = hook.listen("--count", "1", "--json", "--forward-to", url, then=lambda: hook.event("completed", job))
    assert result.document["forwarded"] == {"status": 200, "tries": 1}
    ((body, headers),) = received
    assert json.loads(body)["jobId"] == job
    assert headers["x-webhook-event"] == "completed"
    assert headers["x-webhook-signature"].startswith("sha256=")
    assert headers["content-type"] == "application/json"
    assert headers["host"] == url.split("/")[2]


@pytest.mark.parametrize(
    ("statuses", "forwarded"),
    [
        ([500, 503], {"status": 200, "tries": 3}),
        ([500] * 9, {"status": 500, "tries": 4}),
        ([302], {"status": 302, "tries": 1}),
        ([404], {"status": 404, "tries": 1}),
    ],
    ids=str,
)
def test_forwarding_is_tried_again_after_a_server_error_only(
    hook: Hook,
    job: str,
    program: tuple[str, list[tuple[bytes, dict[str, str]]], list[int]],
    statuses: list[int],
    forwarded: dict[str, int],
) -> None:
    program[2].extend(statuses)
    post = lambda: hook.event("completed", job)  # noqa: E731
    result = hook.listen("--count", "1", "--json", "--forward-to", program[0], then=post)
    assert result.document["forwarded"] == forwarded
    assert len(program[1]) == forwarded["tries"]


def test_a_program_that_is_down_gets_the_event_from_the_next_listener(
    hook: Hook, job: str, program: tuple[str, list[tuple[bytes, dict[str, str]]], list[int]]
) -> None:
    down = "http://127.0.0.1:9/"
    result = hook.listen("--count", "1", "--forward-to", down, then=lambda: hook.event("completed", job))
    assert "not forwarded after 4 tries" in result.out
    result = hook.listen("--count", "1", "--json", "--forward-to", program[0])
    assert result.document["forwarded"] == {"status": 200, "tries": 1}
    assert json.loads(program[1][0][0])["jobId"] == job
